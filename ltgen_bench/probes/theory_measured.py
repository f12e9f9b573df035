"""The quantities of CM's Theorem 2.1 in a network's own gradients, and how far its assumptions hold there."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ltgen_bench.errors import UsageError
from ltgen_bench.probes.estimates import jackknife
from ltgen_bench.probes.theory import Numbers, scalar_share, sign_share, theorem_2_1

BATCHES = 2
"""Made of the measured gradients, at least: the spread between them is the error of a share."""
PARTS = 16
"""Of the images, for the error of a cosine; fewer where there are fewer images."""


@dataclasses.dataclass(frozen=True)
class Assessment:
    """What was measured of scalar parameters, what the theory makes of it, and what it assumes.

    parameters: those whose gradient varies. mu_*: root mean square over them of a group's mean gradient; sigma_*: of
    the standard deviation of one gradient; cos: of the two mean gradients, and its standard error. All without the
    bias that noise gives them, so that mu_* and cos are None where the noise hides a mean, and cos can be above 1.
    formula: Theorem 2.1 filled in with these, mu^2 the mean of both groups'; None where cos is None or 1 and more, as
    the noise then hides how far apart the means are.

    A number is nearer to one mean than to another in any unit. In units of its own noise all parameters have the same,
    which the theory then need not assume: snr_*, cos_scaled and scaled are mu_*, cos and formula so. scalar and sign
    are `scalar_share` and `sign_share` in these units, at the precision to which the means are known (`reference`
    gradients of each group). nearest, agreement: their counterparts, with standard errors over the batches (that of
    the means, which all batches are compared with, is not in it). opposed: share of parameters where the groups'
    means have opposite signs; agreement_opposed: how many of these follow the majority.

    kurtosis_*: excess, median over the parameters (0 for normal noise). means_kurtosis: excess over the parameters, of
    the majority's mean in units of noise (0 for normal means). noise_spread: standard deviation over mean of the
    parameters' noise variance (0 where it is alike in all).
    """

    parameters: int
    a: float
    n: int
    reference: int
    mu_majority: float | None
    mu_minority: float | None
    sigma_majority: float
    sigma_minority: float
    cos: float | None
    cos_se: float | None
    formula: float | None
    snr_majority: float | None
    snr_minority: float | None
    cos_scaled: float | None
    cos_scaled_se: float | None
    scaled: float | None
    scalar: float | None
    sign: float | None
    nearest: float
    nearest_se: float
    agreement: float
    agreement_se: float
    opposed: float
    agreement_opposed: float | None
    kurtosis_majority: float
    kurtosis_minority: float
    means_kurtosis: float
    noise_spread: float


def assess(
    majority: NDArray[np.floating],
    minority: NDArray[np.floating],
    *,
    a: float,
    n: int,
) -> Assessment:
    """Compare the theory with batches made of measured gradients.

    majority, minority: gradients of single images, (images, parameters), in random order; of a large network a random
    choice of parameters will do. a: the majority's share of a batch of n (of the two groups alone). As many images of
    each group as half of the smaller one has say what its mean is; the others are made into batches that share none.
    Raises UsageError for a batch without one of the groups, too few images, or gradients that are all the same.
    """
    counts = round(a * n), n - round(a * n)
    if min(counts) < 1:
        raise UsageError(f"a batch of {n} with a majority's share of {a:g} holds only one of the groups")
    reference = min(len(majority), len(minority)) // 2
    batches = min((len(g) - reference) // k for g, k in zip((majority, minority), counts, strict=True))
    if batches < BATCHES:
        raise UsageError(
            f"batches of {counts[0]} + {counts[1]} need more gradients than {len(majority)} of the majority and "
            f"{len(minority)} of the minority: with {2 * BATCHES * max(counts)} of each there are enough"
        )
    share = counts[0] / n
    majority, minority = (group.astype(np.float64) for group in (majority, minority))
    noise = share * majority.var(0, ddof=1) + (1 - share) * minority.var(0, ddof=1)
    if not noise.any():
        raise UsageError("the gradients are the same for all images")
    groups = [group[:, noise > 0] for group in (majority, minority)]
    noise = noise[noise > 0]
    in_units = [group / np.sqrt(noise) for group in groups]
    raw, scaled = _Means.of(groups, reference), _Means.of(in_units, reference)
    sigma = math.sqrt(noise.mean())
    return Assessment(
        parameters=len(noise),
        a=share,
        n=n,
        reference=reference,
        mu_majority=_root(raw.square[0]),
        mu_minority=_root(raw.square[1]),
        sigma_majority=math.sqrt(groups[0].var(0, ddof=1).mean()),
        sigma_minority=math.sqrt(groups[1].var(0, ddof=1).mean()),
        cos=raw.cos,
        cos_se=_cosine_error(groups, reference),
        formula=raw.expected(lambda mu, cos: float(theorem_2_1(share, mu, sigma, n, cos))),
        snr_majority=_root(scaled.square[0]),
        snr_minority=_root(scaled.square[1]),
        cos_scaled=scaled.cos,
        cos_scaled_se=_cosine_error(in_units, reference),
        scaled=scaled.expected(lambda mu, cos: float(theorem_2_1(share, mu, 1, n, cos))),
        scalar=scaled.expected(lambda mu, cos: scalar_share(share, mu, 1, n, cos, reference=reference)),
        sign=scaled.expected(lambda mu, cos: sign_share(share, mu, 1, n, cos, reference=reference)),
        kurtosis_majority=_kurtosis(groups[0]),
        kurtosis_minority=_kurtosis(groups[1]),
        means_kurtosis=_kurtosis((groups[0].mean(0) / np.sqrt(noise))[:, None]),
        noise_spread=float(noise.std() / noise.mean()),
        **_counted(groups, counts, reference, batches),
    )


@dataclasses.dataclass(frozen=True)
class _Means:
    """Mean squares over the parameters of both groups' means, and the mean product, without the bias of noise."""

    square: tuple[float, float]
    product: float

    @classmethod
    def of(cls, groups: Sequence[Numbers], reference: int) -> _Means:
        """From two halves of each group's gradients, whose errors are independent."""
        first, second = ((group[:reference].mean(0), group[reference:].mean(0)) for group in groups)
        return cls.of_halves(first, second)

    @classmethod
    def of_halves(cls, first: tuple[Numbers, Numbers], second: tuple[Numbers, Numbers]) -> _Means:
        """first, second: of each group, the mean gradients of its halves."""
        products = np.mean(first[0] * second[1]) + np.mean(first[1] * second[0])
        return cls((float(np.mean(first[0] * first[1])), float(np.mean(second[0] * second[1]))), float(products) / 2)

    @property
    def cos(self) -> float | None:
        if min(self.square) <= 0:
            return None
        return self.product / math.sqrt(self.square[0] * self.square[1])

    def expected(self, share: Callable[[float, float], float]) -> float | None:
        """A share of mu and cos, of groups with the same mu: the root mean square of both."""
        if self.cos is None or self.cos >= 1:
            return None
        return share(math.sqrt(sum(self.square) / 2), max(-1.0, self.cos))


def _cosine_error(groups: Sequence[Numbers], reference: int) -> float | None:
    """Standard error of `_Means.cos`, over the images: jackknife over parts of both halves of both groups."""
    halves = [half for group in groups for half in (group[:reference], group[reference:])]
    parts = min(PARTS, *map(len, halves))
    if parts < 2:
        return None
    sums = [half.sum(0) for half in halves]
    without = []
    for i in range(parts):
        left = [half[i::parts] for half in halves]
        means = [
            (whole - part.sum(0)) / (len(half) - len(part))
            for whole, part, half in zip(sums, left, halves, strict=True)
        ]
        without.append(_Means.of_halves((means[0], means[1]), (means[2], means[3])).cos)
    return jackknife(without)


def _counted(groups: Sequence[Numbers], counts: tuple[int, int], reference: int, batches: int) -> dict[str, Any]:
    """What is counted in batches of gradients that are not among those of the means."""
    first, second = (group[:reference].mean(0) for group in groups)
    opposed = first * second < 0
    found = []
    for i in range(batches):
        rows = (group[reference + i * k : reference + (i + 1) * k] for group, k in zip(groups, counts, strict=True))
        batch = np.add(*(its.sum(0) for its in rows)) / sum(counts)
        same = batch * first > 0
        nearer = np.abs(batch - first) < np.abs(batch - second)
        found.append((nearer.mean(), same.mean(), same[opposed].mean() if opposed.any() else 0))
    nearest, agreement, of_opposed = np.mean(found, 0)
    errors = np.std(found, 0, ddof=1) / math.sqrt(batches)
    return {
        "nearest": float(nearest),
        "nearest_se": float(errors[0]),
        "agreement": float(agreement),
        "agreement_se": float(errors[1]),
        "opposed": float(opposed.mean()),
        "agreement_opposed": float(of_opposed) if opposed.any() else None,
    }


def _root(square: float) -> float | None:
    return math.sqrt(square) if square > 0 else None


def _kurtosis(values: NDArray[np.floating]) -> float:
    """Excess kurtosis of each column, its median over those that vary."""
    centred = values - values.mean(0)
    variance = np.mean(centred**2, 0)
    vary = variance > 0
    return float(np.median(np.mean(centred[:, vary] ** 4, 0) / variance[vary] ** 2)) - 3 if vary.any() else 0.0
