"""`compare`: two runs, methods or folders, seed by seed, and nothing that was not made alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

import ltgen_bench
from ltgen_bench.errors import UsageError
from ltgen_bench.leaderboard.folder import published
from ltgen_bench.leaderboard.pages.of_dataset import build
from ltgen_bench.runs.record import Record
from ltgen_bench.runs.run_folder import RunFolder
from ltgen_bench.storage.atomic_files import write_json

MakeRecord = Callable[..., Record]
Cli = Callable[..., Any]


@pytest.fixture(autouse=True)
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def store(records: Iterable[Record], folder: str) -> None:
    """In a leaderboards folder."""
    for record in records:
        record.write(Path(folder) / "results/digitslt" / record.run.method / f"{record.run_id}-{record.eval_id}.json")


@pytest.fixture
def grid(make_record: MakeRecord, somewhere: None) -> list[Record]:
    """Published: cm better than ddpm at each of three seeds, and cm with another value at two."""
    records = [make_record("ddpm", 10.0 + seed, seed=seed) for seed in range(3)]
    records += [make_record("cm", 8.0 + seed * 1.1, seed=seed) for seed in range(3)]
    records += [make_record("cm", 9.0, seed=seed, params={"w_div": 1.0}) for seed in range(2)]
    store(records, "leaderboards")
    return records


def line(text: str, metric: str, group: str) -> list[str]:
    """The cells of a metric and group."""
    after = text.split(f"\n{metric} ")[1].splitlines()[1:]
    return next(words[1:] for words in map(str.split, after) if words[0] == group)


def test_two_methods_are_compared_seed_by_seed(grid: list[Record], cli: Cli) -> None:
    got = cli("compare", "cm", "ddpm")
    assert (got.code, got.err) == (0, "")
    assert "A: cm\nB: ddpm\npaired at seed 0, 1, 2\n" in got.out
    # differences -2.0, -1.9, -1.8: sd 0.1, t(0.975, 2) x 0.1 / sqrt(3) = 0.2484
    expected = ["9.10", "11.00", "-1.90", "[-2.15,", "-1.65]", "-17", "%", "3", "of", "3", "better"]
    assert line(got.out, "FD", "overall") == expected
    assert " ".join(line(got.out, "recall", "minority")).endswith("0 of 3 not resolved")
    assert "A helps the minority and does not hurt the majority, beside B: yes." in got.out


def test_json_holds_every_seed(grid: list[Record], cli: Cli) -> None:
    (found,) = json.loads(cli("compare", "cm", "ddpm", "--json").out)
    figures = {(f["metric"], f["group"]): f for f in found["figures"]}
    overall = figures["FD-efflite0@96", "overall"]
    assert (overall["seeds"], overall["b"], overall["better"]) == ([0, 1, 2], [10.0, 11.0, 12.0], 3)
    assert (overall["low"], overall["high"]) == pytest.approx((-2.1484, -1.6516), abs=1e-4)
    assert found["claim"] == {"answer": "yes", "why_not_yes": []}


def test_two_runs_are_compared_by_their_ids(grid: list[Record], cli: Cli) -> None:
    first, second = grid[3].run_id, grid[0].run_id
    got = cli("compare", first[:6], second)
    assert f"A: {first[:6]} (cm)\nB: {second} (ddpm)\npaired at seed 0\n" in got.out
    assert line(got.out, "FD", "minority") == [
        "10.00",
        "12.00",
        "-2.00",
        "–",
        "-17",
        "%",
        "1",
        "of",
        "1",
        "not",
        "resolved",
    ]


def test_a_row_is_named_as_tables_name_it(grid: list[Record], cli: Cli) -> None:
    got = cli("compare", "cm (cm.w_div=1.0)", "cm")
    assert "A: cm (cm.w_div=1.0)\nB: cm\npaired at seed 0, 1\n" in got.out


def test_two_folders_are_compared_row_by_row(make_record: MakeRecord, grid: list[Record], cli: Cli) -> None:
    store([make_record("cm", 8.5 + seed, seed=seed) for seed in range(3)], "after")
    got = cli("compare", "after", "leaderboards")
    assert "A: after (cm)\nB: leaderboards (cm)\n" in got.out
    assert "ddpm" not in got.out
    assert line(got.out, "FD", "overall")[:3] == ["9.50", "9.10", "+0.40"]


def test_a_comparison_is_a_frame_in_python(grid: list[Record]) -> None:
    frame = ltgen_bench.compare("cm", "ddpm").set_index(["metric", "group"])
    found = frame.loc[("FD-efflite0@96", "overall")]
    assert (found.difference, found.verdict, found.row_a, found.row_b) == (pytest.approx(-1.9), "better", "cm", "ddpm")
    with pytest.raises(UsageError, match="Did you mean 'ddpm'"):
        ltgen_bench.compare("cm", "dpm")


@pytest.mark.parametrize(
    ("unlike", "told"),
    [
        ({"train": {"steps": 900}}, "train.steps is 900 and 800"),
        ({"sample": {"omega": 0.0}, "train": {"lr": 0.1}}, "sample.omega is 0 and 1.5; train.lr is 0.1 and 0.001"),
        ({"data": {"imbalance": 10.0}}, "dataset.imbalance is 10 and 20"),
        ({"features": "efflite0@64"}, "features is efflite0@64 and efflite0@96"),
    ],
)
def test_unlike_settings_are_refused_by_name(
    make_record: MakeRecord, cli: Cli, unlike: dict[str, Any], told: str
) -> None:
    store([make_record("cm", **unlike), make_record("ddpm")], "leaderboards")
    got = cli("compare", "cm", "ddpm")
    assert (got.code, got.out, got.err) == (2, "", f"error: cm and ddpm cannot be compared: {told}\n")


def test_what_is_alike_is_compared_where_some_is_not(make_record: MakeRecord, cli: Cli) -> None:
    records = [make_record(m, fd) for m, fd in (("cm", 9.0), ("ddpm", 10.0))]
    store([*records, make_record("cm", 1.0, train={"steps": 900})], "leaderboards")
    got = cli("compare", "cm", "ddpm")
    assert line(got.out, "FD", "overall")[:3] == ["9.00", "10.00", "-1.00"]
    assert got.out.count("paired at seed") == 1


@pytest.mark.parametrize(
    ("a", "b", "told"),
    [
        (
            "cbmd",
            "cm",
            "unknown run or method 'cbmd' in the results of runs or leaderboards. Did you mean 'cm'? Known: ",
        ),
        ("", "cm", "unknown run or method ''"),
        ("cm", "cm", "cm and cm are the same results\n"),
        ("empty", "cm", "no results in the folder empty\n"),
        ("t2h", "cm", "t2h has no result at its defaults; name one of: t2h (t2h.tau=2.0)\n"),
        ("cb", "cm", "cb and cm have no seed in common: 7 and 0, 1, 2\n"),
        ("leaderboards", "cm", "leaderboards and cm are the same results\n"),
        (
            "leaderboards",
            "others",
            "leaderboards holds cb, cm, cm (cm.w_div=1.0), ddpm, t2h (t2h.tau=2.0) and others holds ",
        ),
    ],
)
def test_bad_names_get_one_sentence(
    make_record: MakeRecord, grid: list[Record], cli: Cli, a: str, b: str, told: str
) -> None:
    store([make_record("cb", seed=7), make_record("t2h", params={"tau": 2.0})], "leaderboards")
    store([make_record(name) for name in ("resample", "cbdm")], "others")
    Path("empty").mkdir()
    got = cli("compare", a, b)
    assert (got.code, got.out) == (2, "")
    assert got.err.startswith(f"error: {told}")
    assert got.err.count("\n") == 1


def test_folders_without_results_are_named(grid: list[Record], cli: Cli) -> None:
    got = cli("compare", "cm", "ddpm", "--folder", "leaderboards/results")
    told = (
        "cm: there are no results in runs or leaderboards/results; --runs is a folder of runs, --folder one that holds"
    )
    assert (got.code, got.err) == (2, f"error: {told} results/\n")


@pytest.mark.parametrize("by_id", [True, False])
def test_a_run_without_a_result_says_why(make_record: MakeRecord, grid: list[Record], cli: Cli, by_id: bool) -> None:
    run = make_record("t2h", seed=4).run
    folder = RunFolder.of(Path("runs"), run)
    folder.create(run)
    write_json(folder.failed, {"reason": "out of memory"})
    name = run.run_id[:7] if by_id else "t2h"
    got = cli("compare", name, "cm")
    assert got.err == f"error: {name} has no result: seed 4 of t2h, failed: out of memory\n"


def test_rows_that_are_the_same_keep_no_other_from_being_compared(
    make_record: MakeRecord, grid: list[Record], cli: Cli
) -> None:
    store([*grid[:3], *(make_record("cm", 8.5, seed=seed) for seed in range(3))], "after")
    got = cli("compare", "after", "leaderboards")
    assert "A: after (cm)\n" in got.out
    assert "ddpm" not in got.out


def test_copies_are_not_ranked(make_record: MakeRecord, grid: list[Record], cli: Cli) -> None:
    store([make_record("cb", 5.0, seed=seed, memorised="minority") for seed in range(3)], "leaderboards")
    got = cli("compare", "cb", "ddpm")
    assert " ".join(line(got.out, "FD", "minority")).endswith("3 of 3 not ranked ‡")
    assert " ".join(line(got.out, "FD", "majority")).endswith("3 of 3 better")
    (found,) = json.loads(cli("compare", "cb", "ddpm", "--json").out)
    assert {f["verdict"] for f in found["figures"] if f["group"] == "minority"} == {"not ranked"}
    (cells,) = [row for row in build(published(Path("leaderboards"))[0])["digitslt"].splitlines() if "3/3 ‡" in row]
    assert cells.startswith("| cb ")
    assert [cell.strip()[:2] for cell in cells.split("|")[2:4]] == ["-6", "**"]  # minority, majority


def test_the_main_table_comes_first_and_others_are_a_line(
    make_record: MakeRecord, grid: list[Record], cli: Cli
) -> None:
    for unlike in ({"sample": {"omega": 0.0, "images": 9000}}, {"train": {"steps": 400}}):
        store([make_record("cm", 5.0, **unlike), make_record("ddpm", 7.0, **unlike)], "leaderboards")
    got = cli("compare", "cm", "ddpm")
    first, *others = got.out.splitlines()
    main = "omega 0, efflite0@96"  # the most images: as the page of these results begins
    assert main in build(published(Path("leaderboards"))[0])["digitslt"].split("\n## ")[1].splitlines()[0]
    assert main in first
    lines = [line for line in others if line.startswith("- ")]
    assert got.out.count("paired at seed") == 1
    assert others[-3:] == ["Other tables, A - B (--json has all of their figures):", *lines]
    told = "FD minority -1.90 [-2.15, -1.65], -15 %, 3/3: better; FD majority -1.90 [-2.15, -1.65], -19 %, 3/3: better"
    assert any(
        f"800 steps x 32, 500 images, omega 1.5, efflite0@96, cm and ddpm: {told}; claim: yes" in e for e in lines
    )
    assert len(json.loads(cli("compare", "cm", "ddpm", "--json").out)) == 3


def test_tables_with_results_of_ones_own_come_before_published_ones(
    make_record: MakeRecord, grid: list[Record], cli: Cli
) -> None:
    mine = [make_record(method, fid, train={"steps": 400}) for method, fid in (("cm", 5.0), ("ddpm", 7.0))]
    for record in mine:
        record.write(Path("runs/digitslt") / record.run.method / record.run_id / f"result-{record.eval_id}.json")
    got = cli("compare", "cm", "ddpm").out
    assert ", 400 steps x 32, " in got.splitlines()[0]
    assert line(got, "FD", "overall")[:2] == ["5.00", "7.00"]
    assert " 800 steps x 32, " in got.split("Other tables")[1]
