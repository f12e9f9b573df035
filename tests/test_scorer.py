from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scored_sets import (
    GROUPS,
    blur,
    changed,
    collapse,
    drop,
    fake_extractor,
    noise,
    score,
    values,
)

from ltgen_bench.data.groups import Groups
from ltgen_bench.data.images import Images
from ltgen_bench.errors import UsageError
from ltgen_bench.scoring import reference
from ltgen_bench.scoring.extractors import Extractor
from ltgen_bench.scoring.feature_cache import features_of
from ltgen_bench.scoring.headline import headline
from ltgen_bench.scoring.metric_table import remarks
from ltgen_bench.scoring.metrics import memorised
from ltgen_bench.scoring.metrics.frechet import frechet
from ltgen_bench.scoring.metrics.precision_recall import neighbours
from ltgen_bench.scoring.scorer import RealImages, Scoring


def test_every_figure_says_what_it_is_from(halves: tuple[Images, Images], tmp_path: Path) -> None:
    real, held_out = halves
    seen: list[tuple[int, int]] = []
    progress = lambda done, total: seen.append((done, total))  # noqa: E731
    scores = score(held_out, real, GROUPS, fake_extractor(), cache=tmp_path, progress=progress)
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores
    for metric in ("FD", "FD64", "IS", "precision", "recall", "density", "coverage", "KID"):
        groups = scores[f"{metric}-fake"]
        assert list(groups) == ["overall", "majority", "medium", "minority"]
        sizes = {name: (figures["n_real"], figures["n_gen"]) for name, figures in groups.items()}
        assert sizes == {"overall": (850, 850), "majority": (255,) * 2, "medium": (255,) * 2, "minority": (340,) * 2}
    for metric, of_metric in scores.items():
        for group, figures in of_metric.items():
            assert {"value", "n_gen"} <= set(figures), (metric, group)
            assert metric == "duplicates" or {"n_real", "n_train"} & set(figures), (metric, group)
            assert metric == "duplicates" or metric.endswith("-fake")
    assert all({"value", "se", "floor", "debiased"} <= set(scores[f"{m}-fake"]["minority"]) for m in ("FD", "FD64"))
    assert {"value", "se", "k", "k3"} <= set(scores["recall-fake"]["minority"])
    assert {"ceiling", "ceiling_n"} <= set(scores["recall-fake"]["minority"])
    assert scores["recall-fake"]["overall"]["ceiling_n"] == 420
    for metric in ("KID", "FD64"):
        classes, means = scores[f"class-{metric}-fake"], scores[f"m{metric}-fake"]
        assert list(classes) == [str(c) for c in range(10)]
        minority = [classes[str(c)]["value"] for c in GROUPS.minority]
        assert means["minority"]["value"] == pytest.approx(np.mean(minority))
        assert (means["minority"]["n_real"], means["minority"]["n_gen"]) == (85, 85)
    assert scores["duplicates"]["overall"] == {"value": 0, "n_gen": 850}
    assert "flag" not in scores["FD-fake"]["overall"]
    assert seen[-1] == (1700, 1700)
    assert sorted(seen) == seen
    assert score(held_out, real, GROUPS, fake_extractor(), cache=tmp_path) == scores
    kept = sorted(file.name.split("-")[0] for file in tmp_path.iterdir())
    assert kept == ["fake", "fake", "reference"]
    next(tmp_path.glob("reference-*")).write_text("{")  # damaged
    assert score(held_out, real, GROUPS, fake_extractor(), cache=tmp_path) == scores


def test_what_depends_on_real_images_alone_is_found_once(
    halves: tuple[Images, Images], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, held_out = halves
    train = real[np.arange(0, len(real), 3)]
    models = [Images(held_out.pixels // scale, held_out.labels) for scale in (1, 2)]
    alone = [score(model, real, GROUPS, fake_extractor(16), train=train) for model in models]
    looks = []
    for module, name in itertools.product((reference, memorised), ("radii", "within")):
        real_one = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args, f=real_one, **kw: looks.append(f.__name__) or f(*args, **kw))
    for model, expected in zip(models, alone, strict=True):
        before = len(looks)
        assert score(model, real, GROUPS, fake_extractor(16), train=train, cache=tmp_path) == expected
    assert looks.count("radii") == 5  # four scopes of the reference, and the training images
    assert len(looks) - before == 10  # of generated images alone: one class after the other
    assert {file.name.split("-")[0] for file in tmp_path.iterdir()} == {"fake", "reference", "train"}
    other = score(models[0], real, GROUPS, fake_extractor(16), train=train, cache=tmp_path, seed=1)
    assert other == score(models[0], real, GROUPS, fake_extractor(16), train=train, seed=1)


def test_figures_are_those_of_the_metrics(halves: tuple[Images, Images]) -> None:
    real, held_out = halves
    scores = score(held_out, real, GROUPS, fake_extractor())
    chosen = [np.isin(images.labels, GROUPS.minority) for images in halves]
    x, y = (
        torch.from_numpy(features_of(images[np.flatnonzero(at)], fake_extractor()).features)
        for images, at in zip(halves, chosen, strict=True)
    )
    expected = frechet(x, y)
    for name in ("value", "se", "floor", "debiased"):
        assert scores["FD-fake"]["minority"][name] == pytest.approx(getattr(expected, name), rel=1e-6)
    for metric in ("precision", "recall", "density", "coverage"):
        five, three = (getattr(result, metric).value for result in neighbours(x, y))
        figures = scores[f"{metric}-fake"]["minority"]
        assert (figures["value"], figures["k3"]) == pytest.approx((five, three), rel=1e-12)


def test_the_ceiling_is_one_half_of_the_real_images_against_the_other(halves: tuple[Images, Images]) -> None:
    real, _ = halves
    figures = score(real, real, GROUPS, fake_extractor())["recall-fake"]["overall"]
    assert figures["value"] == 1
    assert 0.7 < figures["ceiling"] < 1
    assert figures["ceiling_n"] == 420


def test_overall_from_the_groups_moments_is_that_of_all_images(halves: tuple[Images, Images]) -> None:
    real, held_out = halves
    x, y = (torch.from_numpy(features_of(images, fake_extractor()).features) for images in halves)
    assert values(score(held_out, real, GROUPS, fake_extractor()), "FD")["overall"] == pytest.approx(
        frechet(x, y).value, rel=1e-6
    )


def test_small_samples_are_flagged(halves: tuple[Images, Images]) -> None:
    real, held_out = halves
    found = [score(held_out, real, GROUPS, fake_extractor(dim)) for dim in (85, 86, 340, 341)]
    assert [scores["FD-fake"]["minority"].get("flag") for scores in found] == [None, "n<4d", "n<4d", "n<d"]
    assert [headline([scores], "fake", "minority") for scores in found] == ["FD", "FD64", "FD64", "FD64"]


def test_the_order_of_the_images_changes_nothing(halves: tuple[Images, Images], efflite: Extractor, kept: Path) -> None:
    rng = np.random.default_rng(0)
    real, held_out = halves
    expected = score(held_out, real, GROUPS, efflite)
    shuffled = [images[rng.permutation(len(images))] for images in (held_out, real)]
    assert score(*shuffled, GROUPS, efflite) == expected


def test_threads_change_nothing(halves: tuple[Images, Images], tmp_path: Path) -> None:
    real, held_out = halves
    first = score(held_out, real, GROUPS, fake_extractor(32), cache=tmp_path)  # the features of both are then the same
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if threads > 1 else 2)
    try:
        second = score(held_out, real, GROUPS, fake_extractor(32), cache=tmp_path)
    finally:
        torch.set_num_threads(threads)
    for metric, groups in first.items():
        for group, figures in groups.items():
            for name, value in figures.items():
                expected = value if isinstance(value, str) else pytest.approx(value, rel=1e-9, abs=1e-9)
                assert second[metric][group][name] == expected, (metric, group, name)


def test_kid_of_subsets_is_there_for_comparison(halves: tuple[Images, Images]) -> None:
    real, held_out = (images[np.tile(np.arange(len(images)), 2)] for images in halves)
    kids = score(held_out, real, GROUPS, fake_extractor())["KID-fake"]
    overall = kids["overall"]
    assert overall["subsets_mean"] == pytest.approx(overall["value"], abs=overall["subsets_std"])
    assert overall["subsets_std"] > 0  # type: ignore[operator]
    assert "subsets_mean" not in kids["minority"]  # of 680 images no subsets of 1,000


def test_an_unbalanced_reference_is_cut_to_its_smallest_class(halves: tuple[Images, Images]) -> None:
    real, held_out = halves
    fewer = np.flatnonzero((real.labels != 3) | (np.cumsum(real.labels == 3) <= 60))
    scores = [score(held_out, real[fewer], GROUPS, fake_extractor(), seed=seed) for seed in (0, 0, 1)]
    assert scores[0] == scores[1] != scores[2]
    assert scores[0]["FD-fake"]["overall"]["n_real"] == 600
    assert scores[0]["FD-fake"]["overall"]["n_gen"] == 850
    assert scores[0]["recall-fake"]["overall"]["n_gen"] == 600


def test_two_classes_have_no_medium_group(halves: tuple[Images, Images]) -> None:
    real, held_out = (images[np.flatnonzero(images.labels < 2)] for images in halves)
    scores = score(held_out, real, Groups.from_counts([10, 1]), fake_extractor())
    assert list(scores["FD-fake"]) == ["overall", "majority", "minority"]


def test_inceptions_figures_have_their_usual_names(halves: tuple[Images, Images]) -> None:
    real, held_out = halves
    stand_in = dataclasses.replace(fake_extractor(), id="inception")
    assert {"FID", "IS", "precision", "recall"} <= set(score(held_out, real, GROUPS, stand_in))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i: changed(i, i.labels != 7), "no generated images of class 7"),
        (lambda i: changed(i, np.arange(len(i)) != 0), "84 generated images of class 0 and 85 of class 1; every"),
        (lambda i: changed(i, labels=i.labels + 1), "generated images have class 10; the dataset has classes 0 to 9"),
        (lambda i: changed(i, pixels=np.repeat(i.pixels, 3, 3)), "images are 8x8 RGB, those of the dataset 8x8 grey"),
        (lambda i: changed(i, pixels=i.pixels[:, :4]), "images are 8x4 grey, those of the dataset 8x8 grey"),
        (lambda i: i[np.unique(i.labels, return_index=True)[1]], "3 generated images of the majority classes are too"),
    ],
)
def test_images_that_cannot_be_scored_are_refused_in_one_sentence(
    halves: tuple[Images, Images], change: Callable[[Images], Images], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        score(change(halves[1]), halves[0], GROUPS, fake_extractor())


@pytest.mark.parametrize(
    ("degrade", "levels", "seen_by"),
    [
        (noise, (8, 32, 96), {"FD", "FD64", "precision", "coverage", "mKID", "mFD64"}),
        (blur, (0.4, 0.7, 1.2), {"FD", "FD64", "recall", "coverage", "mKID", "mFD64"}),
        (drop, (2, 5, 8), {"FD", "FD64", "recall", "coverage", "mKID", "mFD64"}),
        (collapse, (40, 10, 2), {"FD", "FD64", "coverage", "mKID", "mFD64"}),
    ],
)
def test_the_worse_the_images_the_worse_the_scores(
    halves: tuple[Images, Images],
    efflite: Extractor,
    kept: Path,
    degrade: Callable[[Images, Any], Images],
    levels: tuple[Any, ...],
    seen_by: set[str],
) -> None:
    real, held_out = halves
    ladder = [held_out, *(degrade(held_out, level) for level in levels)]
    scores = [score(images, real, GROUPS, efflite, cache=kept) for images in ladder]
    for metric in seen_by:
        steps = [values(s, metric)["overall"] for s in scores]
        worse = [-v for v in steps] if metric in ("precision", "recall", "coverage") else steps
        assert worse == sorted(worse), (metric, steps)
        assert not math.isclose(worse[0], worse[-1])


def test_only_the_scores_of_classes_see_shuffled_labels(
    halves: tuple[Images, Images], efflite: Extractor, kept: Path
) -> None:
    real, held_out = halves
    shuffled = changed(held_out, labels=np.random.default_rng(0).permutation(held_out.labels))
    given, mixed = (score(images, real, GROUPS, efflite, cache=kept) for images in (held_out, shuffled))
    assert values(mixed, "FD")["overall"] == pytest.approx(values(given, "FD")["overall"], rel=1e-6)
    for metric in ("mKID", "mFD64"):
        assert min(values(mixed, metric).values()) > 5 * max(values(given, metric).values())
    for metric in ("accuracy", "CAS"):
        assert min(values(given, metric).values()) > 0.5
        assert max(values(mixed, metric).values()) < 0.25


def test_the_classifiers_figures_stand_beside_those_of_real_images(
    halves: tuple[Images, Images], efflite: Extractor, kept: Path
) -> None:
    real, held_out = halves
    blurred = blur(held_out, 1.2)
    good, bad = (score(images, real, GROUPS, efflite, cache=kept) for images in (held_out, blurred))
    for metric in ("accuracy", "CAS"):
        figures = good[f"{metric}-efflite0@32"]["overall"]
        assert figures["value"] == pytest.approx(figures["ceiling"], abs=0.05)
        assert values(bad, metric)["overall"] < values(good, metric)["overall"] - 0.2
    assert 1 < values(bad, "IS-domain")["overall"] < values(good, "IS-domain")["overall"] < 10


def test_labels_in_another_order_get_a_remark(halves: tuple[Images, Images], efflite: Extractor, kept: Path) -> None:
    real, held_out = halves
    for labels, flag in (
        (held_out.labels, None),
        ((held_out.labels + 1) % 10, "labels?"),
        (np.random.default_rng(0).permutation(held_out.labels), "labels?"),
    ):
        scores = score(changed(held_out, labels=labels), real, GROUPS, efflite, cache=kept)
        found = scores["accuracy-efflite0@32"]
        assert [figures.get("flag") for figures in found.values()] == [flag, None, None, None]
        (*sentences,) = remarks(scores)
        assert len(sentences) == (flag is not None)
        assert all(f"takes {found['overall']['value']:.2f} of these" in sentence for sentence in sentences)


@pytest.mark.parametrize("pixels", [0, 255])
def test_a_collapsed_sampler_is_scored_and_scores_badly(halves: tuple[Images, Images], pixels: int) -> None:
    real, held_out = halves
    collapsed = changed(held_out, pixels=np.full_like(held_out.pixels, pixels))
    scores = score(collapsed, real, GROUPS, fake_extractor(), train=real)
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores
    assert (
        values(scores, "FD")["overall"] > 100 * values(score(held_out, real, GROUPS, fake_extractor()), "FD")["overall"]
    )
    for metric in ("precision", "recall", "coverage"):
        assert values(scores, metric)["overall"] < 0.1
    assert scores["duplicates"]["overall"]["value"] == pytest.approx(849 / 850)


def test_attribution_finds_the_images_and_classes_that_do_not_fit(halves: tuple[Images, Images]) -> None:
    real, held_out = halves
    rng = np.random.default_rng(0)
    pixels = held_out.pixels.copy()
    odd = rng.choice(np.flatnonzero(held_out.labels == 4), 20, replace=False)
    pixels[odd] = rng.integers(0, 256, pixels[odd].shape)
    order = rng.permutation(len(pixels))
    given = Images(pixels[order], held_out.labels[order])
    result = Scoring(given, RealImages(real, GROUPS), fake_extractor(16)).attribution()
    expected = set(np.flatnonzero(np.isin(order, odd)).tolist())
    for each in (result.overall, result.within_group):
        assert set(np.argsort(each)[-20:].tolist()) == expected
    assert abs(result.overall.mean()) < 1e-9
    classes = result.scores["class-pull-fake"]
    pulls = {c: figures["value"] for c, figures in classes.items()}
    assert max(pulls, key=lambda c: pulls[c]) == "4"
    assert sum(pulls.values()) == pytest.approx(0, abs=1e-9 * pulls["4"])
    for name, ids in GROUPS:
        at = np.isin(given.labels, ids)
        assert abs(result.within_group[at].mean()) < 1e-9 * result.within_group[at].max(), name
    assert classes["4"]["within_group"] == pytest.approx(result.within_group[given.labels == 4].mean())
    assert (classes["4"]["n_real"], classes["4"]["n_gen"]) == (85, 85)
