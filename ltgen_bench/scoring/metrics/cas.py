"""Do the images teach their classes?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ltgen_bench.scoring.metric import Metric

if TYPE_CHECKING:
    from ltgen_bench.scoring.feature_sets import Figures
    from ltgen_bench.scoring.scorer import Scoring


class ClassificationAccuracy(Metric):
    """Classification accuracy score (Ravuri and Vinyals 2019): how well generated images teach the classes.

    The share of real images that a classifier fitted to generated ones takes for what they are. ceiling: the same share
    by one fitted to as many real images.
    """

    name = "CAS"
    better = "higher"
    decimals = 3

    def figures(self, scoring: Scoring) -> Mapping[str, Figures]:
        if (found := scoring.label_figures) is None:
            return {}
        result: dict[str, Figures] = {}
        for name, classes in scoring.scopes.classes.items():
            value, se = found.generated_on_real.share(classes)
            ceiling = found.as_many_on_real.share(classes)[0]
            result[name] = {"value": value, "se": se, "ceiling": ceiling, **found.tested.of(classes).counts}
        return result
