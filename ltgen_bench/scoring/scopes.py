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
    them; by default those of `whole`. A scope has its share of the images that are drawn for the whole. Where the
    classes of the real ones are unequal (`long_tailed`), or those of generated ones whose labels were drawn, as many of
    both are drawn for each scope by itself.
    """

    def __init__(self, whole: Comparison, groups: Groups, balanced: FeatureSet | None = None) -> None:
        self.whole, self.groups = whole, groups
        self.balanced, self.long_tailed = balanced or whole.real, not whole.real.is_balanced
        self.unequal = self.long_tailed or not whole.generated.is_balanced
        self.classes = {"overall": sorted(c for _, ids in groups for c in ids)}
        self.classes |= {name: sorted(ids) for name, ids in groups}
        self.parts = {name: whole.of(ids) for name, ids in self.classes.items()}

    def labelled(self, scope: str) -> Comparison:
        """Generated images, and the real ones that tell classes apart."""
        return Comparison(self.balanced, self.whole.generated, self.whole.seed).of(self.classes[scope])

    def drawn(self, scope: str) -> Comparison:
        """Real and generated images, equally many, no real one twice: for nearest neighbours."""
        if self.unequal:
            return self.parts[scope].in_proportion(self._cap(scope, NEIGHBOURS_CAP), distinct=True)
        return self._drawn.of(self.classes[scope])

    def pooled(self, scope: str) -> Comparison:
        """Real and generated images, equally many: for KID."""
        if self.unequal:
            return self.parts[scope].in_proportion(self._cap(scope, KID_CAP), distinct=False)
        return self._pooled.of(self.classes[scope])

    def as_papers_do(self, scope: str) -> Comparison | None:
        """All real and generated images, equally many; None where those are no more than `drawn` has."""
        if min(map(len, self.whole.features)) <= NEIGHBOURS_CAP:
            return None
        return self.parts[scope].in_proportion(PAPERS_CAP, distinct=False)

    def real_halves(self, scope: str) -> Comparison:
        """Two halves of the real images, for what real images reach beside real ones."""
        if self.long_tailed:
            return self.parts[scope].halves_in_proportion(NEIGHBOURS_CAP)
        return self._halves.of(self.classes[scope])

    def _cap(self, scope: str, cap: int) -> int:
        """A scope's share, but of a long-tailed set as many as of the whole: a rare group has few enough."""
        return cap if self.long_tailed else cap * len(self.classes[scope]) // len(self.ids)

    @property
    def sizes(self) -> int | list[int]:
        """Generated images: how many decides which real ones are drawn beside them."""
        of_scopes = [len(part.generated) for part in self.parts.values()]
        return len(self.whole.generated) if self.whole.generated.is_balanced else of_scopes

    @functools.cached_property
    def _drawn(self) -> Comparison:
        return self.whole.paired_distinct(NEIGHBOURS_CAP)

    @functools.cached_property
    def _pooled(self) -> Comparison:
        return self.whole.paired(KID_CAP)

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
