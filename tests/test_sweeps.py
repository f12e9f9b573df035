"""Results that differ in guidance or training steps alone, side by side."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from ltgen_bench.leaderboard.dataset_page import DatasetPage, dataset_pages
from ltgen_bench.leaderboard.pages.of_dataset import build
from ltgen_bench.leaderboard.statistics import Column
from ltgen_bench.runs.record import Record

MakeRecord = Callable[..., Record]


@pytest.fixture
def swept(make_record: MakeRecord) -> list[Record]:
    """ddpm and cm at three omegas, cb at one, cbdm at two."""
    distances = {
        "ddpm": {0.0: 14.0, 1.5: 12.0, 3.0: 13.0},
        "cm": {0.0: 9.0, 1.5: 10.0, 3.0: 11.0},
        "cb": {1.5: 20.0},
        "cbdm": {0.0: 30.0, 3.0: 29.0},
    }
    return [
        make_record(method, fd + seed, seed=seed, sample={"omega": omega})
        for method, of in distances.items()
        for omega, fd in of.items()
        for seed in range(2)
    ]


def page_of(records: list[Record]) -> DatasetPage:
    (page,) = dataset_pages(records)
    return page


def test_one_omega_is_fixed_and_the_others_are_beside_it(swept: list[Record]) -> None:
    (section,) = page_of(swept).sections
    assert [row.name for row in section.board.rows] == ["cm", "ddpm", "cb"]  # at 1.5, the preset's
    assert len(section.others) == 2
    assert section.omega is not None
    assert section.omega.values == (0.0, 1.5, 3.0)
    assert list(section.omega.rows) == ["cm", "ddpm", "cbdm"]  # cb was not swept


def test_the_omega_that_most_rows_have_is_the_fixed_one(make_record: MakeRecord) -> None:
    records = [make_record(name, 9.0, sample={"omega": 0.5}) for name in ("ddpm", "cm")]
    (section,) = page_of([*records, make_record("cm", 8.0)]).sections
    assert [row.name for row in section.board.rows] == ["cm", "ddpm"]


def test_the_best_of_the_grid_is_chosen_alike_for_all(swept: list[Record]) -> None:
    sweep = page_of(swept).sections[0].omega
    assert sweep is not None
    assert {name: sweep.best(name) for name in sweep.rows} == {"cm": 0.0, "ddpm": 1.5, "cbdm": None}
    page = build(swept)["digitslt"]
    assert re.search(r"^\| cm +\| 2 +\| 9\.50 ± 0\.71 .*\| 9\.50 ± 0\.71 \(omega 0\) +\|$", page, re.M)
    assert re.search(r"^\| cbdm +\| 2 +\| 30\.50 ± 0\.71 +\| – +\| 29\.50 ± 0\.71 +\| – +\|$", page, re.M)


def test_values_of_a_row_are_of_the_same_seeds(make_record: MakeRecord) -> None:
    records = [make_record("cm", 9.0 + seed, seed=seed) for seed in range(3)]
    records += [make_record("cm", 8.0 + seed, seed=seed, sample={"omega": 3.0}) for seed in (1, 5)]
    sweep = page_of(records).sections[0].omega
    assert sweep is not None
    column = Column("FD", "overall")
    assert {value: row.by_seed(column) for value, row in sweep.rows["cm"].items()} == {1.5: {1: 10.0}, 3.0: {1: 9.0}}
    nothing = [make_record("cm", 9.0), make_record("cm", 9.0, seed=1, sample={"omega": 3.0})]
    assert "Over guidance" not in build(nothing)["digitslt"]


def test_scores_over_steps_stand_below_the_longest_training(make_record: MakeRecord) -> None:
    records = [make_record(m, 1e4 / n, train={"steps": n}) for m in ("ddpm", "cm") for n in (400, 800, 1_600_000)]
    page = page_of(records)
    assert [section.steps is not None for section in page.sections] == [True, False, False]
    text = build(records)["digitslt"]
    header = next(line for line in text.splitlines() if line.startswith("| FD overall ↓ "))
    assert [cell.strip() for cell in header.split("|")[3:-1]] == ["steps 400", "steps 800", "steps 1,600,000"]


@pytest.mark.parametrize("unlike", [{"sample": {"steps": 50, "omega": 3.0}}, {"train": {"lr": 1e-4, "steps": 400}}])
def test_what_differs_in_more_is_no_sweep(make_record: MakeRecord, unlike: dict[str, dict[str, float]]) -> None:
    page = page_of([make_record("cm"), make_record("cm", **unlike)])
    assert [(section.omega, section.steps, section.others) for section in page.sections] == [(None, None, ())] * 2
