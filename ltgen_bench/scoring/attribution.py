"""Which generated images and classes make a Fréchet distance what it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ltgen_bench.scoring.feature_sets import Figures
from ltgen_bench.scoring.metrics.frechet import Pair
from ltgen_bench.scoring.scopes import Scopes

Scores = dict[str, dict[str, Figures]]


@dataclass(frozen=True)
class Attribution:
    """How much each generated image pulls a Fréchet distance up, to first order (see `influence`); mean 0.

    overall: on the distance of all images, (n_gen,) in their order; within_group: on the distance of the image's own
    group. scores: for a record; "class-pull" is the mean of `overall` over a class, with that of `within_group`. All
    are 0 in the mean: they rank, and do not split the distance.
    """

    overall: NDArray[np.float64]
    within_group: NDArray[np.float64]
    scores: Scores


def attribute(scopes: Scopes, pairs: Mapping[str, Pair], order: NDArray[np.int64], name: str) -> Attribution:
    """order: the place of each image of `scopes` among those given to the scorer. name: of class-pull in records."""
    fake = scopes.whole.generated
    pulls = np.zeros((2, len(fake)))
    pulls[0] = pairs["overall"].influence(fake.features)
    classes: dict[str, Figures] = {}
    for group, ids in scopes.groups:
        part = scopes.parts[group]
        pulls[1, np.isin(fake.labels, ids)] = pairs[group].influence(part.generated.features)
        for c in sorted(ids):
            value, within_group = pulls[:, fake.labels == c].mean(1).tolist()
            classes[str(c)] = {"value": value, "within_group": within_group, **part.of([c]).counts}
    ordered = np.empty_like(pulls)
    ordered[:, order] = pulls
    return Attribution(ordered[0], ordered[1], {name: classes})
