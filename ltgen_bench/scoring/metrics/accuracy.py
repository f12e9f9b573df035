"""Do the images show their classes?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ltgen_bench.scoring.metric import Metric

if TYPE_CHECKING:
    from ltgen_bench.scoring.feature_sets import Figures
    from ltgen_bench.scoring.scorer import Scoring


class Accuracy(Metric):
    """Share of generated images that a classifier of real ones takes for what they should be.

    ceiling: the same share of real images that the classifier has not seen.
    """

    name = "accuracy"
    better = "higher"
    decimals = 3

    def figures(self, scoring: Scoring) -> Mapping[str, Figures]:
        if (found := scoring.label_figures) is None:
            return {}
        result: dict[str, Figures] = {}
        for name, classes in scoring.scopes.classes.items():
            value, se = found.on_generated.share(classes)
            ceiling = found.real_on_real.share(classes)[0]
            result[name] = {"value": value, "se": se, "ceiling": ceiling, **scoring.scopes.parts[name].counts}
        return result
