"""Copies of training images, and images over and over, on either side."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scored_sets import (
    GROUPS,
    balanced,
    collapse,
    fake_extractor,
    noise,
    repeated,
    score,
    values,
)

from ltgen_bench.data.images import Images
from ltgen_bench.data.long_tail import LongTail
from ltgen_bench.scoring.extractors import Extractor


def test_a_copy_of_the_training_set_is_flagged(digits: LongTail, efflite: Extractor) -> None:
    copy, barely_changed = (
        score(images, digits.reference, digits.groups, efflite, train=digits.train)
        for images in (balanced(digits.train, 20), noise(balanced(digits.train, 20), 3))
    )
    for group, figures in copy["memorised-efflite0@32"].items():
        assert figures["value"] == figures["copies"] == 1
        assert figures["flag"] == barely_changed["memorised-efflite0@32"][group]["flag"] == "memorised"
        assert barely_changed["memorised-efflite0@32"][group]["copies"] == 0
    assert copy["duplicates"]["minority"]["value"] > 0.1
    assert copy["duplicates"]["majority"]["value"] == 0


def test_new_images_are_not_flagged(halves: tuple[Images, Images], efflite: Extractor, kept: Path) -> None:
    real, held_out = halves
    run_folder = np.arange(850) % 85  # digits are sorted by writer, so every set takes some of each
    new, test = (held_out[np.flatnonzero(run_folder % 2 == rest)] for rest in (1, 0))
    train = real[np.flatnonzero(run_folder % 3 == 0)]
    figures = score(new, real, GROUPS, efflite, cache=kept, train=train, test=test)["memorised-efflite0@32"]
    assert not any("flag" in of_group for of_group in figures.values())
    assert figures["overall"]["value"] == pytest.approx(figures["overall"]["unseen"], abs=0.1)
    assert all(abs(f["gap"]) < 3 * f["gap_se"] for f in figures.values())  # type: ignore[arg-type, operator]
    assert (figures["overall"]["copies"], figures["overall"]["n_unseen"]) == (0, 420)


@pytest.mark.parametrize("times", [2, 7])
def test_repeated_training_images_hide_no_copies(digits: LongTail, efflite: Extractor, times: int) -> None:
    copies = noise(balanced(digits.train, 20), 3)
    once, again = (
        score(copies, digits.reference, digits.groups, efflite, train=train, test=test)["memorised-efflite0@32"]
        for train, test in (
            (digits.train, digits.reference),
            (repeated(digits.train, times), Images(*(np.concatenate(both) for both in zip(
                *((i.pixels, i.labels) for i in (digits.reference, digits.train)), strict=True
            )))),
        )
    )  # fmt: skip
    assert once == again
    assert all(figures["flag"] == "memorised" for figures in again.values())


def test_repeated_real_images_shrink_no_balls(halves: tuple[Images, Images], efflite: Extractor, kept: Path) -> None:
    real, held_out = halves
    once, again = (score(held_out, images, GROUPS, efflite, cache=kept) for images in (real, repeated(real, 6)))
    for metric in ("precision", "recall", "density", "coverage", "accuracy", "CAS"):
        for group, figures in once[f"{metric}-efflite0@32"].items():
            other = again[f"{metric}-efflite0@32"][group]
            for name in ("value", "se", "ceiling"):
                assert other[name] == pytest.approx(figures[name], rel=1e-9), (metric, group, name)


def test_a_model_that_repeats_itself_has_no_higher_recall_for_it(
    halves: tuple[Images, Images], efflite: Extractor, kept: Path
) -> None:
    real, held_out = halves
    whole, few = (score(images, real, GROUPS, efflite, cache=kept) for images in (held_out, collapse(held_out, 3)))
    assert values(few, "recall")["overall"] < 0.1 < 0.9 < values(whole, "recall")["overall"]


def test_a_reference_of_a_few_images_over_and_over_has_no_neighbours(halves: tuple[Images, Images]) -> None:
    real, held_out = halves
    few = repeated(real[np.unique(real.labels, return_index=True)[1]], 85)
    scores = score(held_out, few, GROUPS, fake_extractor(), train=few)
    assert list(scores["recall-fake"]) == ["overall"]  # the groups have three or four images each
    assert "accuracy-fake" not in scores
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_one_unseen_image_is_enough_to_compare_with(halves: tuple[Images, Images]) -> None:
    real, held_out = halves
    scores = score(held_out, real, GROUPS, fake_extractor(), train=real[np.arange(1, len(real))])
    assert scores["memorised-fake"]["overall"]["n_unseen"] == 1
