"""Arrays that take long to compute and are the same for everybody: computed once, and kept in a file."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ltgen_bench.storage import lock
from ltgen_bench.storage.atomic_files import atomic_write

Arrays = Mapping[str, NDArray[Any]]
T = TypeVar("T")

_PATIENCE = 0.5  # seconds between looks at whether another process has finished


def key(identity: Any, contents: Iterable[NDArray[Any]] = ()) -> str:
    """32 hex digits that stand for an identity (a text, or anything JSON-able) and the bytes of some arrays."""
    digest = hashlib.sha256((identity if isinstance(identity, str) else json.dumps(identity)).encode())
    for array in contents:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:32]


def cached(
    path: Path | None,
    make: Callable[[], T],
    pack: Callable[[T], Arrays],
    unpack: Callable[[Arrays], T],
    waiting: Callable[[], None] = lambda: None,
) -> T:
    """What `make` gives, read from the npz file `path` where it was made before.

    pack, unpack: to arrays and back; where unpack raises KeyError or ValueError, or the file is damaged, it is made
    anew. Of several processes that want the same file one makes it, and the others wait, calling `waiting` every half
    second. A folder that cannot be written to costs only the time of making it again. path: None to keep nothing.
    """
    if path is None or not _writable(path.parent):
        return make() if path is None or (found := _read(path, unpack)) is None else found
    while (found := _read(path, unpack)) is None:
        with contextlib.suppress(lock.Held), lock.hold(path.with_suffix(".lock")):
            if (found := _read(path, unpack)) is None:  # nobody was a moment faster
                found = make()
                # A full disk, or a lock that another took over meanwhile, costs the file alone.
                with contextlib.suppress(OSError, lock.Lost), atomic_write(path) as file:
                    arrays: dict[str, Any] = dict(pack(found))
                    np.savez(file, **arrays)
            return found
        waiting()
        time.sleep(_PATIENCE)
    return found


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def _read(path: Path, unpack: Callable[[Arrays], T]) -> T | None:
    try:
        with np.load(path, allow_pickle=False) as file:  # zip checks each member's CRC
            return unpack(dict(file))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
