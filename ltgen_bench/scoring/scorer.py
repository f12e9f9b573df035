"""From sets of labelled images to every figure of a result, overall, for each group of classes and for each class."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from ltgen_bench.data.groups import Groups
from ltgen_bench.data.images import Images
from ltgen_bench.data.long_tail import LongTail
from ltgen_bench.errors import UsageError
from ltgen_bench.scoring.attribution import Attribution, Scores, attribute
from ltgen_bench.scoring.checks import check
from ltgen_bench.scoring.extractor import Extractor, Progress
from ltgen_bench.scoring.feature_sets import Comparison, Figures, read
from ltgen_bench.scoring.labels import LabelFigures
from ltgen_bench.scoring.metric_table import load_metric, metric_name, metric_table
from ltgen_bench.scoring.metrics.frechet import Moments, Pair
from ltgen_bench.scoring.pack import cached_dataclass
from ltgen_bench.scoring.reference import ReferenceStatistics
from ltgen_bench.scoring.scopes import Scopes
from ltgen_bench.storage.array_cache import key

SCORE_VERSION = 2
"""Raised whenever a figure changes for the same images; figures of different versions are never compared."""

T = TypeVar("T")


@dataclass(frozen=True)
class RealImages:
    """What generated images are compared with.

    reference: real images of every class, for all figures; where classes are unequal they are cut to the smallest one.
    train: the training images, for the share of memorised images; test: real images to compare this share with
    (without them, the reference's), as far as they are not in `train`. balanced: where it is given, the reference is
    taken as it is, however many of each class, and these real images are for what needs as many of each: classifiers of
    the labels, and unseen images where there is no test set.
    """

    reference: Images
    groups: Groups
    train: Images | None = None
    test: Images | None = None
    balanced: Images | None = None

    @classmethod
    def of(cls, data: LongTail, reference: str = "balanced") -> RealImages:
        """Of a dataset. reference: see `specs.Reference`. Raises UsageError where the dataset has no such images."""
        balanced = data.reference if reference != "balanced" else None
        return cls(data.real(reference), data.groups, data.train, data.test, balanced)


class Scoring:
    """Generated images beside the real ones of a dataset, their features read once.

    The order of the images changes nothing: sets are first sorted by class and content. cache: folder of `features_of`,
    and of what is the same for every model. seed: of whatever is drawn. progress: called with (images done, all).
    Raises UsageError, in one sentence, for images that cannot be scored.

    Classes weigh the same: the generated images must be equally many for each, unless `equal` is off; then a pooled
    figure weighs each class by its images, as papers that draw labels do.
    """

    def __init__(
        self,
        generated: Images,
        real: RealImages,
        extractor: Extractor,
        *,
        cache: Path | None = None,
        seed: int = 0,
        progress: Progress | None = None,
        equal: bool = True,
    ) -> None:
        check(generated, real.reference, real.groups, equal=equal, cut=real.balanced is None)
        self.extractor, self.cache = extractor, cache
        given = (real.reference, generated, real.train, real.test, real.balanced)
        unique = list({id(images): images for images in given if images is not None}.values())
        found = dict(zip(map(id, unique), read(unique, extractor, cache, progress), strict=True))
        reference, fake, train, test, balanced = (found[id(i)][0] if i is not None else None for i in given)
        assert reference is not None
        assert fake is not None
        self.order = found[id(generated)][1]
        compared = Comparison(reference if balanced else reference.balanced(seed), fake, seed)
        self.scopes = Scopes(compared, real.groups, balanced)
        self.train = train and train.distinct()  # each image once: see `metrics.memorised`
        if self.train is not None:
            unseen = (test or balanced or reference).distinct()
            self.unseen = unseen[~np.isin(unseen.digests, self.train.digests)]
        self._shared: dict[Callable[[Scoring], Any], Any] = {}

    def scores(self) -> Scores:
        """Every metric as {name: {"overall" or group or class id: {"value": ..., ...}}}, JSON-able and finite.

        Names carry the extractor's id (see `metric_name`). n_real and n_gen are the images a figure was computed from;
        flag is a warning. FD, FD64, IS, KID, precision, recall, density and coverage pool the classes of a group;
        mKID and mFD64 are means over its classes. Raises UsageError for a figure that is no finite number.
        """
        scores: Scores = {}
        for name in metric_table():
            if found := load_metric(name)().figures(self):
                scores[metric_name(name, self.extractor.id)] = checked(name, found)
        return scores

    def attribution(self) -> Attribution:
        """Which generated images and classes make the Fréchet distance what it is."""
        return attribute(self.scopes, self.pairs, self.order, metric_name("class-pull", self.extractor.id))

    def shared(self, compute: Callable[[Scoring], T]) -> T:
        """compute(self), once for all metrics that ask for it."""
        if compute not in self._shared:
            self._shared[compute] = compute(self)
        return cast(T, self._shared[compute])

    @functools.cached_property
    def reference(self) -> ReferenceStatistics:
        """What depends on the real images alone, read from the cache where another model's scoring has left it."""
        whole, groups = self.scopes.whole, self.scopes.groups.as_dict()
        contents = [whole.real.labels, whole.real.digests]
        if self.scopes.balanced is not whole.real:
            contents += [self.scopes.balanced.labels, self.scopes.balanced.digests]
        sizes = self.scopes.sizes
        path = self.cache_file("reference", ReferenceStatistics.VERSION, contents, groups, sizes, whole.seed)
        return cached_dataclass(ReferenceStatistics, path, lambda: ReferenceStatistics.of(self.scopes))

    @functools.cached_property
    def pairs(self) -> dict[str, Pair]:
        """What Fréchet distances and influences come from. The whole's moments are the sum of its groups', if known."""
        moments: dict[str, tuple[Moments, Moments]] = {}
        for name, part in self.scopes.parts.items():
            if (of_real := self.reference.scopes[name].moments) is not None:
                moments[name] = of_real, Moments.of(part.generated.features)
        if "overall" not in moments and all(name in moments for name, _ in self.scopes.groups):
            real, generated = zip(*moments.values(), strict=True)
            moments["overall"] = reduce(add, real), reduce(add, generated)
        return {name: Pair.of(*part.features, moments.get(name)) for name, part in self.scopes.parts.items()}

    @functools.cached_property
    def label_figures(self) -> LabelFigures | None:
        """What classifiers of the classes say; None where there are too few real images for one."""
        return LabelFigures.of(self.scopes, self.reference.classifier)

    def class_means(self, classes: Mapping[str, Figures]) -> dict[str, Figures]:
        """Of each scope, the mean over its classes of figures by class id."""
        return {name: _mean([classes[str(c)] for c in ids]) for name, ids in self.scopes.classes.items()}

    def cache_file(self, what: str, version: int, contents: Iterable[NDArray[Any]], *identity: Any) -> Path | None:
        """Where to keep what depends on the extractor, on contents and on an identity. version: of what is kept."""
        whole = [version, SCORE_VERSION, self.extractor.id, self.extractor.sha256, *identity]
        return self.cache and self.cache / f"{what}-{key(whole, contents)}.npz"


def _mean(classes: list[Figures]) -> Figures:
    """Mean over classes; its sizes are those of the smallest class."""
    figures = dict(classes[0])
    figures |= {name: min(int(c[name]) for c in classes) for name in ("n_real", "n_gen") if name in figures}
    for name in ("value", "floor", "debiased"):
        if name in figures:
            figures[name] = math.fsum(float(c[name]) for c in classes) / len(classes)
    figures["se"] = math.sqrt(math.fsum(float(c["se"]) ** 2 for c in classes)) / len(classes)
    return figures


def checked(metric: str, groups: Mapping[str, Figures]) -> dict[str, Figures]:
    """Plain numbers and texts, as a record may hold them. Raises UsageError for anything else."""
    result: dict[str, Figures] = {}
    for group, figures in groups.items():
        result[str(group)] = plain = {}
        for name, value in figures.items():
            figure = value.item() if hasattr(value, "item") else value
            if not isinstance(figure, str) and (not isinstance(figure, int | float) or not math.isfinite(figure)):
                raise UsageError(f"{name} of {metric} {group} is {figure!r}; it must be a finite number or a text")
            plain[str(name)] = figure
        if not isinstance(plain.get("value"), int | float):
            raise UsageError(f"{metric} of {group} has no value that is a number")
    return result
