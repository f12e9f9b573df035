"""Long-tailed training sets: the published recipe."""

from __future__ import annotations

import math
import textwrap
import typing
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ltgen_bench.data.groups import Groups
from ltgen_bench.data.images import Images, describe_shape
from ltgen_bench.errors import UsageError, unknown
from ltgen_bench.spec.specs import DatasetSpec, Reference


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

    def real(self, name: str) -> Images:
        """The images to score against that are called so (see `specs.Reference`). Raises UsageError for another name,
        and where there are none."""
        sets: dict[str, Images | None] = {"balanced": self.reference, "train": self.train, "test": self.test}
        if name not in sets:
            raise unknown("set of real images", name, typing.get_args(Reference), "--against")
        if (images := sets[name]) is None:
            raise UsageError(f"--against test: {self.spec.name} has no test images; score against balanced or train")
        return images

    def describe(self) -> list[str]:
        """What a run takes from it, in lines of text: size and number of the images, the classes with their ids."""
        shape = describe_shape(self.train.pixels.shape[1:])
        held_out = f", {len(self.test):,} held out" if self.test is not None else ""
        return [
            f"{self.spec.name}: {len(self.train):,} training images of {shape}, {len(self.reference):,} to score "
            f"against{held_out}",
            list_classes(self.class_names, self.class_counts),
        ]


def list_classes(names: Sequence[str], counts: Sequence[int]) -> str:
    """Id, name and number of images of each class, in lines of at most 100 characters.

    >>> list_classes(["cat", "dog"], [40, 2])
    '2 classes, id: name (images): 0: cat (40), 1: dog (2)'
    """
    items = [f"{c}: {name} ({count:,})" for c, (name, count) in enumerate(zip(names, counts, strict=True))]
    text = ", ".join(item.replace(" ", "\0") for item in items)  # lines break between classes only
    text = textwrap.fill(
        f"{len(names)} classes, id: name (images): {text}", 100, break_long_words=False, break_on_hyphens=False
    )
    return text.replace("\0", " ")


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
            f"as the largest class has {n_max}; none takes the images as they come, and the largest ratio that leaves "
            f"every class an image is {largest}"
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
