"""From sets of labelled images to every figure of a result, overall, for each group of classes and for each class."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltgen_bench.errors import UsageError
from ltgen_bench.features import Extractor, Progress
from ltgen_bench.files import read_json, write_json
from ltgen_bench.groups import Groups
from ltgen_bench.images import Images
from ltgen_bench.metrics.classifier import Classifier, calibration, fit
from ltgen_bench.metrics.frechet import Frechet, Moments, frechet, influence, principal_axes
from ltgen_bench.metrics.inception_score import SPLITS, inception_score
from ltgen_bench.metrics.kernel import Subsets, kid
from ltgen_bench.metrics.neighbours import KS, memorised, neighbours
from ltgen_bench.sides import Figures, Side, Sides, canonical, read

SCORE_VERSION = 1
"""Raised whenever a figure changes for the same images; figures of different versions are never compared."""

Scores = dict[str, dict[str, Figures]]

_LEAST = max(SPLITS, max(KS) + 1)  # images of a group
# The most images of a side in figures of quadratic cost: nearest neighbours, pooled KID, KID of one class.
_NEIGHBOURS_CAP, _KID_CAP, _CLASS_CAP = 10_000, 5_000, 1_000
_AXES = 64  # principal directions that a class of a few hundred images can fill
_SHARES = ("precision", "recall", "density", "coverage")


def score(
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
) -> Scores:
    """Every figure as {metric: {"overall" or group: {"value": ..., ...}}}, JSON-able and finite.

    FD, IS, KID, precision, recall, density and coverage pool the classes of a group; mKID and mFD64 are means over its
    classes, class-KID and class-FD64 the classes themselves, by id; accuracy, IS-domain and CAS come from a classifier
    of the classes; duplicates, and memorised where `train` is given, are shares of images. Names carry the extractor's
    id (`FD-efflite0@96`), except Inception's, which are the FID, IS and recall of the literature.

    Classes weigh the same: the generated images must be equally many for each, and a reference with unequal classes is
    cut to its smallest one, drawn by `seed`. n_real and n_gen are the images a figure was computed from; flag marks a
    distance with n < d (no rank) or n < 4 d, and memorised images.

    train: the training images, for the share of memorised images; test: real images outside it, the share to compare
    with (without them, the reference's images that are not in `train`). The order of the images changes nothing: sets
    are first sorted by class and content. cache: folder of `features_of`. progress: called with (images done, all).
    Raises UsageError, in one sentence, for images that cannot be scored.
    """
    check(generated, reference, groups)
    given = [images for images in (reference, generated, train, test) if images is not None]
    sets = iter(read(given, extractor, cache, progress))
    real, fake = next(sets), next(sets)
    trained, held_out = (None if images is None else next(sets) for images in (train, test))
    sides = Sides(real.balanced(seed), fake, seed)
    scores: Scores = {}
    ceilings = _ceilings(sides, groups, extractor, cache)
    for metric, group, figures in (*_figures(sides, groups, ceilings), *_label_figures(sides, groups)):
        scores.setdefault(_name(metric, extractor), {})[group] = figures
    scores["duplicates"] = {name: _duplicates(fake.of(ids)) for name, ids in _scopes(groups)}
    if trained is not None:
        unseen = held_out or real[~np.isin(real.digests, trained.digests)]
        scores[_name("memorised", extractor)] = _memorisation(sides, trained, unseen, groups)
    return scores


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


def attribute(
    generated: Images,
    reference: Images,
    groups: Groups,
    extractor: Extractor,
    *,
    cache: Path | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """Which generated images and classes make the Fréchet distance what it is. Arguments and errors as in `score`."""
    check(generated, reference, groups)
    real, fake = read([reference, generated], extractor, cache, progress)
    sides = Sides(real.balanced(seed), fake, seed)
    parts = {name: sides.of(ids) for name, ids in groups}
    moments = _moments(sides, parts)
    pulls = np.zeros((2, len(fake)))
    pulls[0] = influence(*sides.features, moments["overall"])
    classes: dict[str, Figures] = {}
    for name, ids in groups:
        pulls[1, np.isin(fake.labels, ids)] = influence(*parts[name].features, moments[name])
        for c in sorted(ids):
            value, within = pulls[:, fake.labels == c].mean(1).tolist()
            classes[str(c)] = {"value": value, "within_group": within, **sides.of([c]).counts}
    order, _ = canonical(generated)
    ordered = np.empty_like(pulls)
    ordered[:, order] = pulls
    return Attribution(ordered[0], ordered[1], {_name("class-pull", extractor): classes})


def _scopes(groups: Groups) -> Iterator[tuple[str, list[int]]]:
    """(name, classes) of the whole and of each group."""
    yield "overall", sorted(c for _, ids in groups for c in ids)
    for name, ids in groups:
        yield name, sorted(ids)


def _figures(sides: Sides, groups: Groups, ceilings: dict[str, dict[str, float]]) -> Iterator[tuple[str, str, Figures]]:
    """(metric, group or class, figures) of everything that compares generated with real images."""
    parts = {name: sides.of(ids) for name, ids in groups}
    moments = _moments(sides, parts)
    parts["overall"] = sides
    # A group's neighbours are looked for among its share of the images drawn for the whole.
    drawn, pooled = sides.paired(_NEIGHBOURS_CAP), sides.paired(_KID_CAP)
    classes, whole = {}, moments["overall"]
    for metric, c, figures in _class_figures(sides, principal_axes(sides.real.features, _AXES, whole and whole[0])):
        classes[metric, c] = figures
        yield f"class-{metric}", str(c), figures
    for name, ids in _scopes(groups):
        part = parts[name]
        yield "FD", name, _distance(frechet(*part.features, moments[name]), part)
        if part.generated.logits.shape[1]:
            yield "IS", name, _inception_score(part.generated.logits, part)
        for metric, figures in _neighbours(drawn.of(ids), ceilings.get(name, {})).items():
            yield metric, name, figures
        yield "KID", name, _kid(pooled.of(ids))
        for metric in ("KID", "FD64"):
            yield f"m{metric}", name, _mean([classes[metric, c] for c in ids])


def _moments(sides: Sides, parts: dict[str, Sides]) -> dict[str, tuple[Moments, Moments] | None]:
    """Of the whole and of each part: those of the whole are the sum of its parts', where all have them."""
    result = {name: part.moments for name, part in parts.items()}
    known = [pair for pair in result.values() if pair]
    if len(known) == len(parts):
        real, generated = zip(*known, strict=True)
        result["overall"] = reduce(add, real), reduce(add, generated)
    else:
        result["overall"] = sides.moments
    return result


def _class_figures(sides: Sides, axes: Tensor) -> Iterator[tuple[str, int, Figures]]:
    """KID of each class, and its Fréchet distance in the principal directions (d, <= 64) of all real images."""
    for c in np.unique(sides.real.labels).tolist():
        part = sides.of([c])
        capped = Sides(part.real.drawn(_CLASS_CAP, part.seed), part.generated.drawn(_CLASS_CAP, part.seed), part.seed)
        result = kid(*capped.features)
        yield "KID", c, {"value": result.value, "se": result.se, **capped.counts}
        real, generated = (features.double() @ axes for features in part.features)
        yield "FD64", c, _distance(frechet(real, generated), part, axes.shape[1])


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


def _kid(sides: Sides) -> Figures:
    """With what most papers report where there are enough images: mean and spread of 100 subsets of 1,000."""
    subsets = Subsets(seed=sides.seed)
    enough = min(map(len, sides.features)) >= subsets.size
    result = kid(*sides.features, subsets if enough else None)
    figures: Figures = {"value": result.value, "se": result.se}
    if result.subsets:
        figures |= {"subsets_mean": result.subsets[0], "subsets_std": result.subsets[1]}
    return figures | sides.counts


def _inception_score(logits: Tensor, sides: Sides) -> Figures:
    result = inception_score(logits, sides.generated.labels, sides.seed)
    return {"value": result.value, "se": result.se, "split_std": result.split_std, **sides.counts}


def _mean(classes: list[Figures]) -> Figures:
    """Mean over classes, all of the same sizes."""
    figures = dict(classes[0])
    for key in ("value", "floor", "debiased"):
        if key in figures:
            figures[key] = math.fsum(float(c[key]) for c in classes) / len(classes)
    figures["se"] = math.sqrt(math.fsum(float(c["se"]) ** 2 for c in classes)) / len(classes)
    return figures


def _neighbours(sides: Sides, ceiling: dict[str, float]) -> dict[str, Figures]:
    """Precision, recall, density and coverage: k = 5, k = 3 beside it, and what real images reach ("ceiling")."""
    first, second = neighbours(*sides.features, KS)
    result: dict[str, Figures] = {}
    for metric in _SHARES:
        share, other = getattr(first, metric), getattr(second, metric)
        figures: Figures = {"value": share.value, "se": share.se, "k": first.k, f"k{second.k}": other.value}
        if ceiling:
            figures |= {"ceiling": ceiling[metric], "ceiling_n": int(ceiling["n"])}
        result[metric] = figures | sides.counts
    return result


def _ceilings(sides: Sides, groups: Groups, extractor: Extractor, cache: Path | None) -> dict[str, dict[str, float]]:
    """Neighbour figures of one half of the real images against the other, by group: {"recall": ..., "n": images}.

    They are the same for every model, so they are kept beside the features.
    """
    halves = sides.halves(_NEIGHBOURS_CAP)
    identity = [SCORE_VERSION, KS[0], extractor.id, extractor.sha256, groups.as_dict()]
    digest = hashlib.sha256(json.dumps(identity).encode())
    for side in (halves.real, halves.generated):
        digest.update(side.labels.tobytes() + side.digests.tobytes())
    path = cache / f"ceiling-{digest.hexdigest()[:32]}.json" if cache else None
    if path:
        with contextlib.suppress(FileNotFoundError, ValueError):
            kept: dict[str, dict[str, float]] = read_json(path)
            return kept
    result = {}
    for name, ids in _scopes(groups):
        part = halves.of(ids)
        if len(part.real) > KS[0]:
            (found,) = neighbours(*part.features, KS[:1])
            result[name] = {metric: getattr(found, metric).value for metric in _SHARES} | {"n": len(part.real)}
    if path:
        write_json(path, result)
    return result


def _label_figures(sides: Sides, groups: Groups) -> Iterator[tuple[str, str, Figures]]:
    """How well the images show their classes, by a classifier fitted to one half of the real images.

    accuracy: share of generated images it takes for what they should be; IS-domain: Inception Score from its logits;
    CAS: share of the real images of the other half that a classifier fitted to generated images takes for what they are
    (Ravuri and Vinyals 2019). ceiling: the same share by a classifier fitted to as many real images.
    """
    real, fake, seed = sides.real, sides.generated, sides.seed
    ids = np.unique(real.labels)
    n = min(len(real) // 2, _NEIGHBOURS_CAP) // len(ids)
    if n < 2:
        return
    seen, new = real.drawn(n, seed), real.drawn(n, seed, skip=n)
    pupil = fake.drawn(n, seed)
    judge, taught = _fit(seen, ids), _fit(pupil, ids)
    teacher = judge if len(pupil) == len(seen) else _fit(seen.drawn(len(pupil) // len(ids), seed), ids)
    truth = _places(new, ids)
    of_new, of_fake = judge.logits(new.features), judge.logits(fake.features)
    of_fake *= calibration(of_new, truth)
    right = (of_fake.argmax(1) == _places(fake, ids)).numpy()
    by_judge, by_teacher, by_taught = (
        (logits.argmax(1) == truth).numpy()
        for logits in (of_new, teacher.logits(new.features), taught.logits(new.features))
    )
    for name, classes in _scopes(groups):
        part = sides.of(classes)
        value, se = _share(right, fake.labels, classes)
        best = _share(by_judge, new.labels, classes)[0]
        yield "accuracy", name, {"value": value, "se": se, "ceiling": best, **part.counts}
        value, se = _share(by_taught, new.labels, classes)
        best = _share(by_teacher, new.labels, classes)[0]
        counts = Sides(new, pupil, seed).of(classes).counts
        yield "CAS", name, {"value": value, "se": se, "ceiling": best, **counts}
        yield "IS-domain", name, _inception_score(of_fake[np.isin(fake.labels, classes)], part)


def _fit(side: Side, ids: NDArray[np.int64]) -> Classifier:
    return fit(side.features, _places(side, ids), len(ids))


def _places(side: Side, ids: NDArray[np.int64]) -> Tensor:
    """Labels as places in ids."""
    return torch.from_numpy(np.searchsorted(ids, side.labels))


def _duplicates(generated: Side) -> Figures:
    """Share of images that repeat another one, pixel for pixel."""
    return {"value": 1 - len(np.unique(generated.digests)) / len(generated), "n_gen": len(generated)}


def _memorisation(sides: Sides, train: Side, unseen: Side, groups: Groups) -> dict[str, Figures]:
    """Share of memorised images, beside the share among real images that were not trained on (see `memorised`).

    copies: share of images that are a training image, pixel for pixel. gap: mean over classes of the KID to unseen
    images less the KID to training images, 0 on average for a model that generalises. flag: the share is larger than
    that of unseen images by a tenth and by three standard errors.
    """
    cap = len(sides.paired(_NEIGHBOURS_CAP).real) // len(np.unique(sides.real.labels))
    fake, unseen = sides.generated.drawn(cap, sides.seed), unseen.drawn(cap, sides.seed)
    flags = memorised(torch.cat([fake.features, unseen.features]), train.features).numpy()
    copies = np.isin(fake.digests, train.digests)
    result: dict[str, Figures] = {}
    for name, ids in _scopes(groups):
        value, se = _share(flags[: len(fake)], fake.labels, ids)
        figures: Figures = {"value": value, "se": se, "copies": _share(copies, fake.labels, ids)[0]}
        figures |= {"n_train": len(train.of(ids)), "n_gen": len(fake.of(ids)), "n_unseen": len(unseen.of(ids))}
        if set(ids) <= set(unseen.labels.tolist()):
            usual, usual_se = _share(flags[len(fake) :], unseen.labels, ids)
            figures |= {"unseen": usual, "unseen_se": usual_se}
            if value - usual > max(0.1, 3 * math.hypot(se, usual_se)):
                figures["flag"] = "memorised"
        if gaps := list(_gaps(fake, train, unseen, ids, sides.seed)):
            figures["gap"] = math.fsum(gap for gap, _ in gaps) / len(gaps)
            figures["gap_se"] = math.sqrt(math.fsum(variance for _, variance in gaps)) / len(gaps)
        result[name] = figures
    return result


def _share(flags: NDArray[np.bool_], labels: NDArray[np.int64], classes: Iterable[int]) -> tuple[float, float]:
    """Mean over classes of the share of flags, and its standard error."""
    parts = [flags[labels == c] for c in classes]
    variance = sum(p.mean() * (1 - p.mean()) / len(p) for p in parts)
    return float(np.mean([p.mean() for p in parts])), math.sqrt(variance) / len(parts)


def _gaps(fake: Side, train: Side, unseen: Side, classes: Iterable[int], seed: int) -> Iterator[tuple[float, float]]:
    """KID to unseen images less KID to training images, and its variance, of each class that has two of each.

    The variance is that of drawing the training and unseen images anew: few as they are, a gap by chance is theirs.
    """
    for c in classes:
        y, seen, new = (side.of([c]).drawn(_CLASS_CAP, seed).features for side in (fake, train, unseen))
        if min(len(seen), len(new)) > 1:
            to_new, to_seen = kid(y, new), kid(y, seen)  # KID is symmetric; its error is that of the second set
            yield to_new.value - to_seen.value, to_new.se**2 + to_seen.se**2


def _name(metric: str, extractor: Extractor) -> str:
    if extractor.id == "inception":
        return "FID" if metric == "FD" else metric
    return f"{metric}-{extractor.id}"


def check_enough(what: str, per_class: int, groups: Groups) -> None:
    """Raises UsageError when so many images of each class are too few to score. what: "generated" or "real"."""
    for name, ids in groups:
        if (n := len(ids) * per_class) < _LEAST or per_class < 2:
            needed = max(_LEAST, 2 * len(ids))
            raise UsageError(
                f"{n} {what} images of the {name} classes are too few; scoring needs {needed} in this group"
            )


def check(generated: Images, reference: Images, groups: Groups) -> None:
    """Raises UsageError, in one sentence, when the generated images cannot be scored against the reference."""
    classes = sorted(c for _, ids in groups for c in ids)
    shape, expected = generated.pixels.shape[1:], reference.pixels.shape[1:]
    if shape != expected:
        ours, theirs = describe_shape(shape), describe_shape(expected)
        raise UsageError(f"generated images are {ours}, those of the dataset {theirs}")
    for what, images in (("generated", generated), ("real", reference)):
        if extra := sorted(set(np.unique(images.labels).tolist()) - set(classes)):
            raise UsageError(f"{what} images have class {extra[0]}; the dataset has classes 0 to {classes[-1]}")
        counts = {c: int((images.labels == c).sum()) for c in classes}
        least, most = min(counts, key=lambda c: counts[c]), max(counts, key=lambda c: counts[c])
        if counts[least] == 0:
            raise UsageError(f"no {what} images of class {least}; every class is scored, with as many images each")
        if what == "generated" and counts[least] < counts[most]:
            raise UsageError(
                f"{counts[least]} generated images of class {least} and {counts[most]} of class {most}; "
                "every class must have as many"
            )
        check_enough(what, counts[least], groups)


def describe_shape(shape: tuple[int, ...]) -> str:
    """Of images (height, width, channels), in words."""
    return f"{shape[1]}x{shape[0]} {'grey' if shape[2] == 1 else 'RGB'}"
