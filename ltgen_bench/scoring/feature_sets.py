"""Sets of images as the scorer sees them: features, labels and content hashes, in an order of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltgen_bench.data.images import Images
from ltgen_bench.scoring.extractors import Extractor, Progress, features_of

Figures = dict[str, float | int | str]
"""What is known of one metric of one group: value, se, n_real, ..."""


def read(
    sets: Sequence[Images], extractor: Extractor, cache: Path | None, progress: Progress | None
) -> list[tuple[FeatureSet, NDArray[np.int64]]]:
    """Features of all sets, each in canonical order, and that order.

    Arguments as in `scorer.Scoring`; progress counts the images of all.
    """
    total, before, result = sum(map(len, sets)), 0, []
    for images in sets:
        order, digests = canonical(images)
        report = None if progress is None else lambda n, _, before=before: progress(before + n, total)
        got = features_of(images[order], extractor, cache, report)
        before += len(images)
        features, logits = torch.from_numpy(got.features), torch.from_numpy(got.logits)
        result.append((FeatureSet(features, logits, got.labels, digests), order))
    return result


def canonical(images: Images) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """An order by class, then by content, and the hashes of the images' pixels in that order.

    The same set of images is then the same array, however it was stored.
    """
    pixels = np.ascontiguousarray(images.pixels)
    hashes = (hashlib.blake2b(p.data, digest_size=8).digest() for p in pixels)
    digests = np.array([int.from_bytes(h, "big") for h in hashes], np.uint64)
    order = np.lexsort((digests, images.labels))
    return order, digests[order]


@dataclass(frozen=True)
class FeatureSet:
    """Images in canonical order: features (n, d), logits (n, k), labels (n,), hashes of their pixels (n,)."""

    features: Tensor
    logits: Tensor
    labels: NDArray[np.int64]
    digests: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, chosen: NDArray[np.int64] | NDArray[np.bool_] | slice) -> FeatureSet:
        index = chosen if isinstance(chosen, slice) else torch.from_numpy(chosen)
        return FeatureSet(self.features[index], self.logits[index], self.labels[chosen], self.digests[chosen])

    @property
    def classes(self) -> NDArray[np.int64]:
        """Ids of its classes, in order."""
        return np.unique(self.labels)

    def of(self, classes: Sequence[int]) -> FeatureSet:
        chosen = np.flatnonzero(np.isin(self.labels, classes))
        if len(chosen) and chosen[-1] - chosen[0] + 1 == len(chosen):
            return self[slice(chosen[0], chosen[-1] + 1)]  # a view: labels are sorted, and most calls are for a class
        return self[chosen]

    def drawn(self, n: int, seed: int, skip: int = 0) -> FeatureSet:
        """At most n images of each class, drawn by the seed, without the first `skip` of the draw."""
        order = np.random.default_rng(seed).permutation(len(self))
        order = order[np.argsort(self.labels[order], kind="stable")]
        labels = self.labels[order]
        place = np.arange(len(order)) - np.searchsorted(labels, labels)  # within the class
        return self[np.sort(order[(skip <= place) & (place < skip + n)])]

    def balanced(self, seed: int) -> FeatureSet:
        """Cut to the size of the smallest class."""
        counts = np.unique(self.labels, return_counts=True)[1]
        return self.drawn(int(counts.min()), seed) if counts.min() < counts.max() else self


@dataclass(frozen=True)
class Comparison:
    """Real and generated images of the same classes, the classes of each set equally large.

    seed: of whatever is drawn from them.
    """

    real: FeatureSet
    generated: FeatureSet
    seed: int

    def of(self, classes: Sequence[int]) -> Comparison:
        return Comparison(self.real.of(classes), self.generated.of(classes), self.seed)

    def paired(self, cap: int) -> Comparison:
        """The same number of images of every class in both sets, at most `cap` in all."""
        n = min(len(self.real), len(self.generated), cap) // len(self.real.classes)
        return Comparison(self.real.drawn(n, self.seed), self.generated.drawn(n, self.seed), self.seed)

    def capped(self, cap: int) -> Comparison:
        """At most `cap` images of every class in each set."""
        return Comparison(self.real.drawn(cap, self.seed), self.generated.drawn(cap, self.seed), self.seed)

    def halves(self, cap: int) -> Comparison:
        """Two disjoint parts of the real images, as large as `paired(cap)` if there are so many."""
        n = min(len(self.real) // 2, len(self.generated), cap) // len(self.real.classes)
        return Comparison(self.real.drawn(n, self.seed), self.real.drawn(n, self.seed, skip=n), self.seed)

    @property
    def features(self) -> tuple[Tensor, Tensor]:
        return self.real.features, self.generated.features

    @property
    def counts(self) -> Figures:
        return {"n_real": len(self.real), "n_gen": len(self.generated)}
