"""What depends on the real images alone, and on how many stand beside them: the same for every model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import ClassVar

import torch
from torch import Tensor

from ltgen_bench.scoring.feature_sets import Comparison, FeatureSet
from ltgen_bench.scoring.metrics.frechet import Moments, principal_axes
from ltgen_bench.scoring.metrics.kid import Within, usual_subsets, within
from ltgen_bench.scoring.metrics.linear_classifier import Classifier, fit
from ltgen_bench.scoring.metrics.precision_recall import KS, neighbours, radii
from ltgen_bench.scoring.scopes import Scopes, classifier_halves, positions

_AXES = 64  # principal directions that a class of a few hundred images can fill


@dataclass(frozen=True)
class Ceiling:
    """What one half of the real images reaches beside the other, and the images of a half."""

    precision: float
    recall: float
    density: float
    coverage: float
    n: int


@dataclass(frozen=True)
class ScopeStatistics:
    """Of the real images of one scope.

    radii: of the drawn images, (len(KS), n), None where these are too few. kernel: of the pooled images. moments: of
    all, where they are of use. ceiling: None where half the images are too few.
    """

    radii: Tensor | None
    kernel: Within
    moments: Moments | None
    ceiling: Ceiling | None


@dataclass(frozen=True)
class ReferenceStatistics:
    """axes: principal directions of all real images (d, <= 64). classifier: of their classes, fitted to one half of
    as many of each; None where they are too few. classes: kernel sums of each."""

    axes: Tensor
    classifier: Classifier | None
    scopes: dict[str, ScopeStatistics]
    classes: dict[int, Within]

    VERSION: ClassVar[int] = 3  # of what is kept

    @classmethod
    def of(cls, scopes: Scopes) -> ReferenceStatistics:
        real, seed = scopes.whole.real, scopes.whole.seed
        moments = {name: Moments.of(scopes.parts[name].real.features) for name in scopes.with_moments()}
        whole = moments.get("overall") or (reduce(add, moments.values()) if moments else None)
        halves = classifier_halves(scopes.balanced, seed)
        return cls(
            axes=principal_axes(real.features, _AXES, whole),
            classifier=fit_classifier(halves[0]) if halves else None,
            scopes={
                name: ScopeStatistics(
                    radii=_radii(scopes.drawn(name).real),
                    kernel=_kernel(scopes.pooled(name)),
                    moments=moments.get(name),
                    ceiling=_ceiling(scopes.real_halves(name)),
                )
                for name in scopes.classes
            },
            classes={c: within(scopes.of_class(c).real.features) for c in scopes.ids},
        )


def fit_classifier(images: FeatureSet) -> Classifier:
    """A classifier of the classes of these images, by position among their ids."""
    ids = images.classes
    return fit(images.features, torch.from_numpy(positions(images.labels, ids)), len(ids))


def _kernel(pooled: Comparison) -> Within:
    members = usual_subsets(pooled)
    return within(pooled.real.features, members[0] if members else None)


def _radii(real: FeatureSet) -> Tensor | None:
    return radii(real.features) if len(real) > max(KS) else None


def _ceiling(half: Comparison) -> Ceiling | None:
    if min(map(len, half.features)) <= KS[0]:
        return None
    (found,) = neighbours(*half.features, KS[:1])
    return Ceiling(found.precision.value, found.recall.value, found.density.value, found.coverage.value, len(half.real))
