"""What is drawn from sets of images: small changes of the images are small changes of the draw, and of the figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ltgen_bench.data.groups import Groups
from ltgen_bench.data.images import Images
from ltgen_bench.errors import UsageError
from ltgen_bench.scoring import scopes
from ltgen_bench.scoring.attribution import Scores
from ltgen_bench.scoring.extractor import Extractor
from ltgen_bench.scoring.feature_sets import FeatureSet, read
from ltgen_bench.scoring.metrics.frechet import frechet
from ltgen_bench.scoring.scorer import RealImages, Scoring

GROUPS = Groups.from_counts([5, 4, 3, 2, 1])
WEIGHTS = torch.randn(3 * 36, 12, generator=torch.Generator().manual_seed(0)) / 1000


def project(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    features = x.flatten(1) @ WEIGHTS
    return features, features[:, :4]


EXTRACTOR = Extractor("fake", "0" * 64, 12, 6, 64, torch.device("cpu"), project)


def images(n: int, seed: int) -> Images:
    """n of each of five classes, around a mean of their own."""
    labels = np.repeat(np.arange(5), n)
    means = np.random.default_rng(0).uniform(60, 190, (5, 6, 6, 1))[labels]
    pixels = means + np.random.default_rng(seed).normal(0, 40, means.shape)
    return Images(pixels.clip(0, 255).astype(np.uint8), labels)


def one_pixel_changed(given: Images, at: int) -> Images:
    pixels = given.pixels.copy()
    pixels[at, 2, 3, 0] ^= 1
    return Images(pixels, given.labels)


def in_order(given: Images) -> FeatureSet:
    ((found, _),) = read([given], EXTRACTOR, None, None)
    return found


def only_in(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> int:
    return len(np.setdiff1d(first, second))


@pytest.mark.parametrize("at", [3, 170, 499])
def test_a_changed_pixel_moves_no_more_than_its_own_image_in_or_out(at: int) -> None:
    given = images(100, 1)
    before, after = in_order(given), in_order(one_pixel_changed(given, at))
    for seed, skip in ((0, 0), (0, 30), (7, 60)):
        assert only_in(before.drawn(30, seed, skip).digests, after.drawn(30, seed, skip).digests) <= 2 - (skip == 0)
    members = [s.subsets(40, 200, 3).bool().numpy() for s in (before, after)]
    for old, new in zip(*(m.T for m in members), strict=True):
        assert only_in(before.digests[old], after.digests[new]) <= 1


def test_draws_are_fair_and_differ_by_seed() -> None:
    given = in_order(images(60, 1))
    times = np.zeros(len(given))
    for seed in range(400):
        drawn = given.drawn(15, seed)
        assert np.bincount(drawn.labels).tolist() == [15] * 5
        times += np.isin(given.digests, drawn.digests)
    assert times.mean() == 100
    assert times.std() == pytest.approx(np.sqrt(400 * 0.25 * 0.75), rel=0.15)
    first, second = given.drawn(15, 0), given.drawn(15, 0, skip=15)
    assert len(np.intersect1d(first.digests, second.digests)) == 0
    both = given.subsets(400, 60, 0)
    assert both.sum(0).tolist() == [60] * 400
    assert float(both.sum(1).std()) == pytest.approx(np.sqrt(400 * 0.2 * 0.8), rel=0.15)


def test_copies_of_an_image_are_drawn_one_by_one() -> None:
    once = images(10, 1)
    four_times = in_order(once[np.repeat(np.arange(len(once)), 4)])
    assert len(np.unique(four_times.keys)) == len(four_times)
    assert len(four_times.distinct()) == len(once)
    numbers = np.unique(four_times.drawn(20, 0).digests, return_counts=True)[1]
    assert set(numbers.tolist()) > {1, 2}


@pytest.fixture
def small_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, cap in (("NEIGHBOURS_CAP", 500), ("KID_CAP", 500), ("CLASS_CAP", 100)):
        monkeypatch.setattr(scopes, name, cap)


def moved(before: Scores, after: Scores) -> dict[tuple[str, str], float]:
    """By how many standard errors each value has moved, or by how much of three images where that is more."""
    found: dict[tuple[str, str], float] = {}
    for metric, groups in before.items():
        for group, figures in groups.items():
            change = abs(float(after[metric][group]["value"]) - float(figures["value"]))
            images = min(float(figures[n]) for n in ("n_real", "n_gen", "n_train") if n in figures)
            found[metric, group] = change / max(float(figures.get("se", 0)), 3 / images)
    return found


@pytest.mark.usefixtures("small_draws")
def test_a_changed_pixel_hardly_moves_the_figures(tmp_path: Path) -> None:
    given, real = images(200, 1), RealImages(images(200, 2), GROUPS, images(40, 3))
    before = Scoring(given, real, EXTRACTOR, cache=tmp_path).scores()
    changes = []
    for at in (5, 333, 801, 999):
        after = Scoring(one_pixel_changed(given, at), real, EXTRACTOR, cache=tmp_path).scores()
        changes.append(moved(before, after))
    assert np.mean([list(change.values()) for change in changes]) < 0.05
    for change in changes:
        worst = max(change, key=lambda name: change[name])
        assert change[worst] < 1.5, worst  # the one image that was drawn in place of another, in a group of 100
    other = Scoring(given, real, EXTRACTOR, cache=tmp_path, seed=1).scores()
    assert np.mean(list(moved(before, other).values())) > 0.3  # what a new draw does


def test_images_whose_labels_were_drawn_are_scored_as_they_are() -> None:
    """A pooled distance weighs a class by its images, as in papers; a mean over classes has the smallest size."""
    whole, real = images(200, 1), RealImages(images(200, 2), GROUPS, images(40, 3))
    chosen = np.flatnonzero(np.random.default_rng(0).random(len(whole)) < 0.5)
    drawn = Images(whole.pixels[chosen], whole.labels[chosen])
    with pytest.raises(UsageError, match="every class must have as many"):
        Scoring(drawn, real, EXTRACTOR)
    scores = Scoring(drawn, real, EXTRACTOR, equal=False).scores()
    pooled = frechet(in_order(real.reference).features, in_order(drawn).features)
    assert scores["FD-fake"]["overall"]["value"] == pytest.approx(pooled.value, rel=1e-4)
    counts = np.bincount(drawn.labels)
    assert scores["FD-fake"]["minority"]["n_gen"] == counts[list(GROUPS.minority)].sum()
    assert scores["mKID-fake"]["overall"]["n_gen"] == counts.min() < counts.max()
    assert scores["accuracy-fake"]["overall"]["n_gen"] == len(drawn)


def drawn_labels(counts: list[int]) -> Images:
    """So many of each class."""
    whole = images(max(counts), 1)
    return whole[np.flatnonzero(np.arange(len(whole)) % max(counts) < np.repeat(counts, max(counts)))]


@pytest.mark.parametrize("cap", [10_000, 100])
def test_of_drawn_labels_as_many_generated_as_real_images_are_compared(
    cap: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NEIGHBOURS_CAP", "KID_CAP"):
        monkeypatch.setattr(scopes, name, cap)
    counts = [36, 15, 28, 22, 19]
    real = RealImages(images(100, 2), GROUPS)
    scores = Scoring(drawn_labels(counts), real, EXTRACTOR, equal=False).scores()
    for metric in ("recall", "precision", "density", "coverage", "KID"):
        for scope, ids in (("overall", list(range(5))), *GROUPS):
            found = scores[f"{metric}-fake"][scope]
            available = min(sum(counts[c] for c in ids), cap * len(ids) // 5)
            assert found["n_real"] == found["n_gen"] == available // len(ids) * len(ids), (metric, scope)
    assert scores["recall-fake"]["overall"]["n_gen"] == min(sum(counts), cap)


@pytest.mark.parametrize("long_tailed", [False, True])
def test_what_is_kept_of_the_real_images_is_for_the_same_numbers_of_generated_ones(
    long_tailed: bool, tmp_path: Path
) -> None:
    real = RealImages(images(100, 2), GROUPS)
    if long_tailed:
        real = RealImages(drawn_labels([80, 60, 50, 40, 35]), GROUPS, balanced=images(100, 2))
    for counts in ([30, 26, 22, 18, 24], [18, 24, 22, 26, 30], [24, 24, 24, 24, 24], [30, 26, 22, 18, 24]):
        fresh = Scoring(drawn_labels(counts), real, EXTRACTOR, equal=False).scores()
        assert Scoring(drawn_labels(counts), real, EXTRACTOR, equal=False, cache=tmp_path).scores() == fresh, counts
