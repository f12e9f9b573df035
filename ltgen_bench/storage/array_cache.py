"""Arrays that are the same for every model: computed once, and kept in a file beside the features."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ltgen_bench.storage.atomic_files import atomic_write

Arrays = Mapping[str, NDArray[Any]]


def kept(
    cache: Path | None, what: str, identity: Any, contents: Iterable[NDArray[Any]], make: Callable[[], Arrays]
) -> Arrays:
    """What `make` gives, read from the folder `cache` where it was made before from the same things.

    what: names the file; identity (as JSON) and contents: all that the arrays depend on. A damaged file is made anew.
    """
    if cache is None:
        return make()
    digest = hashlib.sha256(json.dumps(identity).encode())
    for array in contents:
        digest.update(np.ascontiguousarray(array).data)
    path = cache / f"{what}-{digest.hexdigest()[:32]}.npz"
    try:
        with np.load(path, allow_pickle=False) as file:  # zip checks each member's CRC
            return dict(file)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass
    made = make()
    with atomic_write(path) as file:
        np.savez(file, allow_pickle=False, **made)
    return made
