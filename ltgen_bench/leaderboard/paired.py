"""Differences between two configurations, seed by seed, and what a handful of seeds can tell.

Both runs of a pair start from the same weights and see the same images and, on the same kind of device, the same times,
noise, flips and dropout, so that much of the chance is in both and goes out of the difference. No bootstrap over seeds
and no stars: over 3 seeds a bootstrap's 95 % interval covers 75 %, and no paired two-sided rank test of 5 or fewer can
reach p < 0.05.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

LEVEL = 0.95
"""Of intervals."""

SEEDS = 3
"""Pairs that a difference needs before it is called resolved, and seeds that a row needs before it can lead."""

Verdict = Literal["better", "worse", "not resolved"]


@dataclass(frozen=True)
class Paired:
    """A figure of two configurations at each seed that both have, and their difference: the first less the second.

    pairs: {seed: (first, second)}, of at least one seed. better: which way; None where neither is. noise: how far apart
    two means must be at least, as seeds alone move a figure by as much.
    """

    pairs: Mapping[int, tuple[float, float]]
    better: Literal["lower", "higher"] | None
    noise: float = 0.0

    @classmethod
    def at_common_seeds(
        cls,
        first: Mapping[int, float],
        second: Mapping[int, float],
        better: Literal["lower", "higher"] | None,
    ) -> Paired | None:
        """Of two {seed: figure}; None where no seed has both."""
        pairs = {seed: (first[seed], second[seed]) for seed in sorted(first.keys() & second.keys())}
        return cls(pairs, better) if pairs else None

    @functools.cached_property
    def differences(self) -> dict[int, float]:
        """By seed."""
        return {seed: first - second for seed, (first, second) in sorted(self.pairs.items())}

    @property
    def n(self) -> int:
        return len(self.pairs)

    @functools.cached_property
    def mean(self) -> float:
        return statistics.fmean(self.differences.values())

    @functools.cached_property
    def base(self) -> float:
        """The second's mean."""
        return statistics.fmean(second for _, second in self.pairs.values())

    @functools.cached_property
    def interval(self) -> tuple[float, float] | None:
        """Student's t interval of the mean difference, n - 1 degrees of freedom; None for a single pair."""
        mean, half = mean_and_interval(self.differences.values())
        return None if half is None else (mean - half, mean + half)

    @property
    def worst(self) -> float | None:
        """By how much the first is worse at that end of the interval; below 0 where it is better even there."""
        if self.better is None or self.interval is None:
            return None
        return self.interval[1] if self.better == "lower" else -self.interval[0]

    @property
    def relative(self) -> float | None:
        """The mean difference as a share of the second's mean; None where that is not above 0, as of some KIDs."""
        return self.mean / self.base if self.base > 0 else None

    @property
    def wins(self) -> int:
        """Seeds at which the first is better; a tie is no win."""
        sign = {"lower": -1, "higher": 1, None: 0}[self.better]
        return sum(sign * difference > 0 for difference in self.differences.values())

    @property
    def verdict(self) -> Verdict:
        """Of the first. Resolved needs SEEDS pairs, an interval without 0, and a difference not below the noise."""
        if self.better is None or self.n < SEEDS or self.interval is None or abs(self.mean) < self.noise:
            return "not resolved"
        low, high = self.interval
        if low <= 0 <= high:
            return "not resolved"
        return "better" if (high < 0) == (self.better == "lower") else "worse"


def mean_and_interval(values: Iterable[float]) -> tuple[float, float | None]:
    """The mean, and half the width of its Student's t interval; None for a single value."""
    known = list(values)
    if len(known) < 2:
        return known[0], None
    return statistics.fmean(known), t_quantile(len(known) - 1) * deviation(known) / math.sqrt(len(known))


def deviation(values: Collection[float]) -> float:
    """Of a sample of at least two, n - 1; `statistics.stdev`, which is exact, takes most of the time of a page."""
    mean = statistics.fmean(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


@functools.cache
def t_quantile(freedom: int) -> float:
    """Half the width, in standard errors, of a two-sided interval."""
    from scipy.special import stdtrit  # type: ignore[import-untyped]  # what scipy.stats.t.ppf calls; a fast import

    return float(stdtrit(freedom, (1 + LEVEL) / 2))
