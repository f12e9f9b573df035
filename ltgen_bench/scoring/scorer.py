"""From sets of labelled images to every figure of a result, overall, for each group of classes and for each class."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltgen_bench.data.groups import Groups
from ltgen_bench.data.images import Images
from ltgen_bench.scoring.checks import check
from ltgen_bench.scoring.extractors import Extractor, Progress
from ltgen_bench.scoring.feature_sets import Figures, Side, Sides, read
from ltgen_bench.scoring.metrics.frechet import Frechet, Moments, Pair, frechet, principal_axes
from ltgen_bench.scoring.metrics.inception_score import inception_scores
from ltgen_bench.scoring.metrics.kid import Subsets, Within, kid, within
from ltgen_bench.scoring.metrics.linear_classifier import Classifier, calibration, fit
from ltgen_bench.scoring.metrics.precision_recall import KS, memorised, neighbours, radii
from ltgen_bench.storage.array_cache import Arrays, kept

SCORE_VERSION = 1
"""Raised whenever a figure changes for the same images; figures of different versions are never compared."""

_VERSION = 1  # of what is kept beside the features

Scores = dict[str, dict[str, Figures]]

# The most images of a side in figures of quadratic cost: nearest neighbours, pooled KID, KID of one class.
_NEIGHBOURS_CAP, _KID_CAP, _CLASS_CAP = 10_000, 5_000, 1_000
_AXES = 64  # principal directions that a class of a few hundred images can fill
_SHARES = ("precision", "recall", "density", "coverage")


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
        self.groups, self.extractor, self.cache = groups, extractor, cache
        given = [images for images in (reference, generated, train, test) if images is not None]
        sets = iter(read(given, extractor, cache, progress))
        (real, _), (fake, self.order) = next(sets), next(sets)
        self.train, test_side = (None if images is None else next(sets)[0] for images in (train, test))
        self.sides = Sides(real.balanced(seed), fake, seed)
        if self.train is not None:
            self.unseen = test_side or real[~np.isin(real.digests, self.train.digests)]
        self.scopes = dict(_scopes(groups))
        self.parts = {name: self.sides.of(ids) for name, ids in self.scopes.items()}
        # A group's neighbours are looked for among its share of the images drawn for the whole.
        self.drawn, self.pooled = self.sides.paired(_NEIGHBOURS_CAP), self.sides.paired(_KID_CAP)

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
        scores["duplicates"] = {name: _duplicates(part.generated) for name, part in self.parts.items()}
        if self.train is not None:
            scores[_name("memorised", self.extractor)] = self._memorisation(self.train)
        return scores

    def attribution(self) -> Attribution:
        """Which generated images and classes make the Fréchet distance what it is."""
        fake = self.sides.generated
        pulls = np.zeros((2, len(fake)))
        pulls[0] = self._pairs["overall"].influence(fake.features)
        classes: dict[str, Figures] = {}
        for name, ids in self.groups:
            part = self.parts[name]
            pulls[1, np.isin(fake.labels, ids)] = self._pairs[name].influence(part.generated.features)
            for c in sorted(ids):
                value, within_group = pulls[:, fake.labels == c].mean(1).tolist()
                classes[str(c)] = {"value": value, "within_group": within_group, **part.of([c]).counts}
        ordered = np.empty_like(pulls)
        ordered[:, self.order] = pulls
        return Attribution(ordered[0], ordered[1], {_name("class-pull", self.extractor): classes})

    def _figures(self) -> Iterator[tuple[str, str, Figures]]:
        """(metric, group or class, figures) of everything that compares generated with real images."""
        known = self._of_reference
        classes = {}
        for metric, c, figures in self._class_figures():
            classes[metric, c] = figures
            yield f"class-{metric}", str(c), figures
        if self.sides.generated.logits.shape[1]:
            for name, figures in _inception_scores(self.sides.generated.logits, self.sides, self.scopes):
                yield "IS", name, figures
        for name, ids in self.scopes.items():
            part, ceiling = self.parts[name], f"ceiling/{name}"
            yield "FD", name, _distance(self._pairs[name].frechet(part.generated.features), part)
            for metric, figures in _neighbours(
                self.drawn.of(ids), torch.from_numpy(known[f"radii/{name}"]), known.get(ceiling, np.empty(0)).tolist()
            ).items():
                yield metric, name, figures
            yield "KID", name, _kid(self.pooled.of(ids), _within(known, name))
            for metric in ("KID", "FD64"):
                yield f"m{metric}", name, _mean([classes[metric, c] for c in ids])

    def _class_figures(self) -> Iterator[tuple[str, int, Figures]]:
        """KID of each class, and its Fréchet distance in the principal directions (d, <= 64) of all real images."""
        known = self._of_reference
        axes = torch.from_numpy(known["axes"])
        for c in np.unique(self.sides.real.labels).tolist():
            part = self.sides.of([c])
            capped = part.capped(_CLASS_CAP)
            result = kid(*capped.features, of_real=_within(known, str(c)))
            yield "KID", c, {"value": result.value, "se": result.se, **capped.counts}
            real, generated = (features.double() @ axes for features in part.features)
            yield "FD64", c, _distance(frechet(real, generated), part, axes.shape[1])

    @functools.cached_property
    def _pairs(self) -> dict[str, Pair]:
        """What Fréchet distances and influences come from. The whole's moments are the sum of its groups', if known."""
        moments = {
            name: (_moments(self._of_reference, name), Moments.of(self.parts[name].generated.features))
            for name in self._with_moments
        }
        if "overall" not in moments and all(name in moments for name, _ in self.groups):
            real, generated = zip(*moments.values(), strict=True)
            moments["overall"] = reduce(add, real), reduce(add, generated)
        return {name: Pair.of(*part.features, moments.get(name)) for name, part in self.parts.items()}

    @property
    def _with_moments(self) -> list[str]:
        """The parts whose moments are of use: where there are as many images as dimensions."""
        enough = [name for name, part in self.parts.items() if min(map(len, part.features)) >= self.extractor.dim]
        whole = all(name in enough for name, _ in self.groups)
        return [name for name in enough if not (whole and name == "overall")]

    @functools.cached_property
    def _of_reference(self) -> Arrays:
        """What depends on the real images alone, and on how many stand beside them: the same for every model."""
        real, fake = self.sides.real, self.sides.generated
        identity = [
            *(_VERSION, SCORE_VERSION, self.extractor.id, self.extractor.sha256),
            *(self.groups.as_dict(), len(fake), self.sides.seed),
        ]
        return kept(self.cache, "reference", identity, [real.labels, real.digests], self._look_at_reference)

    def _look_at_reference(self) -> Arrays:
        arrays: dict[str, NDArray[Any]] = {}
        for name in self._with_moments:
            moments = Moments.of(self.parts[name].real.features)
            arrays |= {
                f"n/{name}": np.array(moments.n),
                f"mean/{name}": moments.mean.numpy(),
                f"scatter/{name}": moments.scatter.numpy(),
            }
        whole = _moments(arrays, "overall") if "n/overall" in arrays else None
        if whole is None and arrays:
            whole = reduce(add, (_moments(arrays, name) for name in self._with_moments))
        arrays["axes"] = principal_axes(self.sides.real.features, _AXES, whole).numpy()
        if for_judge := _halves(self.sides.real, self.sides.seed):
            judge = _fit(for_judge[0], np.unique(self.sides.real.labels))
            arrays |= {"judge/weights": judge.weights.numpy(), "judge/bias": judge.bias.numpy()}
        halves = self.sides.halves(_NEIGHBOURS_CAP)
        for name, ids in self.scopes.items():
            arrays[f"radii/{name}"] = radii(self.drawn.of(ids).real.features).numpy()
            pooled = self.pooled.of(ids)
            subsets = _subsets(pooled)
            members = subsets.of(*map(len, pooled.features))[0] if subsets else None
            of_real = within(pooled.real.features, members)
            arrays |= {f"kernel/{name}": np.array(of_real.total), f"subsets/{name}": of_real.subsets.numpy()}
            half = halves.of(ids)
            if len(half.real) > KS[0]:
                (found,) = neighbours(*half.features, KS[:1])
                arrays[f"ceiling/{name}"] = np.array([*(getattr(found, m).value for m in _SHARES), len(half.real)])
        for c in np.unique(self.sides.real.labels).tolist():
            of_real = within(self.sides.of([c]).capped(_CLASS_CAP).real.features)
            arrays |= {f"kernel/{c}": np.array(of_real.total), f"subsets/{c}": of_real.subsets.numpy()}
        return arrays

    def _label_figures(self) -> Iterator[tuple[str, str, Figures]]:
        """How well the images show their classes, by a classifier fitted to one half of the real images.

        accuracy: share of generated images it takes for what they should be; IS-domain: Inception Score from its
        logits; CAS: share of the real images of the other half that a classifier fitted to generated images takes for
        what they are (Ravuri and Vinyals 2019). ceiling: the same share by one fitted to as many real images.
        """
        real, fake, seed = self.sides.real, self.sides.generated, self.sides.seed
        if (halves := _halves(real, seed)) is None:
            return
        seen, new = halves
        ids, n = np.unique(real.labels), len(seen) // len(np.unique(real.labels))
        pupil = fake.drawn(n, seed)
        judge = Classifier(*(torch.from_numpy(self._of_reference[f"judge/{part}"]) for part in ("weights", "bias")))
        taught = _fit(pupil, ids)
        teacher = judge if len(pupil) == len(seen) else _fit(seen.drawn(len(pupil) // len(ids), seed), ids)
        truth = _places(new, ids)
        of_new, of_fake = judge.logits(new.features), judge.logits(fake.features)
        of_fake *= calibration(of_new, truth)
        right = (of_fake.argmax(1) == _places(fake, ids)).numpy()
        by_judge, by_teacher, by_taught = (
            (logits.argmax(1) == truth).numpy()
            for logits in (of_new, teacher.logits(new.features), taught.logits(new.features))
        )
        for name, classes in self.scopes.items():
            value, se = _share(right, fake.labels, classes)
            best = _share(by_judge, new.labels, classes)[0]
            yield "accuracy", name, {"value": value, "se": se, "ceiling": best, **self.parts[name].counts}
            value, se = _share(by_taught, new.labels, classes)
            best = _share(by_teacher, new.labels, classes)[0]
            counts = Sides(new, pupil, seed).of(classes).counts
            yield "CAS", name, {"value": value, "se": se, "ceiling": best, **counts}
        for name, figures in _inception_scores(of_fake, self.sides, self.scopes):
            yield "IS-domain", name, figures

    def _memorisation(self, train: Side) -> dict[str, Figures]:
        """Share of memorised images, beside the share among real images that were not trained on (see `memorised`).

        copies: share of images that are a training image, pixel for pixel. gap: mean over classes of the KID to unseen
        images less the KID to training images, 0 on average for a model that generalises. flag: the share is larger
        than that of unseen images by a tenth and by three standard errors.
        """
        seed = self.sides.seed
        cap = len(self.drawn.real) // len(np.unique(self.sides.real.labels))
        fake, unseen = self.sides.generated.drawn(cap, seed), self.unseen.drawn(cap, seed)

        def look_at_train() -> Arrays:
            of_train = radii(train.features, (1,))
            near = memorised(unseen.features, train.features, of_train).numpy() if len(unseen) else np.empty(0, bool)
            return {"radii": of_train.numpy(), "unseen": near}

        identity = [_VERSION, SCORE_VERSION, self.extractor.id, self.extractor.sha256]
        contents = [side for images in (train, unseen) for side in (images.labels, images.digests)]
        of_train = kept(self.cache, "train", identity, contents, look_at_train)
        flags = memorised(fake.features, train.features, torch.from_numpy(of_train["radii"])).numpy()
        copies = np.isin(fake.digests, train.digests)
        gaps_of = _gaps(fake, train, unseen, seed)
        result: dict[str, Figures] = {}
        for name, ids in self.scopes.items():
            value, se = _share(flags, fake.labels, ids)
            figures: Figures = {"value": value, "se": se, "copies": _share(copies, fake.labels, ids)[0]}
            figures |= {"n_train": len(train.of(ids)), "n_gen": len(fake.of(ids)), "n_unseen": len(unseen.of(ids))}
            if set(ids) <= set(unseen.labels.tolist()):
                usual, usual_se = _share(of_train["unseen"], unseen.labels, ids)
                figures |= {"unseen": usual, "unseen_se": usual_se}
                if value - usual > max(0.1, 3 * math.hypot(se, usual_se)):
                    figures["flag"] = "memorised"
            if gaps := [gaps_of[c] for c in ids if c in gaps_of]:
                figures["gap"] = math.fsum(gap for gap, _ in gaps) / len(gaps)
                figures["gap_se"] = math.sqrt(math.fsum(variance for _, variance in gaps)) / len(gaps)
            result[name] = figures
        return result


def _scopes(groups: Groups) -> Iterator[tuple[str, list[int]]]:
    """(name, classes) of the whole and of each group."""
    yield "overall", sorted(c for _, ids in groups for c in ids)
    for name, ids in groups:
        yield name, sorted(ids)


def _distance(result: Frechet, sides: Sides, d: int | None = None) -> Figures:
    figures: Figures = {
        "value": result.value,
        "se": result.se,
        "floor": result.floor,
        "debiased": result.debiased,
        **sides.counts,
    }
    d = d or sides.real.features.shape[1]
    n = min(len(sides.real), len(sides.generated))
    if n < 4 * d:
        figures["flag"] = "n<d" if n < d else "n<4d"
    return figures


def _moments(arrays: Arrays, name: str) -> Moments:
    n, mean, scatter = (arrays[f"{key}/{name}"] for key in ("n", "mean", "scatter"))
    return Moments(int(n), torch.from_numpy(mean), torch.from_numpy(scatter))


def _within(arrays: Arrays, name: str) -> Within:
    return Within(float(arrays[f"kernel/{name}"]), torch.from_numpy(arrays[f"subsets/{name}"]))


def _subsets(sides: Sides) -> Subsets | None:
    """What most papers report, where there are enough images: 100 subsets of 1,000."""
    subsets = Subsets(seed=sides.seed)
    return subsets if min(map(len, sides.features)) >= subsets.size else None


def _kid(sides: Sides, of_real: Within) -> Figures:
    result = kid(*sides.features, _subsets(sides), of_real)
    figures: Figures = {"value": result.value, "se": result.se}
    if result.subsets:
        figures |= {"subsets_mean": result.subsets[0], "subsets_std": result.subsets[1]}
    return figures | sides.counts


def _inception_scores(logits: Tensor, sides: Sides, scopes: dict[str, list[int]]) -> Iterator[tuple[str, Figures]]:
    """Of each scope, from logits of all generated images."""
    found = inception_scores(logits, sides.generated.labels, scopes.values(), sides.seed)
    for (name, ids), result in zip(scopes.items(), found, strict=True):
        figures: Figures = {"value": result.value, "se": result.se, "split_std": result.split_std}
        yield name, figures | sides.of(ids).counts


def _mean(classes: list[Figures]) -> Figures:
    """Mean over classes, all of the same sizes."""
    figures = dict(classes[0])
    for key in ("value", "floor", "debiased"):
        if key in figures:
            figures[key] = math.fsum(float(c[key]) for c in classes) / len(classes)
    figures["se"] = math.sqrt(math.fsum(float(c["se"]) ** 2 for c in classes)) / len(classes)
    return figures


def _neighbours(sides: Sides, of_real: Tensor, ceiling: list[float]) -> dict[str, Figures]:
    """Precision, recall, density and coverage: k = 5, k = 3 beside it, and what real images reach ("ceiling").

    of_real: `radii`; ceiling: of each of the four, and of how many images.
    """
    first, second = neighbours(*sides.features, KS, of_real)
    result: dict[str, Figures] = {}
    for at, metric in enumerate(_SHARES):
        share, other = getattr(first, metric), getattr(second, metric)
        figures: Figures = {"value": share.value, "se": share.se, "k": first.k, f"k{second.k}": other.value}
        if ceiling:
            figures |= {"ceiling": ceiling[at], "ceiling_n": int(ceiling[-1])}
        result[metric] = figures | sides.counts
    return result


def _halves(real: Side, seed: int) -> tuple[Side, Side] | None:
    """Real images for a classifier to be fitted to, and as many for it to be judged by; None where they are too few."""
    n = min(len(real) // 2, _NEIGHBOURS_CAP) // len(np.unique(real.labels))
    return (real.drawn(n, seed), real.drawn(n, seed, skip=n)) if n > 1 else None


def _fit(side: Side, ids: NDArray[np.int64]) -> Classifier:
    return fit(side.features, _places(side, ids), len(ids))


def _places(side: Side, ids: NDArray[np.int64]) -> Tensor:
    """Labels as places in ids."""
    return torch.from_numpy(np.searchsorted(ids, side.labels))


def _duplicates(generated: Side) -> Figures:
    """Share of images that repeat another one, pixel for pixel."""
    return {"value": 1 - len(np.unique(generated.digests)) / len(generated), "n_gen": len(generated)}


def _share(flags: NDArray[np.bool_], labels: NDArray[np.int64], classes: Iterable[int]) -> tuple[float, float]:
    """Mean over classes of the share of flags, and its standard error."""
    parts = [flags[labels == c] for c in classes]
    variance = sum(p.mean() * (1 - p.mean()) / len(p) for p in parts)
    return float(np.mean([p.mean() for p in parts])), math.sqrt(variance) / len(parts)


def _gaps(fake: Side, train: Side, unseen: Side, seed: int) -> dict[int, tuple[float, float]]:
    """KID to unseen images less KID to training images, and its variance, of each class that has two of each.

    The variance is that of drawing the training and unseen images anew: few as they are, a gap by chance is theirs.
    """
    gaps = {}
    for c in np.unique(fake.labels).tolist():
        y, seen, new = (side.of([c]).drawn(_CLASS_CAP, seed).features for side in (fake, train, unseen))
        if min(len(seen), len(new)) > 1:
            itself = within(y)
            # KID is symmetric; its error is that of the second set.
            to_new, to_seen = kid(y, new, of_real=itself), kid(y, seen, of_real=itself)
            gaps[c] = to_new.value - to_seen.value, to_new.se**2 + to_seen.se**2
    return gaps


def _name(metric: str, extractor: Extractor) -> str:
    if extractor.id == "inception":
        return "FID" if metric == "FD" else metric
    return f"{metric}-{extractor.id}"
