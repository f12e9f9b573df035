"""Do the images show their classes?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ltgen_bench.scoring.metric import Metric

if TYPE_CHECKING:
    from ltgen_bench.scoring.feature_sets import Figures
    from ltgen_bench.scoring.scorer import Scoring


class Accuracy(Metric):
    """Share of generated images that a classifier of real ones takes for what they should be.

    ceiling: the same share of real images that the classifier has not seen. flag, of all classes together: at chance
    under a high ceiling ("labels?"). A minority alone may honestly be there.
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
            result[name] = {"value": value, "se": se, "ceiling": ceiling, **scoring.scopes.labelled(name).counts}
            if name == "overall" and _at_chance(value, ceiling, len(classes), len(found.on_generated.labels)):
                result[name]["flag"] = "labels?"
        return result


def _at_chance(value: float, ceiling: float, classes: int, images: int) -> bool:
    """Within three standard errors of guessing, where the ceiling is above it by six, and by a fifth at least."""
    chance = 1 / classes
    se = math.sqrt(chance * (1 - chance) / images)
    return value - chance <= 3 * se and ceiling - chance > max(0.2, 6 * se)
