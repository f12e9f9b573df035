"""Which distance can be ranked: the one rule, for whoever computes distances and whoever shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ltgen_bench.scoring.metric_table import metric_name

DISTANCES = ("FD", "FD64", "KID")
"""In all features, in their 64 principal directions, and unbiased at any number of images: the first that can be ranked
is the headline."""

PER_DIMENSION = 4
"""Images per feature dimension that a Fréchet distance needs to be ranked."""


def warning(n_real: int, n_gen: int, dimensions: int) -> str | None:
    """What to say of a Fréchet distance from so few images: fewer than dimensions ("n<d"), than four times as many
    ("n<4d"), or nothing."""
    n = min(n_real, n_gen)
    if n >= PER_DIMENSION * dimensions:
        return None
    return "n<d" if n < dimensions else "n<4d"


def headline(results: Iterable[Mapping[str, Mapping[str, Mapping[str, Any]]]], features: str, *groups: str) -> str:
    """The distance to rank results by, for all of these groups alike: "FD", "FD64" or "KID".

    The first one that every result has of every group, and that is nowhere from fewer than 4 images (the smaller of
    real and generated) per feature dimension: below, its bias depends on the model, and a model that varies too little
    can come before a perfect one. KID has no such bias. results: scores of records, in these features; those from
    before FD64 existed lack it. Where no distance will do, "FD", whose figures say so themselves.
    """
    every = list(results)

    def can_be_ranked(distance: str) -> bool:
        found = [scores.get(metric_name(distance, features), {}).get(group) for scores in every for group in groups]
        return all(figures is not None and figures.get("flag") not in ("n<d", "n<4d") for figures in found)

    return next(filter(can_be_ranked, DISTANCES), DISTANCES[0])
