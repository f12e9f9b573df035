"""Fréchet distances of a record: in all features and in few directions, of groups and of classes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ltgen_bench.scoring.headline import warning
from ltgen_bench.scoring.metric import Metric
from ltgen_bench.scoring.metrics.frechet import SPREAD, Frechet, Pair

if TYPE_CHECKING:
    from ltgen_bench.scoring.feature_sets import Comparison, Figures
    from ltgen_bench.scoring.scorer import Scoring

_ROWS = 8192


class FrechetDistance(Metric):
    """Fréchet distance of the Gaussians fitted to real and to generated features (Heusel et al. 2017)."""

    name = "FD"
    better = "lower"
    decimals = 2
    columns = ("overall", "majority", "minority")

    def figures(self, scoring: Scoring) -> Mapping[str, Figures]:
        return {
            name: _figures(scoring.pairs[name].frechet(_some(part)), part)
            for name, part in scoring.scopes.parts.items()
        }


class PrincipalFrechetDistance(Metric):
    """Fréchet distance in the principal directions (at most 64) of all real images, those of every group: what can be
    ranked where there are too few images for all dimensions (see `headline`)."""

    name = "FD64"
    better = "lower"
    decimals = 2

    def figures(self, scoring: Scoring) -> Mapping[str, Figures]:
        axes = scoring.reference.axes
        return {name: _along(axes, part) for name, part in scoring.scopes.parts.items()}


class ClassFrechetDistance(Metric):
    """Fréchet distance of each class in the principal directions (at most 64) of all real images."""

    name = "class-FD64"
    better = "lower"
    decimals = 2

    def figures(self, scoring: Scoring) -> Mapping[str, Figures]:
        return scoring.shared(_of_classes)


class MeanFrechetDistance(Metric):
    """Mean over the classes of a group of class-FD64."""

    name = "mFD64"
    better = "lower"
    decimals = 2

    def figures(self, scoring: Scoring) -> Mapping[str, Figures]:
        return scoring.class_means(scoring.shared(_of_classes))


def _of_classes(scoring: Scoring) -> dict[str, Figures]:
    axes, whole = scoring.reference.axes, scoring.scopes.whole
    return {str(c): _along(axes, whole.of([c])) for c in scoring.scopes.ids}


def _along(axes: Tensor, part: Comparison) -> Figures:
    """Of the projections on some directions, columns (d, k)."""
    real, generated, some = (_projected(features, axes) for features in (*part.features, _some(part)))
    return _figures(Pair.of(real, generated, None).frechet(some), part, axes.shape[1])


def _projected(features: Tensor, axes: Tensor) -> Tensor:
    """(n, k) in float64; in blocks, as torch would first make a float64 copy of 50,000 features."""
    return torch.cat([rows.double() @ axes for rows in torch.split(features, _ROWS)])


def _some(part: Comparison) -> Tensor:
    """Features of generated images of every class, as many as a standard error needs."""
    images = part.generated
    if len(images) <= SPREAD:
        return images.features
    return images.drawn(math.ceil(SPREAD / len(images.classes)), part.seed).features


def _figures(result: Frechet, part: Comparison, d: int | None = None) -> Figures:
    """flag: see `warning`. d: dimensions, where they are not all features."""
    figures: Figures = {
        "value": result.value,
        "se": result.se,
        "floor": result.floor,
        "debiased": result.debiased,
        **part.counts,
    }
    if flag := warning(len(part.real), len(part.generated), d or part.real.features.shape[1]):
        figures["flag"] = flag
    return figures
