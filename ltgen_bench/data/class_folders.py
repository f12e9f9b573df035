"""Images in class folders: a folder or a zip, read in place."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import takewhile
from pathlib import Path, PurePosixPath

from PIL import Image

from ltgen_bench.errors import UsageError
from ltgen_bench.storage.atomic_files import sha256

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
METADATA = {"__MACOSX", "Thumbs.db", "desktop.ini"}

Classes = dict[str, list[str]]  # class folder: its images


class Tree:
    """The files of a folder or a zip: how to read them, which class they show, and what identifies them."""

    def __init__(self, path: Path, files: dict[str, Callable[[], bytes]], fingerprint: str) -> None:
        self.path = path
        self.files = files
        self.fingerprint = fingerprint
        self.train, self.test = layout(path, files)

    @contextmanager
    def image(self, name: str) -> Iterator[Image.Image]:
        """Open one image; what is wrong with it becomes a UsageError that names it."""
        try:
            with Image.open(io.BytesIO(self.files[name]())) as image:
                if image.mode.startswith(("I", "F")):
                    raise UsageError(f"{self.path}: {name} has more than 8 bits per pixel; convert it to 8")
                yield image
        except UsageError:
            raise
        except Exception as error:  # a damaged file can make Pillow raise almost anything
            raise UsageError(f"{self.path}: {name} cannot be read as an image: {error}") from error


@contextmanager
def opened(path: Path) -> Iterator[Tree]:
    """Read the list of files of a folder or a zip, which is read in place and never unpacked."""
    if path.is_dir():
        yield _folder(path)
    elif path.exists():
        try:
            archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise UsageError(f"{path} is neither a folder nor a readable zip: {error}") from error
        with archive:
            members = {str(PurePosixPath(m.filename)): m for m in archive.infolist() if not m.is_dir()}
            yield Tree(path, {name: partial(archive.read, member) for name, member in members.items()}, sha256(path))
    else:
        raise UsageError(f"{path}: no such folder or zip")


def _folder(path: Path) -> Tree:
    def stop(error: OSError) -> None:
        raise error

    stats: dict[str, tuple[int, int]] = {}
    try:
        # Links are followed, as large collections are often put together from them; a loop of links is an OSError.
        for top, folders, names in os.walk(path, followlinks=True, onerror=stop):
            folders[:] = [name for name in folders if not ignored(name)]
            for file in (Path(top, name) for name in names if not ignored(name)):
                stat = file.stat()
                stats[file.relative_to(path).as_posix()] = (stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise UsageError(f"cannot read {error.filename}: {error.strerror}") from error
    fingerprint = hashlib.sha256(json.dumps(stats, sort_keys=True).encode()).hexdigest()
    return Tree(path, {name: (path / name).read_bytes for name in stats}, fingerprint)


def layout(path: Path, files: Iterable[str]) -> tuple[Classes, Classes]:
    """The class folders of the training pool and of the held-out images (none if there is no such pair)."""
    names = sorted(parts for name in files if not any(map(ignored, parts := PurePosixPath(name).parts)))
    images = [parts for parts in names if is_image(parts)]
    if not images:
        raise UsageError(f"{path} has no images in it ({', '.join(sorted(SUFFIXES))})")
    # Pass through folders around everything; the last folder above the images is the class.
    above = [parts[:-2] for parts in images]
    shared = takewhile(lambda pair: pair[0] == pair[1], zip(min(above), max(above), strict=False))
    root = tuple(name for name, _ in shared)
    depth = len(root)
    tops = {parts[depth] for parts in images if len(parts) > depth + 1}
    held_out = "test" if "test" in tops else "val"
    split = {"train", held_out} <= tops <= {"train", "test", "val"}
    train = class_folders(path, names, (*root, "train") if split else root)
    test = class_folders(path, names, (*root, held_out)) if split else {}
    if len(train) < 2:
        raise UsageError(f"{path} needs at least two class folders with images; found: {', '.join(train) or 'none'}")
    if split and list(test) != list(train):
        raise UsageError(f"{path}: {held_out}/ has other class folders than train/")
    return train, test


def class_folders(path: Path, names: Iterable[tuple[str, ...]], root: tuple[str, ...]) -> Classes:
    """The images of each folder in `root`, at any depth. Raises UsageError for a file that does not belong there."""
    classes: Classes = {}
    for parts in names:
        name = str(PurePosixPath(*parts))
        inside = parts[len(root) :] if parts[: len(root)] == root else ()
        if len(inside) > 1:
            if not is_image(parts):
                raise UsageError(f"{path}: {name} is not an image; remove it from the class folder")
            classes.setdefault(inside[0], []).append(name)
        elif inside and is_image(parts):
            raise UsageError(f"{path}: {name} is an image in no class folder")
    return classes


def ignored(name: str) -> bool:
    return name.startswith(".") or name in METADATA


def is_image(parts: tuple[str, ...]) -> bool:
    return PurePosixPath(parts[-1]).suffix.lower() in SUFFIXES
