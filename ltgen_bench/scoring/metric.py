"""What a metric is: a class in a file of its own, found by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from ltgen_bench.scoring.feature_sets import Comparison, Figures
    from ltgen_bench.scoring.scorer import Scoring


class Metric:
    """A figure of generated images beside real ones.

    A subclass with a `name`, in a file of `metrics/` in a folder of LTGEN_PLUGINS or behind an entry point of the group
    "ltgen_bench.metrics", is computed for everything that is scored, and is in its record. Tables read these attributes
    from the file without importing it: write them as constants in the class itself.

    name: in records, followed by the features' id. better: which way, None where neither is. decimals: in tables.
    columns: groups ("overall", "majority", ...) that the tables have a column for. of_features: whether it depends on
    the features. version: to be raised whenever a figure changes; name and version of a metric from outside the package
    are part of what identifies a score, and its record says how to show it.
    """

    name: ClassVar[str]
    better: ClassVar[Literal["lower", "higher"] | None] = None
    decimals: ClassVar[int] = 3
    columns: ClassVar[tuple[str, ...]] = ()
    of_features: ClassVar[bool] = True
    version: ClassVar[int] = 1

    def compute(self, images: Comparison) -> float | Figures:
        """The value, or all figures with a "value", of the images of one group.

        images.real and images.generated hold features (n, d), logits (n, k) and labels (n,), sorted by class and
        content; images.seed is for whatever is drawn. How many images of each there are is added.
        """
        raise NotImplementedError(f"metric {self.name} needs a method compute or figures")

    def figures(self, scoring: Scoring) -> Mapping[str, Figures]:
        """{group or class id: figures}; empty where there is nothing to compute it from.

        For metrics that need more than the images of one group: the extractor, the training images, what others have
        computed (`Scoring.shared`).
        """
        result: dict[str, Figures] = {}
        for name, part in scoring.scopes.parts.items():
            found = self.compute(part)
            result[name] = {**(found if isinstance(found, dict) else {"value": found}), **part.counts}
        return result
