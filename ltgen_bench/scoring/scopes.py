"""What figures are computed from: the images overall and of each group, and draws of them for quadratic cost."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from ltgen_bench.data.groups import Groups
from ltgen_bench.scoring.feature_sets import Comparison, FeatureSet

# The most images of a set in figures of quadratic cost: nearest neighbours, pooled KID, KID of one class.
NEIGHBOURS_CAP, KID_CAP, CLASS_CAP = 10_000, 5_000, 1_000
PAPERS_CAP = 50_000
"""The most images of a set in figures as papers have them."""


class Scopes:
    """Real and generated images, all of them ("overall") and those of each group of classes.

    classes: ids by scope; parts: the images of each scope. balanced: real images, as many of each class, for what needs
    them; by default those of `whole`. A scope has its share of the images that are drawn for the whole, unless the
    classes of the real ones are unequal (`long_tailed`): then it is drawn for by itself.
    """

    def __init__(self, whole: Comparison, groups: Groups, balanced: FeatureSet | None = None) -> None:
        self.whole, self.groups = whole, groups
        counts = np.unique(whole.real.labels, return_counts=True)[1]
        self._drawn: dict[int, Comparison] = {}  # by the most images
        self._pooled: dict[int, Comparison] = {}
        self.balanced, self.long_tailed = balanced or whole.real, bool(counts.min() < counts.max())
        self.classes = {"overall": sorted(c for _, ids in groups for c in ids)}
        self.classes |= {name: sorted(ids) for name, ids in groups}
        self.parts = {name: whole.of(ids) for name, ids in self.classes.items()}

    def labelled(self, scope: str) -> Comparison:
        """Generated images, and the real ones that tell classes apart."""
        return Comparison(self.balanced, self.whole.generated, self.whole.seed).of(self.classes[scope])

    def drawn(self, scope: str, cap: int = NEIGHBOURS_CAP) -> Comparison:
        """Real and generated images, equally many, no real one twice: for nearest neighbours."""
        if self.long_tailed:
            return self.parts[scope].in_proportion(cap, distinct=True)
        if cap not in self._drawn:
            self._drawn[cap] = self.whole.paired_distinct(cap)
        return self._drawn[cap].of(self.classes[scope])

    def pooled(self, scope: str, cap: int = KID_CAP) -> Comparison:
        """Real and generated images, equally many: for KID."""
        if self.long_tailed:
            return self.parts[scope].in_proportion(cap, distinct=False)
        if cap not in self._pooled:
            self._pooled[cap] = self.whole.paired(cap)
        return self._pooled[cap].of(self.classes[scope])

    def real_halves(self, scope: str) -> Comparison:
        """Two halves of the real images, for what real images reach beside real ones."""
        if self.long_tailed:
            return self.parts[scope].halves_in_proportion(NEIGHBOURS_CAP)
        return self._halves.of(self.classes[scope])

    @functools.cached_property
    def _halves(self) -> Comparison:
        return self.whole.halves(NEIGHBOURS_CAP)

    @property
    def ids(self) -> list[int]:
        """Of all classes."""
        return self.classes["overall"]

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
