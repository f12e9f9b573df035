"""Whether an error comes from a full disk: nobody's fault that trying again could not mend."""

from __future__ import annotations

import errno

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def disk_is_full(error: BaseException | None) -> bool:
    """Whether that is what an error, or one that led to it, comes from.

    torch and safetensors write files in C++ and Rust, and have errors of their own that only say so in words.
    """
    while error is not None:
        if (isinstance(error, OSError) and error.errno in FULL) or "No space left on device" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
