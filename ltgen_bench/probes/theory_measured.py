"""The quantities of CM's Theorem 2.1 in a network's own gradients, and how far its assumptions hold there."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from ltgen_bench.errors import UsageError
from ltgen_bench.probes.theory import scalar_share, sign_share, theorem_2_1

BATCHES = 2
"""Made of the measured gradients, at least: the spread between them is the error of a share."""


@dataclasses.dataclass(frozen=True)
class Assessment:
    """What was measured of scalar parameters, what the theory makes of it, and what it assumes.

    mu_*: root mean square over the parameters of a group's mean gradient; sigma_*: of the standard deviation of one
    gradient. Both mu and cos are without the bias that noise gives them, so that mu_* and cos are None where the noise
    hides the mean. formula: Theorem 2.1 with mu^2 the mean of both groups'. scalar, sign: `scalar_share` and
    `sign_share` at the precision to which the means are known (`reference` gradients of each group). nearest,
    agreement: the measured counterparts of scalar and sign, with standard errors over the batches (the error of the
    means, which all batches are compared with, is not in them). opposed: share of parameters where the groups' means
    have opposite signs; agreement_opposed: how many of these follow the majority.
    kurtosis_*: excess, median over the parameters (0 for normal noise); means_kurtosis: excess, of the majority's mean
    over the parameters (0 for normal means). noise_spread: standard deviation over mean of the parameters' noise
    variance (0 where the noise is alike in all).
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
    formula: float | None
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
    Raises UsageError for a batch without one of the groups, or too few images.
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
    known = [group[:reference].astype(np.float64) for group in (majority, minority)]
    drawn = [group[reference:].astype(np.float64) for group in (majority, minority)]
    first, second = (group.mean(0) for group in known)
    square = [float(np.mean(one.mean(0) * other.mean(0))) for one, other in zip(known, drawn, strict=True)]
    product = float(np.mean(first * drawn[1].mean(0)) + np.mean(second * drawn[0].mean(0))) / 2
    variances = [group.var(0, ddof=1) for group in (majority.astype(np.float64), minority.astype(np.float64))]
    share = counts[0] / n
    noise = share * variances[0] + (1 - share) * variances[1]
    expected = _expected(square, product, float(noise.mean()), share, n, reference)

    opposed = first * second < 0
    found = []
    for i in range(batches):
        batch = np.add(*(g[i * k : (i + 1) * k].sum(0) for g, k in zip(drawn, counts, strict=True))) / n
        same = batch * first > 0
        found.append(
            (
                np.mean(np.abs(batch - first) < np.abs(batch - second)),
                same.mean(),
                same[opposed].mean() if opposed.any() else 0,
            )
        )
    nearest, agreement, of_opposed = np.mean(found, 0)
    errors = np.std(found, 0, ddof=1) / math.sqrt(batches)
    return Assessment(
        parameters=majority.shape[1],
        a=share,
        n=n,
        reference=reference,
        mu_majority=_root(square[0]),
        mu_minority=_root(square[1]),
        sigma_majority=math.sqrt(variances[0].mean()),
        sigma_minority=math.sqrt(variances[1].mean()),
        nearest=float(nearest),
        nearest_se=float(errors[0]),
        agreement=float(agreement),
        agreement_se=float(errors[1]),
        opposed=float(opposed.mean()),
        agreement_opposed=float(of_opposed) if opposed.any() else None,
        kurtosis_majority=_kurtosis(majority),
        kurtosis_minority=_kurtosis(minority),
        means_kurtosis=_kurtosis(majority.mean(0)[:, None]),
        noise_spread=float(noise.std() / noise.mean()),
        **expected,
    )


def _expected(
    square: list[float], product: float, noise: float, a: float, n: int, reference: int
) -> dict[str, float | None]:
    """cos, and what the theory says; None where the noise hides a mean."""
    if min(square) <= 0:
        return dict.fromkeys(("cos", "formula", "scalar", "sign"))
    cos = max(-1.0, min(1.0, product / math.sqrt(square[0] * square[1])))
    mu, sigma = math.sqrt(sum(square) / 2), math.sqrt(noise)
    return {
        "cos": cos,
        "formula": float(theorem_2_1(a, mu, sigma, n, cos)),
        "scalar": scalar_share(a, mu, sigma, n, cos, reference=reference),
        "sign": sign_share(a, mu, sigma, n, cos, reference=reference),
    }


def _root(square: float) -> float | None:
    return math.sqrt(square) if square > 0 else None


def _kurtosis(values: NDArray[np.floating]) -> float:
    """Excess kurtosis of each column, its median over those that vary."""
    centred = values - values.mean(0)
    variance = np.mean(centred**2, 0)
    vary = variance > 0
    return float(np.median(np.mean(centred[:, vary] ** 4, 0) / variance[vary] ** 2)) - 3 if vary.any() else 0.0
