"""The user's own images, in one folder per class."""

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

import numpy as np
import PIL
from PIL import Image, ImageOps

from ltgen_bench.dataset import Dataset, Pool, square
from ltgen_bench.errors import UsageError
from ltgen_bench.files import replacing
from ltgen_bench.images import Images

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
METADATA = {"__MACOSX", "Thumbs.db", "desktop.ini"}
GREY = {"1", "L", "LA", "La"}
DECODING = 1  # part of the cache's key: raise it when the code below makes other arrays of the same files

Classes = dict[str, list[str]]  # class folder: its images


class ImageFolder(Dataset):
    """Your own images: a folder or a zip with one folder per class, given with --data.

    Class ids follow the sorted folder names, and class 0 becomes the largest; --imbalance none trains on the images as
    they are. --reference takes a second tree or zip with the same class folders, to score against.

    Layout: folders around everything are passed through, a pair train/ and test/ (or val/) gives the training pool and
    the held-out images. Hidden files, system files (__MACOSX, Thumbs.db, desktop.ini) and what lies beside the class
    folders are ignored; inside the class folders, at any depth, everything must be an image.

    Decoding: grey if all training images are, else RGB (so is a palette); alpha is dropped; the rotation that a camera
    noted is applied; of an animation the first frame is used. The centre square is reduced to the size asked for, by
    default the images' own if they are squares of one size that a network can halve twice, else 32, or less if one of
    them is smaller. Decoded images are cached in the data folder, until the zip, or a name, size or date in the tree
    changes.
    """

    name = "imagefolder"
    preset = "mini"
    flip = True
    takes_data = True

    def pool(self) -> Pool:
        if self.data is None:
            raise UsageError("imagefolder needs --data PATH, a folder or a zip with one folder of images per class")
        with opened(self.data) as tree:
            images = self._images(tree, "train", tree.train, None)
            test = self._images(tree, "test", tree.test, images) if tree.test else None
        if self.reference is None:
            return Pool(images, tuple(tree.train), test)
        with opened(self.reference) as other:
            if list(other.train) != list(tree.train):
                raise UsageError(f"--reference {self.reference}: its class folders are not those of {self.data}")
            return Pool(images, tuple(tree.train), test, self._images(other, "train", other.train, images))

    def prepare(self, source: Path | None = None) -> str:
        """Decode the images, from `source` or --data, into the cache."""
        self.data = source or self.data
        pool = self.pool()
        return f"{len(pool.images)} images of {len(pool.class_names)} classes are decoded in {self.folder}."

    def _images(self, tree: Tree, part: str, classes: Classes, like: Images | None) -> Images:
        """The images of one part, from the cache if they are there; in the format of `like`, if given."""
        form = list(like.pixels.shape[2:]) if like is not None else [self.size, self.max_size]
        key = json.dumps([DECODING, PIL.__version__, tree.fingerprint, part, like is None, form])
        path = self.folder / "imagefolder" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"
        if path.exists():
            return Images.load(path)
        if like is not None:
            _, size, _, channels = like.pixels.shape
        else:
            native, channels = survey(tree, classes)
            size = self.size_for(native)
        images = decode(tree, classes, size, channels)
        try:
            with replacing(path) as file:
                np.savez(file, images=images.pixels, labels=images.labels)  # uncompressed: this is for speed
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}; name another folder, --data-dir") from error
        return images


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
            yield Tree(path, {name: partial(archive.read, member) for name, member in members.items()}, _sha256(path))
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


def survey(tree: Tree, classes: Classes) -> tuple[int, int]:
    """The size and the number of channels that the headers suggest."""
    sizes, modes = set(), set()
    for name in (name for names in classes.values() for name in names):
        with tree.image(name) as image:
            sizes.add(image.size)
            modes.add(image.mode)
    smallest = min(min(size) for size in sizes)
    channels = 1 if modes <= GREY else 3
    if sizes == {(smallest, smallest)} and smallest % 4 == 0:
        return smallest, channels
    return max(4, min(32, smallest // 4 * 4)), channels


def decode(tree: Tree, classes: Classes, size: int, channels: int) -> Images:
    """Read the images, class by class, as uint8 (n, size, size, channels)."""
    names = [name for names in classes.values() for name in names]
    labels = np.repeat(np.arange(len(classes), dtype=np.int64), [len(names) for names in classes.values()])
    pixels = np.empty((len(names), size, size, channels), np.uint8)
    for out, name in zip(pixels, names, strict=True):
        with tree.image(name) as image:
            if not 1 <= size <= min(image.size):
                raise UsageError(
                    f"--size {size}: {tree.path}: {name} has {image.width}x{image.height} pixels, "
                    f"and images can only be reduced"
                )
            upright = ImageOps.exif_transpose(image).convert("L" if channels == 1 else "RGB")
            out[...] = np.asarray(square(upright, size)).reshape(out.shape)
    return Images(pixels, labels)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
