"""Inception Score from a classifier's logits (Salimans et al. 2016, sec. 4), whatever the order of the images."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltgen_bench.scoring.metric import Metric

if TYPE_CHECKING:
    from ltgen_bench.scoring.feature_sets import Figures
    from ltgen_bench.scoring.scorer import Scoring

SPLITS = 10
_ROWS = 256  # in float64, small enough for the cache


@dataclasses.dataclass(frozen=True)
class InceptionScore:
    """value: exp(mean KL(p(y|x) || p(y))) over all images at once. split_mean, split_std: mean and standard deviation
    (n - 1) of the scores of ten splits, which is what most papers report; the mean is the lower, the fewer images a
    split has. se: standard error of the value, split_std / sqrt(10)."""

    value: float
    split_mean: float
    split_std: float
    se: float


def inception_scores(
    logits: Tensor, labels: NDArray[np.int64], scopes: Iterable[Collection[int]], ranks: NDArray[np.uint64]
) -> list[InceptionScore]:
    """Scores of the images of some labels, for each of several scopes, from one pass over the logits, in float64.

    logits: (n, classes of the classifier) of images with labels (n,); ranks (n,): random numbers that belong to the
    images, by which they are divided into splits. Each split holds the same share of every label: with the usual
    contiguous splits, images sorted by class turn a perfect 100 into 10. Raises ValueError for fewer than 10 images,
    NaN or infinity.
    """
    if len(labels) != len(logits):
        raise ValueError(f"{len(logits)} logits with {len(labels)} labels; as many are needed")
    if not torch.isfinite(logits).all():
        raise ValueError("logits hold NaN or infinity")
    parts = [_Part.of(logits, labels, scope, ranks) for scope in scopes]
    for rows in [slice(at, at + _ROWS) for at in range(0, len(logits), _ROWS)]:
        log_p = logits[rows].double().log_softmax(1)
        p = log_p.exp()
        negentropy = (p * log_p).sum(1)
        for part in parts:
            part.add(rows, p, negentropy)
    return [part.result() for part in parts]


@dataclasses.dataclass
class _Part:
    """The images of some labels on their way to a score: sums over each split."""

    split: Tensor  # of each image, SPLITS for those of other labels
    negentropy: Tensor
    marginal: Tensor

    @classmethod
    def of(cls, logits: Tensor, labels: NDArray[np.int64], scope: Collection[int], ranks: NDArray[np.uint64]) -> _Part:
        inside = np.flatnonzero(np.isin(labels, list(scope)))
        if len(inside) < SPLITS:
            raise ValueError(f"{len(inside)} logits; at least {SPLITS} are needed")
        split = np.full(len(labels), SPLITS)
        split[inside] = _splits(labels[inside], ranks[inside])
        sums = torch.zeros(SPLITS + 1, dtype=torch.float64)
        return cls(torch.from_numpy(split), sums, sums[:, None].repeat(1, logits.shape[1]))

    def add(self, rows: slice, p: Tensor, negentropy: Tensor) -> None:
        split = self.split[rows]
        if bool((split < SPLITS).any()):
            self.negentropy.index_add_(0, split, negentropy)
            self.marginal.index_add_(0, split, p)

    def result(self) -> InceptionScore:
        negentropy, marginal = self.negentropy[:SPLITS], self.marginal[:SPLITS]
        counts = torch.bincount(self.split, minlength=SPLITS)[:SPLITS]
        value = _score(negentropy.sum(), marginal.sum(0), int(counts.sum()))
        scores = [_score(*sums) for sums in zip(negentropy, marginal, counts.tolist(), strict=True)]
        spread = float(torch.tensor(scores).std())
        return InceptionScore(value, math.fsum(scores) / SPLITS, spread, spread / math.sqrt(SPLITS))


def _score(negentropy: Tensor, marginal: Tensor, n: int) -> float:
    """exp(mean sum p log p - sum q log q) with q the mean p: the mean KL divergence in one pass over the images."""
    q = marginal / n
    return math.exp(float(negentropy) / n - float(torch.xlogy(q, q).sum()))


def _splits(labels: NDArray[np.int64], ranks: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Split of each image: every label's images, in the order of their ranks, are cut into splits.

    A label whose images do not divide leaves the next one to go on from there. One changed image moves at most one
    image from each split to the next.
    """
    order = np.lexsort((ranks, labels))
    dealt = np.arange(len(order)) % SPLITS
    split = np.empty(len(order), np.int64)
    split[order] = dealt[np.lexsort((dealt, labels[order]))]
    return split


class ScoreOfExtractor(Metric):
    """Inception Score from the extractor's own logits, where it has any: of all images; split_mean of ten splits."""

    name = "IS"
    better = "higher"
    decimals = 2
    columns = ("overall", "majority", "minority")

    def figures(self, scoring: Scoring) -> Mapping[str, Figures]:
        logits = scoring.scopes.whole.generated.logits
        return _figures(logits, scoring) if logits.shape[1] else {}


class ScoreInDomain(Metric):
    """Inception Score from a classifier of the dataset's own classes, fitted to real images."""

    name = "IS-domain"
    better = "higher"
    decimals = 2

    def figures(self, scoring: Scoring) -> Mapping[str, Figures]:
        found = scoring.label_figures
        return _figures(found.logits, scoring) if found else {}


def _figures(logits: Tensor, scoring: Scoring) -> dict[str, Figures]:
    """Of each scope, from logits of all generated images."""
    scopes = scoring.scopes
    images = scopes.whole.generated
    found = inception_scores(logits, images.labels, scopes.classes.values(), images.ranks("split", scopes.whole.seed))
    return {
        name: {**dataclasses.asdict(result), **scopes.labelled(name).counts}
        for name, result in zip(scopes.classes, found, strict=True)
    }
