"""The user's own images, in one folder per class."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import PIL
from PIL import ImageOps

from ltgen_bench.data.class_folders import Classes, ClassFolders, class_folders
from ltgen_bench.data.dataset import Dataset, Pool
from ltgen_bench.data.file_tree import Tree, opened
from ltgen_bench.data.images import Images
from ltgen_bench.data.names import normal
from ltgen_bench.data.notes import say
from ltgen_bench.data.prepare import check_space
from ltgen_bench.data.resize import square
from ltgen_bench.errors import UsageError
from ltgen_bench.storage.atomic_files import atomic_write

GREY = {"1", "L", "LA", "La"}
DECODING = (
    2  # part of the cache's key: raise it when this code, or that of the layout, makes other arrays of the same files
)
SMALLEST = 4  # pixels: what a network can halve twice


class ImageFolder(Dataset):
    """Your own images: a folder or a zip with one folder per class, given with --data.

    Class ids follow the folder names in order, numbers in them by value (1, 2, 10), and class 0 becomes the largest;
    --imbalance none trains on the images as they are. --reference takes a second folder or zip with the same class
    folders, to score against. --data-name NAME gives data of yours a page of its own, as `imagefolder-NAME`.

    Layout: folders around everything are passed through. A folder named like train, with test or val beside it (in any
    case, and under the other usual names), gives the training pool and the held-out images; folders of predictions or
    without labels are not used. A class folder without images is refused, as all ids after it would shift. Hidden files
    and what systems leave behind (__MACOSX, @eaDir, Thumbs.db, ...) are ignored, other files that are no images are
    passed over and counted; an image that cannot be read is an error.

    Decoding: grey if all training images are, else RGB (so is a palette); alpha is dropped; the rotation that a camera
    noted is applied; of an animation the first frame is used. The centre square is reduced to the size asked for, by
    default the images' own if they are squares of one size that a network can halve twice, else 32, or less if one of
    them is smaller. Decoded images are cached in the data folder, until the zip, or a name, size or date in the folder
    changes.
    """

    name = "imagefolder"
    version = 2  # 1: classes sorted as text, fewer names of splits and kinds of images
    preset = "mini"
    flip = True
    takes_data = True

    def pool(self) -> Pool:
        if self.data is None:
            raise UsageError("imagefolder needs --data PATH, a folder or a zip with one folder of images per class")
        with opened(self.data) as tree:
            found = class_folders(tree)
            images = self._images(tree, "train", found.train, None)
            test = self._images(tree, "test", found.test, images) if found.test else None
        names = tuple(found.train)
        if self.reference is None:
            return Pool(images, names, test, notes=self._notes(self.data, found))
        with opened(self.reference) as tree:
            other = class_folders(tree)
            if list(other.train) != list(found.train):
                raise UsageError(f"--reference {self.reference}: its class folders are not those of {self.data}")
            reference = self._images(tree, "train", other.train, images)
        notes = self._notes(self.data, found) + self._notes(self.reference, other)
        return Pool(images, names, test, reference, notes)

    def prepare(self, source: Path | None = None) -> str:
        """Decode the images, from `source` or --data, into the cache."""
        self.data = source or self.data
        pool = self.pool()
        return f"{len(pool.images)} images of {len(pool.class_names)} classes are decoded in {self.folder}."

    def _notes(self, path: Path, found: ClassFolders) -> tuple[str, ...]:
        return tuple(f"{normal(str(path))}: {note}" for note in found.notes)

    def _images(self, tree: Tree, part: str, classes: Classes, like: Images | None) -> Images:
        """The images of one part, from the cache if they are there; in the format of `like`, if given."""
        form = list(like.pixels.shape[2:]) if like is not None else [self.size, self.max_size]
        key = json.dumps([DECODING, PIL.__version__, tree.fingerprint, part, like is None, form])
        path = self.folder / "imagefolder" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"
        if (cached := _cached(path, classes)) is not None:
            return cached
        if like is not None:
            _, size, _, channels = like.pixels.shape
        else:
            native, channels = survey(tree, classes, at_least=SMALLEST if self.size is None else 1)
            size = self.size_for(native)
        count = sum(map(len, classes.values()))
        check_space(self.folder, count * size * size * channels)
        images = decode(tree, classes, size, channels, f"--size {size}: " if self.size is not None else "")
        try:
            with atomic_write(path) as file:
                np.savez(file, images=images.pixels, labels=images.labels)  # uncompressed: this is for speed
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}; name another folder, --data-dir") from error
        return images


def _cached(path: Path, classes: Classes) -> Images | None:
    """Decoded images that were kept; None when there are none, or they are damaged, which is said."""
    if not path.exists():
        return None
    try:
        images = Images.load(path)
        if np.bincount(images.labels).tolist() == [len(names) for names in classes.values()]:
            return images
    except UsageError:
        pass
    say(f"{path}, a cache of decoded images, is damaged and is made again")
    return None


def survey(tree: Tree, classes: Classes, at_least: int) -> tuple[int, int]:
    """The size and the number of channels that the headers suggest. Raises UsageError for an image of less pixels."""
    sizes, modes = set(), set()
    for name in (name for names in classes.values() for name in names):
        with tree.image(name) as image:
            sizes.add(image.size)
            modes.add(image.mode)
            if min(image.size) < at_least:
                raise UsageError(
                    f"{tree.path}: {name} has {image.width}x{image.height} pixels, and images need at least "
                    f"{at_least}x{at_least}; remove it"
                )
    smallest = min(min(size) for size in sizes)
    channels = 1 if modes <= GREY else 3
    if sizes == {(smallest, smallest)} and smallest % 4 == 0:
        return smallest, channels
    return max(SMALLEST, min(32, smallest // 4 * 4)), channels  # as multiples of 4 can be halved twice


def decode(tree: Tree, classes: Classes, size: int, channels: int, asked: str = "") -> Images:
    """Read the images, class by class, as uint8 (n, size, size, channels).

    asked: the option that chose the size. Raises UsageError, which begins with it, for an image that is smaller.
    """
    names = [name for names in classes.values() for name in names]
    labels = np.repeat(np.arange(len(classes), dtype=np.int64), [len(names) for names in classes.values()])
    pixels = np.empty((len(names), size, size, channels), np.uint8)
    for out, name in zip(pixels, names, strict=True):
        with tree.image(name) as image:
            if not 1 <= size <= min(image.size):
                hint = "" if asked else f", here to {size}x{size}; remove it, or choose a smaller --size"
                raise UsageError(
                    f"{asked}{tree.path}: {name} has {image.width}x{image.height} pixels, and images can only be "
                    f"reduced{hint}"
                )
            upright = ImageOps.exif_transpose(image).convert("L" if channels == 1 else "RGB")
            out[...] = np.asarray(square(upright, size)).reshape(out.shape)
    return Images(pixels, labels)
