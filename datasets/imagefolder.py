"""The user's own images, in one folder per class."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import PIL
from PIL import ImageOps

from ltgen_bench.data.class_folders import Classes, Tree, opened
from ltgen_bench.data.dataset import Dataset, Pool
from ltgen_bench.data.images import Images
from ltgen_bench.data.resize import square
from ltgen_bench.errors import UsageError
from ltgen_bench.storage.atomic_files import atomic_write

GREY = {"1", "L", "LA", "La"}
DECODING = 1  # part of the cache's key: raise it when the code below makes other arrays of the same files


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
            with atomic_write(path) as file:
                np.savez(file, images=images.pixels, labels=images.labels)  # uncompressed: this is for speed
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}; name another folder, --data-dir") from error
        return images


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
