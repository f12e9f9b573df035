"""Where data lies, and how it gets there: downloaded or imported, all or nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ltgen_bench.errors import UsageError
from ltgen_bench.storage.lock import Held, hold


def data_folder(explicit: Path | None = None) -> Path:
    """Where data is kept: `explicit` (--data-dir), else LTGEN_DATA, else the user's cache folder."""
    chosen = explicit or os.environ.get("LTGEN_DATA")
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("ltgen-bench", appauthor=False)


@contextmanager
def preparing(target: Path, *, space: int = 0) -> Iterator[Path]:
    """Give an empty folder to fill, whose files become those of `target` only when the block ends without an error.

    In a `target` that exists already, files of the same names are replaced: it was damaged, and is repaired. What a
    killed process left is no hindrance. space: bytes that are needed. Raises UsageError when `target` cannot be
    written, the disk is too full, or another process is preparing it.
    """
    lock, part = target.with_name(f".{target.name}.lock"), target.with_name(f".{target.name}.part")
    with ExitStack() as held:
        try:
            held.enter_context(hold(lock))
            if target.exists() and not target.is_dir():
                raise UsageError(f"{target} exists already and is no folder; delete it, or choose another --data-dir")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
        except Held as error:
            raise UsageError(f"{target} is being prepared by {error}; wait for it") from error
        except OSError as error:
            raise UsageError(f"cannot write in {target.parent}: {error.strerror}; choose another --data-dir") from error
        try:
            check_space(target.parent, space)
            yield part
            if target.exists():
                for file in part.iterdir():
                    os.replace(file, target / file.name)
            else:
                os.replace(part, target)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def check_space(folder: Path, needed: int) -> None:
    """Raises UsageError when `needed` bytes do not fit on the disk of a folder, which may not exist yet."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    try:
        free = shutil.disk_usage(there).free
    except OSError:  # some network file systems do not say
        return
    if needed > free:
        raise UsageError(
            f"{folder} needs {_size(needed)} of free disk, and has {_size(free)}; make room, or name another folder, "
            "--data-dir"
        )


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def download(url: str, path: Path, md5: str) -> None:
    """Download a file and check its MD5, both through torchvision. Raises UsageError when either fails."""
    from torchvision.datasets.utils import download_url

    try:
        download_url(url, str(path.parent), path.name, md5)
    except (OSError, RuntimeError) as error:
        raise UsageError(f"cannot download {url}: {error} Get it elsewhere and import it with --from") from error
