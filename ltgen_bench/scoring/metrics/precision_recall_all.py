"""Precision and recall from all images, 50,000 against 50,000 as in the long-tail papers: minutes, but no n x n."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ltgen_bench.scoring.metric import Metric
from ltgen_bench.scoring.metrics.precision_recall import KS, Neighbours, neighbours, radii
from ltgen_bench.storage.array_cache import cached

if TYPE_CHECKING:
    from ltgen_bench.scoring.feature_sets import Comparison, Figures
    from ltgen_bench.scoring.scorer import Scoring

_VERSION = 1  # of what is kept


class _OfAll(Metric):
    """k = 5, and k = 3 beside it. Nothing where there are no more images than for `recall` and `precision`.

    As the released code of CBDM counts: a point is no neighbour of its own, and balls do not include their surface.
    """

    def figures(self, scoring: Scoring) -> Mapping[str, Figures]:
        found = {}
        share = self.name.removesuffix("-all")
        for name, ((first, second), counts) in scoring.shared(_of_scopes).items():
            of_first, of_second = getattr(first, share), getattr(second, share)
            figures: Figures = {"value": of_first.value, "se": of_first.se, "k": first.k}
            found[name] = figures | {f"k{second.k}": of_second.value} | counts
        return found


class PrecisionOfAll(_OfAll):
    """`precision` from all images, at most 50,000 of each set."""

    name = "precision-all"
    better = "higher"
    decimals = 3
    columns = ("overall", "majority", "minority")


class RecallOfAll(_OfAll):
    """`recall` from all images, at most 50,000 of each set, as the long-tail papers have it."""

    name = "recall-all"
    better = "higher"
    decimals = 3
    columns = ("overall", "majority", "minority")


def _of_scopes(scoring: Scoring) -> dict[str, tuple[tuple[Neighbours, ...], Figures]]:
    """Of all images and of each group, and how many those are."""
    parts = ((name, scoring.scopes.as_papers_do(name)) for name in scoring.scopes.classes)
    return {
        name: (neighbours(*part.features, KS, _real_radii(scoring, part), surface=False), part.counts)
        for name, part in parts
        if part
    }


def _real_radii(scoring: Scoring, part: Comparison) -> Tensor:
    """Read from the cache where another model's scoring has left them."""
    return cached(
        scoring.cache_file("radii", _VERSION, [part.real.labels, part.real.digests], *KS),
        lambda: radii(part.real.features, KS),
        lambda found: {"radii": found.numpy()},
        lambda arrays: torch.from_numpy(arrays["radii"]),
    )
