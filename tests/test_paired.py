"""Differences between rows, against values computed by hand, and what may be claimed of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import pytest

from ltgen_bench.leaderboard.board import RECALL, Board, make_board
from ltgen_bench.leaderboard.cells import difference
from ltgen_bench.leaderboard.claims import Evidence, judge
from ltgen_bench.leaderboard.noise import LITERATURE, MEASURED_FROM
from ltgen_bench.leaderboard.notes import device_notes
from ltgen_bench.leaderboard.pages.of_dataset import build
from ltgen_bench.leaderboard.paired import Paired, t_quantile
from ltgen_bench.leaderboard.rows import Row
from ltgen_bench.leaderboard.statistics import Column
from ltgen_bench.leaderboard.tables import tables
from ltgen_bench.runs.record import Record

MakeRecord = Callable[..., Record]
OVERALL = Column("FD", "overall")


def pairs(first: Sequence[float], second: Sequence[float], noise: float = 0.0) -> Paired:
    values = dict(enumerate(zip(first, second, strict=True)))
    return Paired(values, "lower", noise)


def board_of(records: Sequence[Record]) -> Board:
    (table,) = tables(records)
    return make_board(table)


def named(board: Board, name: str) -> Row:
    return next(row for row in board.all_rows if row.name == name)


def test_the_interval_is_students_with_n_minus_1() -> None:
    found = pairs([9.0, 8.0, 4.0], [10.0, 10.0, 10.0])
    assert found.differences == {0: -1.0, 1: -2.0, 2: -6.0}
    assert found.mean == -3.0
    # sd = sqrt((2² + 1² + 3²) / 2) = sqrt(7); t(0.975, 2) = 4.302653; 4.302653 x sqrt(7) / sqrt(3) = 6.572411
    assert found.interval == pytest.approx((-9.572411, 3.572411), abs=1e-6)
    assert found.relative == pytest.approx(-0.3)
    assert (found.wins, found.n) == (3, 3)
    assert found.verdict == "not resolved"  # the interval holds 0, although every seed is better
    assert difference(found, OVERALL) == "-3.00 [-9.57, +3.57], -30 %, 3/3"


@pytest.mark.parametrize(("freedom", "quantile"), [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (9, 2.2622)])
def test_the_quantiles_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert t_quantile(freedom) == pytest.approx(quantile, abs=5e-5)


@pytest.mark.parametrize(
    ("first", "second", "noise", "verdict"),
    [
        ([7.0, 7.5, 8.0], [10.0, 10.2, 11.1], 0.0, "better"),
        ([10.0, 10.2, 11.1], [7.0, 7.5, 8.0], 0.0, "worse"),
        ([7.0, 7.5, 8.0], [10.0, 10.2, 11.1], 3.0, "not resolved"),  # below the noise
        ([7.0, 7.5], [10.0, 10.5], 0.0, "not resolved"),  # two pairs, however alike
        ([7.0], [10.0], 0.0, "not resolved"),
        ([10.0, 10.0, 10.0], [10.0, 10.0, 10.0], 0.0, "not resolved"),
        ([7.0, 7.0, 7.0], [10.0, 10.0, 10.0], 0.0, "better"),  # no spread at all
    ],
)
def test_what_is_resolved(first: list[float], second: list[float], noise: float, verdict: str) -> None:
    assert pairs(first, second, noise).verdict == verdict


def test_a_single_pair_has_no_interval() -> None:
    found = pairs([7.0], [10.0])
    assert found.interval is None
    assert difference(found, OVERALL) == "-3.00, -30 %, 1/1"


def test_ties_are_no_wins_of_either() -> None:
    values = {0: (1.0, 1.0), 1: (1.0, 2.0), 2: (3.0, 2.0)}
    assert Paired(values, "lower").wins == 1
    assert Paired(values, "higher").wins == 1
    assert Paired(values, None).wins == 0


def test_a_share_of_what_is_not_above_0_is_not_said() -> None:
    assert pairs([0.1, 0.2], [-0.1, 0.1]).relative is None


def test_only_seeds_that_both_have_are_pairs(make_record: MakeRecord) -> None:
    first = [make_record("cm", fd, seed=seed) for seed, fd in ((0, 8.0), (1, 9.0), (3, 99.0))]
    second = [make_record("ddpm", fd, seed=seed) for seed, fd in ((1, 12.0), (0, 10.0), (2, 50.0))]
    board = board_of([*first, *second])
    found = board.versus[0].paired(OVERALL)
    assert found is not None
    assert found.pairs == {0: (8.0, 10.0), 1: (9.0, 12.0)}
    alone = board_of([first[2], second[0]])
    assert alone.versus[0].paired(OVERALL) is None
    assert alone.versus[0].claim.answer == "not resolved"


def test_the_noise_is_that_of_a_row_with_enough_seeds(make_record: MakeRecord) -> None:
    few = [make_record(name, fd, seed=seed) for name, fd in (("cm", 9.0), ("ddpm", 10.0)) for seed in range(3)]
    (versus,) = board_of(few).versus
    assert (found := versus.paired(OVERALL)) is not None
    assert found.noise == pytest.approx(LITERATURE * 10)
    assert (recall := versus.paired(RECALL)) is not None
    assert recall.noise == 0  # nobody has measured it
    many = [make_record("ddpm", 10.0 + seed % 2, seed=seed) for seed in range(MEASURED_FROM)]
    board = board_of([*few[:3], *many])
    assert board.noise.cell == board.baseline
    assert "the standard deviation over the 10 seeds of ddpm" in board.noise.sentence
    assert (found := board.versus[0].paired(OVERALL)) is not None
    assert found.noise == pytest.approx((10 * 0.25 / 9) ** 0.5)  # of 10 and 11 in turn


def test_measured_noise_stands_on_the_page(make_record: MakeRecord) -> None:
    records = [make_record("ddpm", 10.0 + seed % 2, seed=seed) for seed in range(MEASURED_FROM)]
    records += [make_record("cm", 10.0, seed=seed) for seed in range(3)]
    (line,) = [line for line in build(records)["digitslt"].splitlines() if line.startswith("| ddpm         | 10 ")]
    # sqrt(10 x 0.25 / 9) = 0.527 of means 10.5, 9.5 and 12.5
    assert [cell.strip() for cell in line.split("|")[2:6]] == ["10", "5.0 %", "5.5 %", "4.2 %"]


def test_the_leading_group_is_near_the_best_and_not_resolved_from_it(make_record: MakeRecord) -> None:
    values = {"cm": (5.0, 6.0, 7.0), "cb": (6.0, 5.5, 8.0), "cbdm": (9.0, 10.0, 11.0), "t2h": (1.0, 1.0)}
    values["resample"] = (5.0, 6.0, 40.0)  # not resolved from any, and far: one seed broke
    records = [make_record(name, fd, seed=seed) for name, of in values.items() for seed, fd in enumerate(of)]
    board = board_of(records)
    assert [row.name for row in board.leaders(OVERALL)] == ["cm", "cb"]  # t2h has two seeds


BETTER, WORSE, OPEN = pairs([5, 5, 5], [9, 9, 9]), pairs([9, 9, 9], [5, 5, 5]), pairs([5, 9, 5], [6, 6, 6])
SPARED = pairs([6.0, 6.1, 6.2], [6, 6, 6], noise=0.2)  # interval up to 0.1 + 4.303 x 0.1 / sqrt(3) = 0.35
HURT = pairs([16.0, 17.9, 15.3], [15, 15, 15], noise=0.2)  # worse at each seed, interval up to 4.75


@pytest.mark.parametrize(
    ("evidence", "answer", "why"),
    [
        (Evidence(BETTER, SPARED, OPEN, OPEN), "yes", ()),
        (Evidence(BETTER, BETTER, OPEN, OPEN), "yes", ()),
        (Evidence(BETTER, WORSE, OPEN, OPEN), "no", ("the majority's distance is worse",)),
        (Evidence(BETTER, SPARED, WORSE, OPEN), "no", ("the minority's recall is worse",)),
        (Evidence(BETTER, SPARED, OPEN, WORSE), "no", ("the minority's label accuracy is worse",)),
        (Evidence(WORSE, SPARED, OPEN, OPEN, (3,)), "no", ("the minority's distance is worse",)),
        (Evidence(OPEN, SPARED, OPEN, OPEN), "not resolved", ("the minority's distance is not resolved",)),
        (
            Evidence(BETTER, HURT, OPEN, OPEN),
            "not resolved",
            ("the majority's distance may be worse by more than 2 times the seed noise",),
        ),
        (Evidence(BETTER, SPARED, OPEN, OPEN, (1, 4)), "not resolved", ("no pair at seed 1, 4",)),
        (Evidence(BETTER, None, OPEN, OPEN), "not resolved", ("the majority's distance is not known",)),
        (Evidence(BETTER, SPARED, OPEN, None), "not resolved", ("the minority's label accuracy is not known",)),
        (
            Evidence(BETTER, SPARED, OPEN, OPEN, memorised=True),
            "not resolved",
            ("images of the minority are memorised",),
        ),
        (
            Evidence(WORSE, SPARED, OPEN, OPEN, base_memorised=True),
            "not resolved",
            ("the images of the minority that it is compared with are memorised",),
        ),
        (
            Evidence(BETTER, WORSE, OPEN, OPEN, biased=True),
            "not resolved",
            ("the distances are of too few images to be ranked",),
        ),
        (Evidence(pairs([5], [9]), SPARED, OPEN, OPEN), "not resolved", ("1 pair of seeds, of 3 that it takes",)),
    ],
)
def test_claims_follow_their_rule(evidence: Evidence, answer: str, why: tuple[str, ...]) -> None:
    found = judge(evidence)
    assert (found.answer, found.why) == (answer, why)


def test_a_seed_that_failed_keeps_a_claim_from_being_made(make_record: MakeRecord) -> None:
    records = [
        make_record(name, fd, seed=s) for name, fd in (("cm", 5.0), ("cb", 6.0), ("ddpm", 9.0)) for s in range(4)
    ]
    assert [versus.claim.answer for versus in board_of(records).versus] == ["yes", "yes"]
    without = [record for record in records if (record.run.method, record.run.seed) != ("cm", 3)]
    cm, cb = board_of(without).versus
    assert (cm.claim.answer, cm.claim.why) == ("not resolved", ("no pair at seed 3",))
    assert cb.claim.answer == "yes"


def test_a_variant_needs_the_seeds_that_half_of_the_rows_have(make_record: MakeRecord) -> None:
    records = [make_record(name, fd, seed=s) for name, fd in (("cm", 5.0), ("ddpm", 9.0)) for s in range(5)]
    records += [make_record("cm", 5.0, seed=seed, params={"w_div": 1.0}) for seed in range(3)]
    board = board_of(records)
    (variant,) = board.apart
    assert list(board.missing(variant)) == [3, 4]
    (claim,) = [versus.claim for versus in board.versus if versus.row == variant]
    assert (claim.answer, claim.why) == ("not resolved", ("no pair at seed 3, 4",))


def test_copies_are_no_measure_for_others(make_record: MakeRecord) -> None:
    records = [make_record("cm", 5.0, seed=seed) for seed in range(3)]
    records += [make_record("ddpm", 9.0, seed=seed, memorised="minority") for seed in range(3)]
    (versus,) = board_of(records).versus
    assert versus.claim.answer == "not resolved"


def test_a_cell_with_more_seeds_makes_no_seed_of_others_missing(make_record: MakeRecord) -> None:
    records = [
        make_record(name, fd, seed=s) for name, fd in (("cm", 5.0), ("cb", 6.0), ("ddpm", 9.0)) for s in range(3)
    ]
    records += [make_record("ddpm", 9.0, seed=seed) for seed in range(3, 10)]
    board = board_of(records)
    assert [board.missing(row) for row in board.rows] == [{}, {}, {}]


def test_a_step_costs_what_it_takes_on_the_same_device(make_record: MakeRecord) -> None:
    def timed(method: str, rate: float, device: str, seed: int = 0) -> Record:
        record = make_record(method, seed=seed)
        provenance = {**record.provenance, "device": device}
        return dataclasses.replace(record, training={"images_per_s": rate}, provenance=provenance)

    records = [timed("ddpm", rate, "cpu", seed) for seed, rate in enumerate((100.0, 90.0, 10.0))]
    records += [timed("cm", 45.0, "cpu"), timed("cm", 9000.0, "gpu", 1), timed("cb", 9000.0, "gpu")]
    board = board_of(records)
    assert board.cost(named(board, "cm")) == pytest.approx(100 / 45)  # by the fastest seed of each
    assert board.cost(named(board, "ddpm")) == 1.0
    assert board.cost(named(board, "cb")) is None


def test_a_step_was_timed_where_it_was_trained_not_where_it_was_scored(make_record: MakeRecord) -> None:
    def timed(method: str, rate: float, *trained: str) -> Record:
        training = {"images_per_s": rate, "devices": dict.fromkeys(trained, 500)}
        record = make_record(method)
        provenance = {**record.provenance, "device": "cpu (1 threads)", "compiled": False}
        return dataclasses.replace(record, training=training, provenance=provenance)

    records = [timed("ddpm", 100.0, "NVIDIA H200"), timed("cm", 50.0, "NVIDIA H200")]
    records += [timed("cb", 2.0, "cpu (1 threads)"), timed("cbdm", 200.0, "NVIDIA H200, compiled")]
    records += [timed("t2h", 70.0, "NVIDIA H200", "cpu (1 threads)")]
    board = board_of(records)
    assert board.cost(named(board, "cm")) == pytest.approx(2.0)
    assert [board.cost(named(board, method)) for method in ("cb", "cbdm", "t2h")] == [None] * 3


def test_pairs_across_kinds_of_device_are_said_not_to_share_their_noise(make_record: MakeRecord) -> None:
    def trained(method: str, seed: int, *devices: str) -> Record:
        return dataclasses.replace(make_record(method, seed=seed), training={"devices": dict.fromkeys(devices, 500)})

    same = [trained("ddpm", 0, "cpu (1 threads)"), trained("cm", 0, "cpu (2 threads)", "cpu (1 threads)")]
    assert device_notes(board_of(same).all_rows) == []
    same += [trained("ddpm", 1, "NVIDIA H200"), trained("cm", 1, "4 x NVIDIA H200, compiled")]
    assert device_notes(board_of(same).all_rows) == []
    (note,) = device_notes(board_of([*same, trained("cb", 1, "cpu (1 threads)")]).all_rows)
    assert note.startswith("Seed 1: not all were trained on the same kind of device (CPU; NVIDIA H200).")
    both = trained("cb", 0, "cpu (1 threads)", "NVIDIA H200")
    (note,) = device_notes(board_of([*same, both]).all_rows)
    assert note.startswith("Seed 0: not all were trained on the same kind of device (CPU; CPU and NVIDIA H200).")
