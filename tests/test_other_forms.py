"""Figures as papers have them stand on the pages and in the terminal, with what tells them from the suite's own."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ltgen_bench.leaderboard.pages.of_dataset import build
from ltgen_bench.leaderboard.text import score_text
from ltgen_bench.runs.record import Record

MakeRecord = Callable[..., Record]
LEGACY = {"features": "inception-legacy", "sample": {"images": 50_000}}
RECALL = {"value": 0.41, "k": 5, "k3": 0.32, "n_real": 10_000, "n_gen": 10_000}
OF_ALL = {"n_real": 50_000, "n_gen": 50_000}


def as_papers(record: Record, shift: float = 0.0) -> Record:
    """With all figures of 50,000 images, under names that records have in the long-tail papers' features."""
    found: dict[str, dict[str, Any]] = {
        "IS": {"value": 9.5, "split_mean": 9.25 + shift, "split_std": 0.1, **OF_ALL},
        "recall": RECALL,
        "precision": RECALL | {"value": 0.7, "k3": 0.6},
        "recall-all": {"value": 0.28, "k": 5, "k3": 0.21 + shift, **OF_ALL},
        "precision-all": {"value": 0.61, "k": 5, "k3": 0.55, **OF_ALL},
        "F8": {"value": 0.934, **OF_ALL},
        "F1/8": {"value": 0.876, **OF_ALL},
        "KID": {"value": 0.0123, "subsets_mean": 0.0125, "subsets_std": 0.001, "n_real": 5_000, "n_gen": 5_000},
    }
    record.scores.pop("FD-inception-legacy", None)  # type: ignore[attr-defined]
    record.scores["FID-legacy"] = {"overall": {"value": 8.0, **OF_ALL}}  # type: ignore[index]
    for name, figures in found.items():
        record.scores[f"{name}-legacy"] = {"overall": figures}  # type: ignore[index]
    return record


def part(page: str, metric: str) -> list[str]:
    """What stands below the heading of a metric, up to the next."""
    _, _, rest = page.partition(f"\n**{metric}**\n")
    return [line for line in rest.split("\n\n**")[0].split("\n\n</details>")[0].splitlines() if line]


def test_pages_hold_what_papers_print(make_record: MakeRecord) -> None:
    records = [as_papers(make_record(seed=seed, **LEGACY), 0.1 * seed) for seed in range(2)]
    page = build(records)["digitslt"]
    for metric, how, other, value in (
        ("IS-legacy ↑", "Overall: of all images.", "overall, mean of ten splits", "9.30 ± 0.07"),
        ("recall-legacy ↑", "Overall: k = 5, 10,000 real v 10,000 generated.", "overall, k = 3", "0.320 ± 0.000"),
        ("recall-all-legacy ↑", "Overall: k = 5, 50,000 real v 50,000 generated.", "overall, k = 3", "0.260 ± 0.071"),
        (
            "KID-legacy ↓",
            "Overall: of all pairs, 5,000 real v 5,000 generated.",
            "overall, mean of 100 subsets",
            "0.0125",
        ),
    ):
        said, header, _, row = part(page, metric)
        assert said == how
        assert header.split("|")[-2].strip() == other
        assert row.split("|")[-2].strip().startswith(value)
    for metric, value in (("F8-legacy ↑", "0.934"), ("F1/8-legacy ↑", "0.876")):
        said, header, _, row = part(page, metric)
        assert said == "Overall: 50,000 real v 50,000 generated."
        assert "k = 3" not in header
        assert value in row


def test_a_row_without_the_other_form_has_none(make_record: MakeRecord) -> None:
    with_it, without = as_papers(make_record("cm", **LEGACY)), as_papers(make_record("ddpm", **LEGACY))
    without.scores["recall-legacy"] = {"overall": {"value": 0.4, "n_real": 9_000, "n_gen": 9_000}}  # type: ignore[index]
    said, _, _, *rows = part(build([with_it, without])["digitslt"], "recall-legacy ↑")
    assert said == "Overall: k = 5, 9,000 to 10,000 real v 9,000 to 10,000 generated."
    assert {row.split("|")[1].strip(): row.split("|")[-2].strip() for row in rows} == {"cm": "0.320", "ddpm": "–"}


def test_the_terminal_counts_all_images_not_those_of_a_draw(make_record: MakeRecord) -> None:
    record = make_record(sample={"images": 123, "labels": "uniform"}, flag="n<d")
    groups = ("overall", "majority", "minority")
    of_all: dict[str, Any] = {"value": 5.0, "flag": "n<d", "n_real": 1740, "n_gen": 123}
    of_draw = {"value": 0.1, "n_real": 120, "n_gen": 120}
    record.scores["FD-efflite0@96"] = dict.fromkeys(groups, of_all)  # type: ignore[index]
    record.scores["KID-efflite0@96"] = dict.fromkeys(groups, of_draw)  # type: ignore[index]
    text = score_text(record)
    assert "KID ↓" in text.splitlines()[1]
    assert re.search(r"\noverall +123 +0\.1000 ", text)


def test_small_pages_have_no_tables_of_all_images(make_record: MakeRecord) -> None:
    page = build([make_record()])["digitslt"]
    assert "**recall ↑**" in page
    assert "recall-all" not in page
    assert "F8" not in page


def test_the_terminal_shows_the_same_and_stays_narrow(make_record: MakeRecord) -> None:
    text = score_text(as_papers(make_record(**LEGACY)))
    assert "recall-legacy: k = 5, 10,000 real v 10,000 generated; k = 3: 0.320\n" in text
    assert "recall-all-legacy: k = 5, 50,000 real v 50,000 generated; k = 3: 0.210" in text
    assert "IS-legacy: of all images; mean of ten splits: 9.25\n" in text
    assert "F8-legacy: 50,000 real v 50,000 generated" in text
    for title in ("FID-legacy ↓", "F8-legacy ↑", "F1/8-legacy ↑", "recall-all-legacy ↑", "precision-all-legacy ↑"):
        assert text.count(title) == 1
    assert max(map(len, text.splitlines()[1:])) <= 80
