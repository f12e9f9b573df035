"""Where a probe keeps its finished parts, so that an interrupted one goes on; and who works there."""

from __future__ import annotations

import contextlib
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ltgen_bench.errors import UsageError
from ltgen_bench.probes.specs import ProbeSpec
from ltgen_bench.runs.run_folder import RunFolder
from ltgen_bench.storage import lock
from ltgen_bench.storage.atomic_files import atomic_write, read_json, write_json

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class WorkFolder:
    path: Path
    lock: lock.Lock

    def arrays(self, name: str, make: Callable[[], Arrays]) -> dict[str, NDArray[Any]]:
        """Arrays that were made before, or are made now."""
        path = self.path / f"{name}.npz"
        with contextlib.suppress(OSError, ValueError, EOFError, zipfile.BadZipFile), np.load(path) as file:
            return dict(file)
        made = dict(make())
        with atomic_write(path) as out:
            np.savez(out, **made)  # type: ignore[arg-type]
        return made

    def save(self, name: str, array: NDArray[Any]) -> None:
        """An array that may be too large to be in memory with its like; see `saved`."""
        with atomic_write(self.path / f"{name}.npy") as out:
            np.save(out, array)

    def saved(self, name: str) -> NDArray[Any]:
        """Read from disk as it is looked at."""
        array: NDArray[Any] = np.load(self.path / f"{name}.npy", mmap_mode="r")
        return array

    def figures(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The same for what JSON holds."""
        path = self.path / f"{name}.json"
        with contextlib.suppress(FileNotFoundError, ValueError):
            return dict(read_json(path))
        made = make()
        write_json(path, made)
        return made


@contextlib.contextmanager
def working(run_folder: RunFolder, spec: ProbeSpec) -> Iterator[WorkFolder]:
    """The folder of a probe's parts, locked; removed when the block ends without an error.

    The lock is the probe's own: the run's says that somebody changes the run, which a probe never does. Raises
    UsageError when somebody else is at the same probe, or the run is made again meanwhile.
    """
    path = run_folder.probe(spec.kind, spec.id).with_suffix("")
    try:
        with lock.hold(path / "lock") as held:
            yield WorkFolder(path, held)
    except lock.Held as other:
        raise UsageError(f"{other}, is at this probe; wait for it") from None
    except lock.Lost as lost:
        raise UsageError(f"the probe was stopped: {lost}; give the command again") from None
    except BaseException:
        with contextlib.suppress(OSError):
            path.rmdir()  # as nothing was finished
        raise
    shutil.rmtree(path, ignore_errors=True)
