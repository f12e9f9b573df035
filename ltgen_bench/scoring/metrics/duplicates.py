"""Does a model repeat itself?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ltgen_bench.scoring.metric import Metric

if TYPE_CHECKING:
    from ltgen_bench.scoring.feature_sets import Figures
    from ltgen_bench.scoring.scorer import Scoring


class Duplicates(Metric):
    """Share of generated images that repeat another one, pixel for pixel."""

    name = "duplicates"
    better = "lower"
    decimals = 3
    of_features = False

    def figures(self, scoring: Scoring) -> Mapping[str, Figures]:
        result: dict[str, Figures] = {}
        for name, part in scoring.scopes.parts.items():
            n = len(part.generated)
            result[name] = {"value": 1 - len(np.unique(part.generated.digests)) / n, "n_gen": n}
        return result
