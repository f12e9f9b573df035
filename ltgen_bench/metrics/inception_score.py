"""Inception Score from a classifier's logits (Salimans et al. 2016, sec. 4), whatever the order of the images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SPLITS = 10
_ROWS = 256  # in float64, small enough for the cache


@dataclass(frozen=True)
class InceptionScore:
    """value: exp(mean KL(p(y|x) || p(y))) over all images at once. split_std: standard deviation (n - 1) of the scores
    of ten splits, the usual "±". se: standard error of the value, split_std / sqrt(10)."""

    value: float
    split_std: float
    se: float


def inception_score(logits: Tensor, labels: NDArray[np.int64], seed: int) -> InceptionScore:
    """Score of logits (n, classes of the classifier) of images with labels (n,), in float64.

    Splits are drawn so that each holds the same share of every label: with the usual contiguous splits, images sorted
    by class turn a perfect 100 into 10. Raises ValueError for fewer than 10 images, NaN or infinity.
    """
    if len(logits) < SPLITS or len(labels) != len(logits):
        raise ValueError(f"{len(logits)} logits with {len(labels)} labels; at least {SPLITS} of each are needed")
    if not torch.isfinite(logits).all():
        raise ValueError("logits hold NaN or infinity")
    split = torch.from_numpy(_splits(logits.numpy(), labels, seed))
    negentropy = torch.zeros(SPLITS, dtype=torch.float64)
    marginal = torch.zeros(SPLITS, logits.shape[1], dtype=torch.float64)
    for rows, part in zip(torch.split(logits, _ROWS), torch.split(split, _ROWS), strict=True):
        log_p = rows.double().log_softmax(1)
        p = log_p.exp()
        negentropy.index_add_(0, part, (p * log_p).sum(1))
        marginal.index_add_(0, part, p)
    counts = torch.bincount(split, minlength=SPLITS)
    value = _score(negentropy.sum(), marginal.sum(0), len(logits))
    scores = torch.tensor([_score(*sums) for sums in zip(negentropy, marginal, counts.tolist(), strict=True)])
    spread = float(scores.std())
    return InceptionScore(value, spread, spread / math.sqrt(SPLITS))


def _score(negentropy: Tensor, marginal: Tensor, n: int) -> float:
    """exp(mean sum p log p - sum q log q) with q the mean p: the mean KL divergence in one pass over the images."""
    q = marginal / n
    return math.exp(float(negentropy) / n - float(torch.xlogy(q, q).sum()))


def _splits(logits: NDArray[np.float32], labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Split of each image: every label's images, shuffled, are dealt out in turn, the next label going on from there.

    Images are first sorted by label and logits, so that the deal depends on the set of images and not on their order.
    """
    order = np.lexsort((*logits.T[:4], labels))
    shuffled = np.random.default_rng(seed).permutation(len(order))
    order = order[shuffled][np.argsort(labels[order[shuffled]], kind="stable")]
    split = np.empty(len(order), np.int64)
    split[order] = np.arange(len(order)) % SPLITS
    return split
