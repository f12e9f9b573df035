"""From sets of labelled images to every figure of a result, overall, for each group of classes and for each class."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ltgen_bench.data.groups import Groups
from ltgen_bench.data.images import Images
from ltgen_bench.scoring.attribution import Attribution, Scores
from ltgen_bench.scoring.attribution import attribute as attribute_pulls
from ltgen_bench.scoring.checks import check
from ltgen_bench.scoring.extractors import Extractor, Progress
from ltgen_bench.scoring.feature_sets import Comparison, Figures, read
from ltgen_bench.scoring.labels import LabelFigures
from ltgen_bench.scoring.memorisation import Memorisation, duplicates
from ltgen_bench.scoring.metrics.frechet import Frechet, Moments, Pair, frechet
from ltgen_bench.scoring.metrics.inception_score import inception_scores
from ltgen_bench.scoring.metrics.kid import Within, kid
from ltgen_bench.scoring.metrics.precision_recall import KS, neighbours
from ltgen_bench.scoring.reference import ReferenceStatistics, ScopeStatistics, reference_statistics
from ltgen_bench.scoring.scopes import Scopes, subsets

SCORE_VERSION = 1
"""Raised whenever a figure changes for the same images; figures of different versions are never compared."""

_SHARES = ("precision", "recall", "density", "coverage")


def score(generated: Images, reference: Images, groups: Groups, extractor: Extractor, **options: Any) -> Scores:
    """`Scoring.scores` of images; arguments and errors as in `Scoring`."""
    return Scoring(generated, reference, groups, extractor, **options).scores()


def attribute(
    generated: Images, reference: Images, groups: Groups, extractor: Extractor, **options: Any
) -> Attribution:
    """`Scoring.attribution` of images; arguments and errors as in `Scoring`."""
    return Scoring(generated, reference, groups, extractor, **options).attribution()


class Scoring:
    """Generated images beside the real ones of a dataset, their features read once.

    train: the training images, for the share of memorised images; test: real images outside it, the share to compare
    with (without them, the reference's images that are not in `train`). The order of the images changes nothing: sets
    are first sorted by class and content. cache: folder of `features_of`, and of what is the same for every model.
    progress: called with (images done, all). Raises UsageError, in one sentence, for images that cannot be scored.

    Classes weigh the same: the generated images must be equally many for each, and a reference with unequal classes is
    cut to its smallest one, drawn by `seed`.
    """

    def __init__(
        self,
        generated: Images,
        reference: Images,
        groups: Groups,
        extractor: Extractor,
        *,
        train: Images | None = None,
        test: Images | None = None,
        cache: Path | None = None,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        check(generated, reference, groups)
        self.extractor, self.cache = extractor, cache
        given = [images for images in (reference, generated, train, test) if images is not None]
        sets = iter(read(given, extractor, cache, progress))
        (real, _), (fake, self.order) = next(sets), next(sets)
        self.train, held_out = (None if images is None else next(sets)[0] for images in (train, test))
        self.scopes = Scopes(Comparison(real.balanced(seed), fake, seed), groups)
        if self.train is not None:
            self.unseen = held_out or real[~np.isin(real.digests, self.train.digests)]

    def scores(self) -> Scores:
        """Every figure as {metric: {"overall" or group: {"value": ..., ...}}}, JSON-able and finite.

        FD, IS, KID, precision, recall, density and coverage pool the classes of a group; mKID and mFD64 are means over
        its classes, class-KID and class-FD64 the classes themselves, by id; accuracy, IS-domain and CAS come from a
        classifier of the classes; duplicates, and memorised where there are training images, are shares of images.
        Names carry the extractor's id (`FD-efflite0@96`), except Inception's, which are the FID, IS and recall of the
        literature. n_real and n_gen are the images a figure was computed from; flag marks a distance with n < d (no
        rank) or n < 4 d, and memorised images.
        """
        scores: Scores = {}
        for metric, group, figures in (*self._figures(), *self._label_figures()):
            scores.setdefault(_name(metric, self.extractor), {})[group] = figures
        scores["duplicates"] = {name: duplicates(part.generated) for name, part in self.scopes.parts.items()}
        if self.train is not None:
            of_train = Memorisation(self.scopes, self.train, self.unseen, self.extractor, SCORE_VERSION, self.cache)
            scores[_name("memorised", self.extractor)] = of_train.figures()
        return scores

    def attribution(self) -> Attribution:
        """Which generated images and classes make the Fréchet distance what it is."""
        return attribute_pulls(self.scopes, self._pairs, self.order, _name("class-pull", self.extractor))

    @functools.cached_property
    def _reference(self) -> ReferenceStatistics:
        return reference_statistics(self.scopes, self.extractor, SCORE_VERSION, self.cache)

    @functools.cached_property
    def _pairs(self) -> dict[str, Pair]:
        """What Fréchet distances and influences come from. The whole's moments are the sum of its groups', if known."""
        moments: dict[str, tuple[Moments, Moments]] = {}
        for name, part in self.scopes.parts.items():
            if (of_real := self._reference.scopes[name].moments) is not None:
                moments[name] = of_real, Moments.of(part.generated.features)
        if "overall" not in moments and all(name in moments for name, _ in self.scopes.groups):
            real, generated = zip(*moments.values(), strict=True)
            moments["overall"] = reduce(add, real), reduce(add, generated)
        return {name: Pair.of(*part.features, moments.get(name)) for name, part in self.scopes.parts.items()}

    def _figures(self) -> Iterator[tuple[str, str, Figures]]:
        """(metric, group or class, figures) of everything that compares generated with real images."""
        scopes = self.scopes
        classes = {}
        for metric, c, figures in self._class_figures():
            classes[metric, c] = figures
            yield f"class-{metric}", str(c), figures
        if scopes.whole.generated.logits.shape[1]:
            for name, figures in _inception_scores(scopes.whole.generated.logits, scopes):
                yield "IS", name, figures
        for name, ids in scopes.classes.items():
            part, known = scopes.parts[name], self._reference.scopes[name]
            yield "FD", name, _distance(self._pairs[name].frechet(part.generated.features), part)
            for metric, figures in _neighbours(scopes.drawn.of(ids), known).items():
                yield metric, name, figures
            yield "KID", name, _kid(scopes.pooled.of(ids), known.kernel)
            for metric in ("KID", "FD64"):
                yield f"m{metric}", name, _mean([classes[metric, c] for c in ids])

    def _class_figures(self) -> Iterator[tuple[str, int, Figures]]:
        """KID of each class, and its Fréchet distance in the principal directions (d, <= 64) of all real images."""
        axes = self._reference.axes
        for c in self.scopes.ids:
            part, capped = self.scopes.whole.of([c]), self.scopes.of_class(c)
            result = kid(*capped.features, of_real=self._reference.classes[c])
            yield "KID", c, {"value": result.value, "se": result.se, **capped.counts}
            real, generated = (features.double() @ axes for features in part.features)
            yield "FD64", c, _distance(frechet(real, generated), part, axes.shape[1])

    def _label_figures(self) -> Iterator[tuple[str, str, Figures]]:
        """accuracy, CAS, and IS-domain: the Inception Score from the logits of a classifier of the real images."""
        found = LabelFigures.of(self.scopes, self._reference.classifier)
        if found is None:
            return
        for name in self.scopes.classes:
            yield "accuracy", name, found.accuracy(self.scopes)[name]
            yield "CAS", name, found.cas(self.scopes)[name]
        for name, figures in _inception_scores(found.logits, self.scopes):
            yield "IS-domain", name, figures


def _distance(result: Frechet, part: Comparison, d: int | None = None) -> Figures:
    figures: Figures = {
        "value": result.value,
        "se": result.se,
        "floor": result.floor,
        "debiased": result.debiased,
        **part.counts,
    }
    d = d or part.real.features.shape[1]
    n = min(len(part.real), len(part.generated))
    if n < 4 * d:
        figures["flag"] = "n<d" if n < d else "n<4d"
    return figures


def _kid(part: Comparison, of_real: Within) -> Figures:
    result = kid(*part.features, subsets(part), of_real)
    figures: Figures = {"value": result.value, "se": result.se}
    if result.subsets:
        figures |= {"subsets_mean": result.subsets[0], "subsets_std": result.subsets[1]}
    return figures | part.counts


def _inception_scores(logits: Tensor, scopes: Scopes) -> Iterator[tuple[str, Figures]]:
    """Of each scope, from logits of all generated images."""
    whole = scopes.whole
    found = inception_scores(logits, whole.generated.labels, scopes.classes.values(), whole.seed)
    for name, result in zip(scopes.classes, found, strict=True):
        figures: Figures = {"value": result.value, "se": result.se, "split_std": result.split_std}
        yield name, figures | scopes.parts[name].counts


def _mean(classes: list[Figures]) -> Figures:
    """Mean over classes, all of the same sizes."""
    figures = dict(classes[0])
    for key in ("value", "floor", "debiased"):
        if key in figures:
            figures[key] = math.fsum(float(c[key]) for c in classes) / len(classes)
    figures["se"] = math.sqrt(math.fsum(float(c["se"]) ** 2 for c in classes)) / len(classes)
    return figures


def _neighbours(drawn: Comparison, known: ScopeStatistics) -> dict[str, Figures]:
    """Precision, recall, density and coverage: k = 5, k = 3 beside it, and what real images reach ("ceiling")."""
    first, second = neighbours(*drawn.features, KS, known.radii)
    result: dict[str, Figures] = {}
    for metric in _SHARES:
        share, other = getattr(first, metric), getattr(second, metric)
        figures: Figures = {"value": share.value, "se": share.se, "k": first.k, f"k{second.k}": other.value}
        if known.ceiling:
            figures |= {"ceiling": getattr(known.ceiling, metric), "ceiling_n": known.ceiling.n}
        result[metric] = figures | drawn.counts
    return result


def _name(metric: str, extractor: Extractor) -> str:
    if extractor.id == "inception":
        return "FID" if metric == "FD" else metric
    return f"{metric}-{extractor.id}"
