"""Unpublished results beside published ones; runs that failed; where a single result stands."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ltgen_bench.leaderboard.pages.of_dataset import build
from ltgen_bench.leaderboard.standing import standing
from ltgen_bench.leaderboard.unfinished import Unfinished, published_failures
from ltgen_bench.runs.record import Record
from ltgen_bench.runs.run_folder import RunFolder
from ltgen_bench.spec.specs import RunSpec
from ltgen_bench.storage.atomic_files import write_json

MakeRecord = Callable[..., Record]
Cli = Callable[..., Any]


@pytest.fixture(autouse=True)
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run_of(record: Record) -> RunFolder:
    """Its folder in `runs`, without the result."""
    folder = RunFolder.of(Path("runs"), record.run)
    folder.create(record.run)
    return folder


def done(record: Record) -> RunFolder:
    folder = run_of(record)
    record.write(folder.result(record.eval_id))
    return folder


def failed(record: Record, reason: str = "loss is nan at step 12") -> RunFolder:
    folder = run_of(record)
    write_json(folder.failed, {"reason": reason})
    return folder


def rows(page: str) -> dict[str, list[str]]:
    """The lines of the first table, by name."""
    table = page[page.index("| method ") :].split("\n\n")[0]
    return {cells[0]: cells[1:] for line in table.splitlines()[2:] if (cells := re.split(r" *\| *", line.strip("| ")))}


def test_my_runs_are_marked_beside_the_published_ones(make_record: MakeRecord, cli: Cli) -> None:
    published = [make_record(m, fd, seed=s) for m, fd in (("ddpm", 10.0), ("cm", 9.0)) for s in range(2)]
    for record in published:
        done(record)
    cli("publish", *(r.run_id for r in published), "--folder", "leaderboards")
    for record in (make_record("cb", 5.0), make_record("cm", 9.5, seed=2)):
        done(record)
    got = cli("leaderboard", "--runs", "runs")
    assert (got.code, got.err) == (0, "")
    assert "\nwrote runs/leaderboard/digitslt.md\n" in got.out
    assert re.search(r"^cb ◆ +1 of 2 ", got.out, re.M)  # the table is in the terminal, too
    page = Path("runs/leaderboard/digitslt.md").read_text()
    assert {name: cells[0] for name, cells in rows(page).items()} == {"cb ◆": "1 of 2", "cm ◆": "3 (1 ◆)", "ddpm": "2"}
    assert "\n- ◆ not published.\n" in page
    assert not list(Path("leaderboards").glob("*.md"))
    assert len(list(Path("leaderboards").rglob("*.json"))) == 4


def test_runs_that_are_all_published_add_nothing(make_record: MakeRecord, cli: Cli) -> None:
    record = make_record()
    done(record)
    cli("publish", record.run_id, "--folder", "leaderboards")
    got = cli("leaderboard", "--runs", "runs")
    assert (got.code, got.out) == (0, "nothing in runs that is not published\n")
    assert not Path("runs/leaderboard").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--runs", "nowhere"), "--runs nowhere: no such folder"),
        (("--runs", ".", "--check"), "--check is of the published pages: leave out --runs"),
    ],
)
def test_what_makes_no_sense_is_refused(cli: Cli, words: tuple[str, ...], told: str) -> None:
    got = cli("leaderboard", *words)
    assert (got.code, got.out, got.err) == (2, "", f"error: {told}\n")


def test_a_folder_of_runs_that_the_environment_names_is_not_shown_unasked(
    make_record: MakeRecord, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(make_record())
    monkeypatch.setenv("LTGEN_RUNS", "runs")
    assert cli("leaderboard").out == "no results in leaderboards/results\n"


def test_runs_without_a_result_stay_with_their_reason(make_record: MakeRecord, cli: Cli) -> None:
    for record in (make_record(m, 9.0, seed=s) for m in ("ddpm", "cm", "cb") for s in range(2)):
        done(record)
    failed(make_record("cm", seed=2))
    run_of(make_record("cb", seed=2))
    failed(make_record("t2h"))
    failed(make_record("cm", params={"w_div": 1.0}))
    failed(make_record("ddpm", train={"steps": 9}), "out of memory")
    cli("leaderboard", "--runs", "runs")
    page = Path("runs/leaderboard/digitslt.md").read_text()
    seeds = {"cb ◆": "2 of 3", "cm ◆": "2 of 3", "ddpm ◆": "2", "t2h": "0 of 1"}
    main, apart = page.split("### Other hyper-parameters")
    assert {name: cells[0] for name, cells in rows(main).items()} == seeds
    assert rows(apart)["cm (cm.w_div=1.0)"][0] == "0 of 1"
    assert set(rows(page)["t2h"][1:]) == {"–"}
    assert "\n- cm without seed 2 (failed: loss is nan at step 12).\n" in page
    assert "\n- cb without seed 2 (waiting).\n" in page
    assert "\n- t2h without seed 0 (failed: loss is nan at step 12).\n" in page
    assert page.endswith("## Runs without a result\n\n- ddpm seed 0, 9 steps: failed: out of memory\n")


def test_why_a_run_failed_is_published(make_record: MakeRecord, cli: Cli) -> None:
    ok, bad = make_record("ddpm"), make_record("cm")
    done(ok)
    folder = failed(bad)
    got = cli("publish", ok.run_id, bad.run_id, "--folder", "leaderboards")
    file = Path("leaderboards/failed/digitslt/cm") / f"{bad.run_id}.json"
    assert (got.code, got.err) == (0, "")
    assert f"wrote {file}\n" in got.out
    cli("leaderboard")
    told = "cm without seed 0 (failed: loss is nan at step 12)."
    assert told in Path("leaderboards/digitslt.md").read_text()
    assert cli("leaderboard", "--check").code == 0

    bad.write(folder.result(bad.eval_id))  # it was tried again
    cli("publish", bad.run_id)
    cli("leaderboard")
    assert told not in Path("leaderboards/digitslt.md").read_text()

    file.write_text(file.read_text().replace('"lr":', '"lrr":'))
    damaged = cli("leaderboard")
    assert damaged.code == 1
    assert damaged.err.startswith(f"left out: unknown field 'lrr' in {file}.")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"run": {}, "run_id": "a", "reason": "b"}'])
def test_a_damaged_file_of_a_failure_is_left_out_by_name(text: str) -> None:
    file = Path("leaderboards/failed/digitslt/cm/0.json")
    file.parent.mkdir(parents=True)
    file.write_text(text)
    found, (problem,) = published_failures(Path("leaderboards"))
    assert not found
    assert problem.startswith(str(file))


def test_a_dataset_of_which_every_run_failed_has_a_page(make_record: MakeRecord) -> None:
    run = make_record().run
    assert isinstance(run, RunSpec)
    page = build([], unfinished=[Unfinished(run, "failed: no luck")])["digitslt"]
    assert page.endswith("- ddpm seed 0, 800 steps: failed: no luck\n")


def test_a_single_result_is_told_its_place(make_record: MakeRecord) -> None:
    others = [make_record(m, fd, seed=s) for m, fd in (("ddpm", 10.0), ("cb", 20.0)) for s in range(2)]
    unlike = [make_record("cbdm", 1.0, sample={"omega": 0.0}), make_record("t2h", 1.0, train={"steps": 1})]
    mine = make_record("cm", 15.0)
    again = make_record("cm", 1.0, seed=1)  # its own configuration
    assert standing(mine, [*others, *unlike, again, mine, others[0]]) == (
        "by FD-efflite0@96 of the minority, place 2 of the 3 rows that were made alike, after ddpm (12.00) and before "
        "cb (22.00); a single seed says little"
    )
    assert "place 1 of the 3 rows that were made alike, before ddpm" in standing(make_record("cm", 1.0), others)
    assert standing(mine, [*unlike, again]) == ""
