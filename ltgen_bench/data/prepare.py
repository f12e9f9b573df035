"""Where data lies, and how it gets there: downloaded or imported, all or nothing."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ltgen_bench.errors import UsageError

if TYPE_CHECKING:
    pass


def data_folder(explicit: Path | None = None) -> Path:
    """Where data is kept: `explicit` (--data-dir), else LTGEN_DATA, else the user's cache folder."""
    chosen = explicit or os.environ.get("LTGEN_DATA")
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("ltgen-bench", appauthor=False)


@contextmanager
def preparing(target: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it becomes `target` only when the block ends without an error.

    Raises UsageError when `target` exists, cannot be written, or is being prepared by another process.
    """
    lock, part = target.with_name(f".{target.name}.lock"), target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        owner = lock.open("x")
    except OSError as error:
        if lock.exists():
            who = lock.read_text()
            raise UsageError(f"{target} is being prepared by {who}; if that is gone, delete {lock}") from error
        raise UsageError(f"cannot write in {target.parent}: {error.strerror}; choose another --data-dir") from error
    try:
        with owner:
            owner.write(f"process {os.getpid()} on {socket.gethostname()}")
        if target.exists():
            raise UsageError(f"{target} exists already")
        shutil.rmtree(part, ignore_errors=True)  # what a killed process left
        part.mkdir()
        yield part
        os.replace(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        lock.unlink(missing_ok=True)


def download(url: str, path: Path, md5: str) -> None:
    """Download a file and check its MD5, both through torchvision. Raises UsageError when either fails."""
    from torchvision.datasets.utils import download_url

    try:
        download_url(url, str(path.parent), path.name, md5)
    except (OSError, RuntimeError) as error:
        raise UsageError(f"cannot download {url}: {error} Get it elsewhere and import it with --from") from error
