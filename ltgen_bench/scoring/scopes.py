"""What figures are computed from: the images overall and of each group, and draws of them for quadratic cost."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from ltgen_bench.data.groups import Groups
from ltgen_bench.scoring.feature_sets import Comparison, FeatureSet

# The most images of a set in figures of quadratic cost: nearest neighbours, pooled KID, KID of one class.
NEIGHBOURS_CAP, KID_CAP, CLASS_CAP = 10_000, 5_000, 1_000


class Scopes:
    """Real and generated images, all of them ("overall") and those of each group of classes.

    classes: ids by scope; parts: the images of each scope. drawn, pooled: equally many real and generated images of
    each class, for nearest neighbours (no real image twice) and for KID; a scope has its share of the images that were
    drawn for the whole.
    """

    def __init__(self, whole: Comparison, groups: Groups) -> None:
        self.whole, self.groups = whole, groups
        self.classes = {"overall": sorted(c for _, ids in groups for c in ids)}
        self.classes |= {name: sorted(ids) for name, ids in groups}
        self.parts = {name: whole.of(ids) for name, ids in self.classes.items()}
        self.drawn, self.pooled = whole.paired_distinct(NEIGHBOURS_CAP), whole.paired(KID_CAP)

    @property
    def ids(self) -> list[int]:
        """Of all classes."""
        return self.classes["overall"]

    @functools.cached_property
    def real_halves(self) -> Comparison:
        """Two halves of the real images, for what real images reach beside real ones."""
        return self.whole.halves(NEIGHBOURS_CAP)

    def of_class(self, c: int) -> Comparison:
        """The images of one class, as many as its KID is computed from."""
        return self.whole.of([c]).capped(CLASS_CAP)

    def with_moments(self) -> list[str]:
        """The scopes whose moments are of use: with as many images as dimensions; not overall, if all groups have."""
        d = self.whole.real.features.shape[1]
        enough = [name for name, part in self.parts.items() if min(map(len, part.features)) >= d]
        whole = all(name in enough for name, _ in self.groups)
        return [name for name in enough if not (whole and name == "overall")]


def classifier_halves(real: FeatureSet, seed: int) -> tuple[FeatureSet, FeatureSet] | None:
    """Real images to fit a classifier to, and as many others to test it on; None where they are too few."""
    distinct = real.distinct()
    counts = np.unique(distinct.labels, return_counts=True)[1]
    n = min(int(counts.min()) // 2, NEIGHBOURS_CAP // len(counts)) if len(counts) == len(real.classes) else 0
    return (distinct.drawn(n, seed), distinct.drawn(n, seed, skip=n)) if n > 1 else None


def positions(labels: NDArray[np.int64], ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Labels as positions in the sorted ids."""
    return np.searchsorted(ids, labels)
