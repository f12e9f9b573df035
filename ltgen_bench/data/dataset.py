"""Long-tailed training sets with balanced references: the published recipe, and the base class of the datasets."""

from __future__ import annotations

import hashlib
import re
import shlex
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ltgen_bench.data.groups import Groups
from ltgen_bench.data.images import Images, describe_shape
from ltgen_bench.data.long_tail import LongTail, choose, exponential_counts, list_classes
from ltgen_bench.data.names import normal
from ltgen_bench.data.notes import say
from ltgen_bench.data.prepare import data_folder
from ltgen_bench.data.resize import resized
from ltgen_bench.errors import UsageError
from ltgen_bench.spec.specs import DatasetSpec

DATA_NAME = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,38}[A-Za-z0-9])?"
"""Of a data set of the user's own images: safe in a path of any system, and in a table."""


@dataclass(frozen=True)
class Pool:
    """The real images a dataset is made from, at their native size.

    images: what the training set is chosen from. reference: what the balanced reference is chosen from, None for
    `images`. test: held-out images, if there are any. notes: what the user should know of how they were read, a
    sentence each. Raises ValueError when they do not go together.
    """

    images: Images
    class_names: tuple[str, ...]
    test: Images | None = None
    reference: Images | None = None
    notes: tuple[str, ...] = ()

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

    def describe(self) -> list[str]:
        """Size of the images, the classes with their ids and numbers, and the notes, in lines of text."""
        held_out = f", {len(self.test):,} held out" if self.test is not None else ""
        counts = np.bincount(self.images.labels, minlength=len(self.class_names)).tolist()
        return [
            f"{len(self.images):,} images of {describe_shape(self.images.pixels.shape[1:])}{held_out}",
            list_classes(self.class_names, counts),
            *self.notes,
        ]


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
        data_name: str | None = None,
    ) -> None:
        """Choose what `load` makes; nothing is read yet.

        imbalance: largest class / smallest class, at least 1; None for the images as they come. size: pixels to reduce
        the images to; None for their own size, but at most max_size. data, reference: the user's own images, for
        datasets that take them. data_dir: see `data_folder`. data_name: tells data sets of the user's own images apart.
        Raises UsageError for data that the dataset does not take, and for a data_name that no file could have.
        """
        if not self.takes_data and (data or reference):
            raise UsageError(f"{self.name} has its own images: leave out --data and --reference")
        if not self.takes_data and data_name is not None:
            raise UsageError(f"{self.name} has its own images and its own name: leave out --data-name")
        if data_name is not None and not re.fullmatch(DATA_NAME, data_name):
            raise UsageError(f"--data-name {data_name!r}: give 1 to 40 of the letters a to z, digits, - . and _")
        if imbalance != "default":
            self.imbalance = None if imbalance is None else float(imbalance)
        self.size = size
        self.max_size = max_size
        self.data = data
        self.reference = reference
        self.data_dir = data_dir
        self.folder = data_folder(data_dir)
        self.full_name = f"{self.name}-{data_name}" if data_name else self.name

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
        for note in pool.notes:
            say(note)
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
            name=self.full_name,
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
        names = tuple(map(normal, pool.class_names))  # they go into pictures, logs and JSON
        return LongTail(spec, train, reference, test, names, Groups.from_counts(counts))

    def size_for(self, native: int) -> int:
        """The size to reduce images of `native` pixels to."""
        return self.size if self.size is not None else min(native, self.max_size or native)

    def not_prepared(self) -> UsageError:
        """The error for data that is not on this machine."""
        return UsageError(
            f"{self.name} is not prepared here (looked in {self.folder}). Run: ltgen-bench {self._prepare_command}"
        )

    @property
    def prepare_again(self) -> str:
        """What to do about files that are damaged, in words for an error."""
        return f"ltgen-bench {self._prepare_command} puts them right"

    def is_whole(self) -> bool:
        """Whether the prepared files can be read; says what is wrong where they cannot."""
        try:
            self.pool()
        except UsageError as error:
            say(f"{error}: doing so")
            return False
        return True

    @property
    def _prepare_command(self) -> str:
        where = f" --data-dir {shlex.quote(str(self.data_dir))}" if self.data_dir else ""
        return f"prepare {self.name}{where}"

    def _training_index(self, labels: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
        if self.imbalance is None:
            return np.arange(len(labels), dtype=np.int64)
        n_max = self.n_max or int(np.bincount(labels).min())
        return choose(labels, exponential_counts(n_max, classes, self.imbalance))
