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
from ltgen_bench.rng import seed_of
from ltgen_bench.scoring.extractor import Extractor, Progress
from ltgen_bench.scoring.feature_cache import features_of

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
        result.append((FeatureSet(features, logits, got.labels, digests, keys_of(got.labels, digests)), order))
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


def keys_of(labels: NDArray[np.int64], digests: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """What images in canonical order are drawn by: the hash of the pixels, another one for each copy of an image."""
    first = np.ones(len(digests), np.bool_)
    first[1:] = (digests[1:] != digests[:-1]) | (labels[1:] != labels[:-1])
    at = np.arange(len(digests))
    copy = at - np.maximum.accumulate(np.where(first, at, 0))
    return _mixed(digests ^ _mixed(copy.astype(np.uint64)))


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A one-to-one hash of 64 bits: the finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        values = (values ^ (values >> np.uint64(shift))) * np.uint64(factor)
    return values


@dataclass(frozen=True)
class FeatureSet:
    """Images in canonical order: features (n, d), logits (n, k), labels (n,), hashes of their pixels (n,).

    keys (n,): what they are drawn by. Whether an image is drawn depends on its own content, and else only on how many
    come before it: a set with one image changed gives the same draw but for one image (bottom-k sampling, Cohen and
    Kaplan 2007). Drawn by place, a changed pixel would deal all anew, and move figures by their standard error.
    """

    features: Tensor
    logits: Tensor
    labels: NDArray[np.int64]
    digests: NDArray[np.uint64]
    keys: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, chosen: NDArray[np.int64] | NDArray[np.bool_] | slice) -> FeatureSet:
        index = chosen if isinstance(chosen, slice) else torch.from_numpy(chosen)
        features, logits = self.features[index], self.logits[index]
        return FeatureSet(features, logits, self.labels[chosen], self.digests[chosen], self.keys[chosen])

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
        if not skip and np.unique(self.labels, return_counts=True)[1].max(initial=0) <= n:
            return self  # in the order that it has: sets of 50,000 are not copied
        order = np.lexsort((self.ranks("draw", seed), self.labels))
        labels = self.labels[order]
        place = np.arange(len(order)) - np.searchsorted(labels, labels)  # within the class
        return self[np.sort(order[(skip <= place) & (place < skip + n)])]

    def sampled(self, n: int, seed: int, skip: int = 0) -> FeatureSet:
        """At most n images, whatever their classes, drawn by the seed, without the first `skip` of the draw."""
        if not skip and n >= len(self):
            return self
        return self[np.sort(np.argsort(self.ranks("draw", seed), kind="stable")[skip : skip + n])]

    def share(self, n: int, seed: int) -> FeatureSet:
        """n images for each class: of each class, where they are equally large, and else whatever their classes."""
        return self.drawn(n, seed) if self.is_balanced else self.sampled(n * len(self.classes), seed)

    def ranks(self, *draw: int | str) -> NDArray[np.uint64]:
        """Random numbers (n,), another series for each name of a draw; the images of the smallest ones are drawn."""
        return _mixed(self.keys ^ np.uint64(seed_of(*draw)))

    def subsets(self, count: int, size: int, seed: int) -> Tensor:
        """Members of random subsets, as columns of 0 and 1: float64 (n, count)."""
        members = torch.zeros(len(self), count, dtype=torch.float64)
        for i in range(count):
            members[np.argpartition(self.ranks("subset", seed, i), size - 1)[:size], i] = 1
        return members

    def distinct(self) -> FeatureSet:
        """One of each image, pixel for pixel."""
        first = np.unique(self.digests, return_index=True)[1]
        return self if len(first) == len(self) else self[np.sort(first)]  # as a rule there is nothing to copy

    @property
    def is_balanced(self) -> bool:
        """Whether its classes are equally large."""
        counts = np.unique(self.labels, return_counts=True)[1]
        return bool(counts.min() == counts.max())

    def balanced(self, seed: int) -> FeatureSet:
        """Cut to the size of the smallest class."""
        return self if self.is_balanced else self.drawn(int(np.unique(self.labels, return_counts=True)[1].min()), seed)


@dataclass(frozen=True)
class Comparison:
    """Real and generated images of the same classes. seed: of whatever is drawn from them.

    The classes of each set are equally large, as `paired` and `paired_distinct` take for granted. Those of a
    long-tailed reference are not, nor those of generated images whose labels were drawn: there draws are
    `in_proportion`, and from that reference `halves_in_proportion`.
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

    def paired_distinct(self, cap: int) -> Comparison:
        """The same with no real image twice; a class that repeats its images has fewer real ones than generated."""
        real = self.real.distinct()
        n = min(_largest(real), min(len(self.generated), cap) // len(self.real.classes))
        return Comparison(real.drawn(n, self.seed), self.generated.drawn(n, self.seed), self.seed)

    def capped(self, cap: int) -> Comparison:
        """At most `cap` images of every class in each set."""
        return Comparison(self.real.drawn(cap, self.seed), self.generated.drawn(cap, self.seed), self.seed)

    def halves(self, cap: int) -> Comparison:
        """Two parts of the distinct real images, as large as `paired_distinct(cap)` if there are so many."""
        real = self.real.distinct()
        n = min(_largest(real) // 2, min(len(self.generated), cap) // len(self.real.classes))
        return Comparison(real.drawn(n, self.seed), real.drawn(n, self.seed, skip=n), self.seed)

    def in_proportion(self, cap: int, *, distinct: bool) -> Comparison:
        """As many real as generated images, at most `cap`: at random, but as many of each class where all have as many.

        distinct: no real image twice.
        """
        real = self.real.distinct() if distinct else self.real
        n = min(len(real), len(self.generated), cap) // len(self.real.classes)
        return Comparison(real.share(n, self.seed), self.generated.share(n, self.seed), self.seed)

    def halves_in_proportion(self, cap: int) -> Comparison:
        """Two random parts of the distinct real images, as large as `in_proportion(cap)` if there are so many."""
        real = self.real.distinct()
        n = min(len(real) // 2, len(self.generated), cap)
        return Comparison(real.sampled(n, self.seed), real.sampled(n, self.seed, skip=n), self.seed)

    @property
    def features(self) -> tuple[Tensor, Tensor]:
        return self.real.features, self.generated.features

    @property
    def counts(self) -> Figures:
        return {"n_real": len(self.real), "n_gen": len(self.generated)}


def _largest(images: FeatureSet) -> int:
    """Images of the largest class."""
    return int(np.unique(images.labels, return_counts=True)[1].max())
