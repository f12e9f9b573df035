"""Long-tailed training sets with balanced references: the published recipe, and the base class of the datasets."""

from __future__ import annotations

import hashlib
import math
import os
import shlex
import shutil
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ltgen_bench.data.groups import Groups
from ltgen_bench.data.images import Images
from ltgen_bench.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class DatasetSpec:
    """What identifies the data of a run; JSON-able with `dataclasses.asdict`, and hashed into every run id.

    size: height = width in pixels. channels: 1 (grey) or 3 (RGB). imbalance: largest class / smallest class of the
    recipe, None for the images as they come. split_sha256: of the chosen indices into the pool, int64 little-endian, in
    order. data_sha256, reference_sha256: `Images.sha256` of both sets, which covers decoding and resizing.
    """

    name: str
    version: int
    imbalance: float | None
    size: int
    channels: int
    class_counts: tuple[int, ...]
    split_sha256: str
    data_sha256: str
    reference_sha256: str


@dataclass(frozen=True)
class LongTail:
    """A dataset, loaded.

    train: the long-tailed training set. reference: as many real images of each class, class by class, for the scores.
    test: held-out real images, None if the dataset has none. All uint8 (n, size, size, channels).
    """

    spec: DatasetSpec
    train: Images
    reference: Images
    test: Images | None
    class_names: tuple[str, ...]
    groups: Groups

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Training images of each class id."""
        return self.spec.class_counts


@dataclass(frozen=True)
class Pool:
    """The real images a dataset is made from, at their native size.

    images: what the training set is chosen from. reference: what the balanced reference is chosen from, None for
    `images`. test: held-out images, if there are any. Raises ValueError when they do not go together.
    """

    images: Images
    class_names: tuple[str, ...]
    test: Images | None = None
    reference: Images | None = None

    def __post_init__(self) -> None:
        height, width, channels = self.images.pixels.shape[1:]
        if height != width:
            raise ValueError(f"images must be square, not {height}x{width}")
        classes = len(self.class_names)
        if classes < 2:
            raise ValueError(f"a dataset needs at least two classes, not {classes}")
        for part in (self.images, self.reference):
            if part is not None and not np.array_equal(np.unique(part.labels), np.arange(classes)):
                raise ValueError(f"labels must be 0 to {classes - 1}, and every class must have images")
        for part in (self.test, self.reference):
            if part is not None and part.pixels.shape[1:] != (height, width, channels):
                raise ValueError(
                    f"images of shapes {part.pixels.shape[1:]} and {(height, width, channels)} in one dataset"
                )


class Dataset(ABC):
    """A dataset. To add one, put a file with one subclass into `datasets/`; nothing else has to know of it.

    Its docstring's first line is what `ltgen-bench list datasets` shows. This is a complete one:

        class SatelliteLT(Dataset):
            '''Satellite photos of ten kinds of land.'''

            name = "satellitelt"
            preset = "mini"
            flip = True

            def pool(self) -> Pool:
                path = self.folder / "satellite.npz"
                if not path.exists():
                    raise self.not_prepared()
                return Pool(Images.load(path), ("desert", "forest", ...))
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1  # raise it when the same name means other images
    preset: ClassVar[str]  # the size of the job when the user names none
    flip: ClassVar[bool]  # does a mirrored image still show its class?
    n_max: ClassVar[int | None] = None  # images of the largest class; None: as many as the pool's smallest class has
    imbalance: float | None = 100.0  # largest class / smallest class; a subclass sets its default
    takes_data: ClassVar[bool] = False  # reads the user's own images, from --data

    def __init__(
        self,
        *,
        imbalance: float | Literal["default"] | None = "default",
        size: int | None = None,
        max_size: int | None = None,
        data: Path | None = None,
        reference: Path | None = None,
        data_dir: Path | None = None,
    ) -> None:
        """Choose what `load` makes; nothing is read yet.

        imbalance: largest class / smallest class, at least 1; None for the images as they come. size: pixels to reduce
        the images to; None for their own size, but at most max_size. data, reference: the user's own images, for
        datasets that take them. data_dir: see `data_folder`. Raises UsageError for data that the dataset does not take.
        """
        if not self.takes_data and (data or reference):
            raise UsageError(f"{self.name} has its own images: leave out --data and --reference")
        if imbalance != "default":
            self.imbalance = None if imbalance is None else float(imbalance)
        self.size = size
        self.max_size = max_size
        self.data = data
        self.reference = reference
        self.data_dir = data_dir
        self.folder = data_folder(data_dir)

    @abstractmethod
    def pool(self) -> Pool:
        """Read all the images. Raises `self.not_prepared()` when they are not on this machine; never downloads."""

    def prepare(self, source: Path | None = None) -> str:
        """Put the data into `self.folder`, downloaded or from `source`; return a sentence for the user."""
        if source is not None:
            raise UsageError(f"{self.name} has nothing to import: leave out --from")
        return f"{self.name} needs no preparation."

    def load(self) -> LongTail:
        """Read the images and choose the training and the reference set.

        Raises UsageError: the data is not here, or the imbalance or the size does not suit it.
        """
        pool = self.pool()
        size = self.size_for(pool.images.pixels.shape[1])
        images = resized(pool.images, size)
        source = images if pool.reference is None else resized(pool.reference, size)
        classes = len(pool.class_names)

        index = self._training_index(images.labels, classes)
        train = images[index]
        smallest = int(np.bincount(source.labels).min())
        reference = source[choose(source.labels, [smallest] * classes)]
        counts = tuple(np.bincount(train.labels, minlength=classes).tolist())
        spec = DatasetSpec(
            name=self.name,
            version=self.version,
            imbalance=self.imbalance,
            size=size,
            channels=images.pixels.shape[3],
            class_counts=counts,
            split_sha256=hashlib.sha256(index.astype("<i8").tobytes()).hexdigest(),
            data_sha256=train.sha256,
            reference_sha256=reference.sha256,
        )
        test = None if pool.test is None else resized(pool.test, size)
        return LongTail(spec, train, reference, test, pool.class_names, Groups.from_counts(counts))

    def size_for(self, native: int) -> int:
        """The size to reduce images of `native` pixels to."""
        return self.size if self.size is not None else min(native, self.max_size or native)

    def not_prepared(self) -> UsageError:
        """The error for data that is not on this machine."""
        where = f" --data-dir {shlex.quote(str(self.data_dir))}" if self.data_dir else ""
        return UsageError(
            f"{self.name} is not prepared here (looked in {self.folder}). Run: ltgen-bench prepare {self.name}{where}"
        )

    def _training_index(self, labels: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
        if self.imbalance is None:
            return np.arange(len(labels), dtype=np.int64)
        n_max = self.n_max or int(np.bincount(labels).min())
        return choose(labels, exponential_counts(n_max, classes, self.imbalance))


def exponential_counts(n_max: int, classes: int, imbalance: float) -> tuple[int, ...]:
    """Images per class, falling exponentially with the class id from n_max to n_max / imbalance.

    Source: the CIFAR-LT recipe of LDAM-DRW (Cao et al., NeurIPS 2019), in its floating-point form, as CBDM, OC and CM
    use it. Raises UsageError when imbalance is below 1, or so large that a class would get no image.

    >>> exponential_counts(5000, 10, 100)
    (5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50)
    """
    if not 1 <= imbalance < math.inf:
        raise UsageError(
            f"--imbalance {imbalance:g}: must be 1 (balanced) or more, or none for the images as they come"
        )
    counts = tuple(int(n_max * (1 / imbalance) ** (c / (classes - 1.0))) for c in range(classes))
    if 0 in counts:
        # Counted down because the rounding of 1 / ratio can leave the last class of ratio n_max without its image.
        largest = next(ratio for ratio in range(n_max, 0, -1) if int(n_max * (1 / ratio)))
        raise UsageError(
            f"--imbalance {imbalance:g}: class {counts.index(0)} (of 0 to {classes - 1}) would get no image, "
            f"as the largest class has {n_max}; the largest ratio that leaves every class an image is {largest}"
        )
    return counts


def choose(labels: NDArray[np.int64], counts: Sequence[int]) -> NDArray[np.int64]:
    """Indices of the first counts[c] images of each class c, after the recipe's shuffle; class by class.

    The shuffle is that of the published splits: NumPy's legacy generator, seed 0, through the classes in ascending
    order. Smaller counts choose a part of what larger ones choose. Raises ValueError when a class has too few images.
    """
    random = np.random.RandomState(0)
    chosen = []
    for c, count in enumerate(counts):
        index = np.flatnonzero(labels == c).astype(np.int64)
        if len(index) < count:
            raise ValueError(f"class {c} has {len(index)} images, fewer than the {count} to choose")
        random.shuffle(index)
        chosen.append(index[:count])
    return np.concatenate(chosen)


def resized(images: Images, size: int) -> Images:
    """Reduce square images to size x size pixels, each with `square`. Raises UsageError when they are smaller."""
    from PIL import Image

    count, native, _, channels = images.pixels.shape
    if size == native:
        return images
    if not 1 <= size < native:
        raise UsageError(f"--size {size}: the images have {native}x{native} pixels and can only be reduced")
    flat = images.pixels[..., 0] if channels == 1 else images.pixels
    pixels = np.empty((count, size, size, channels), np.uint8)
    for small, large in zip(pixels, flat, strict=True):
        small[...] = np.asarray(square(Image.fromarray(large), size)).reshape(small.shape)
    return Images(pixels, images.labels)


def square(image: Image.Image, size: int) -> Image.Image:
    """The largest centred square of an 8-bit image, at size x size pixels (Pillow's Lanczos filter)."""
    from PIL import Image

    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.resize((size, size), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))


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
