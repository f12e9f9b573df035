"""Where results are published to, and how published ones are found again."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ltgen_bench.leaderboard import versions
from ltgen_bench.planning.plan import Request, plan
from ltgen_bench.runs.record import Record
from ltgen_bench.runs.run_folder import RunFolder
from ltgen_bench.spec.specs import PROTOCOL

Cli = Callable[..., Any]


@pytest.fixture(autouse=True)
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def record(make_record: Callable[..., Record], somewhere: None) -> Record:
    """The result of a run in `runs`."""
    (job,) = plan(Request(["cm"], ["digitslt"], [4]), Path("runs"))
    some = make_record()
    record = Record(job.run, job.eval, some.scores, some.training, some.provenance, some.deviations)
    job.run_folder.create(job.run)
    record.write(job.run_folder.result(job.eval.eval_id))
    return record


def test_no_leaderboards_folder_is_made_where_nobody_asked_for_one(cli: Cli, record: Record, tmp_path: Path) -> None:
    got = cli("publish", record.run_id)
    assert (got.code, got.out) == (2, "")
    assert got.err == (
        f"error: there is no leaderboards in {tmp_path}: publish from the checkout whose leaderboards you add to, "
        "or name a folder, also a new one: --folder leaderboards\n"
    )
    assert not Path("leaderboards").exists()
    named = cli("publish", record.run_id, "--folder", "leaderboards")
    assert named.code == 0
    assert list(Path("leaderboards").rglob("*.json"))


def test_an_existing_leaderboards_folder_needs_no_option(cli: Cli, record: Record) -> None:
    Path("leaderboards").mkdir()
    assert cli("publish", record.run_id).code == 0
    assert list(Path("leaderboards").rglob("*.json"))


def test_a_published_run_is_shown_where_it_is_not_among_the_runs(cli: Cli, record: Record) -> None:
    cli("publish", record.run_id, "--folder", "leaderboards")
    got = cli("show", "run", record.run_id[:6], "--runs", "none")
    assert (got.code, got.err) == (0, "")
    assert got.out.startswith("not in none; published\n")
    assert f"digitslt cm seed 4 ({record.run_id}), scored in efflite0@96\n" in got.out
    (file,) = Path("leaderboards").rglob("*.json")
    assert f"\nfile: {file}\n" in got.out
    (command,) = [line for line in got.out.splitlines() if line.startswith("the same again: ltgen-bench ")]
    again = cli(*shlex.split(command.partition("ltgen-bench ")[2]), "--dry-run")
    assert again.out.startswith(f"digitslt cm seed 4 ({record.run_id}): done already\n")
    assert f"say what it is, ltgen-bench show run {record.run_id}" in cli("show", record.run_id, "--runs", "none").err


def test_names_of_published_runs_must_fit_one(cli: Cli, make_record: Callable[..., Record]) -> None:
    for seed, start in enumerate(("3f2a", "3f99")):
        record = make_record(seed=seed)
        record.write(Path("leaderboards/results/digitslt/ddpm") / f"{start}-{record.eval_id}.json")
    several = cli("show", "run", "3f")
    assert several.err == "error: '3f' fits 2 published runs: 3f2a, 3f99; give more of the id\n"
    none = cli("show", "run", "77")
    assert none.err == "error: no run '77' in runs. Run: ltgen-bench list runs\n"
    Path("leaderboards/results/digitslt/ddpm/77-1.json").write_text("{")
    damaged = cli("show", "run", "77")
    assert (damaged.code, damaged.err.count("\n")) == (2, 1)


def test_a_result_of_an_earlier_version_has_no_command(
    cli: Cli, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "PROTOCOL", PROTOCOL + 1)
    out = cli("show", "run", record.run_id).out
    assert out.endswith(f"of protocol {PROTOCOL}: no command of today's suite gives it again\n")


def test_publish_copies_records_and_leaderboard_builds_the_pages(
    tmp_path: Path, make_record: Callable[..., Record], cli: Cli
) -> None:
    runs, boards = tmp_path / "runs", tmp_path / "boards"
    records = [make_record("cm", 9.0), make_record("ddpm", 12.0)]
    for record in records:
        run_folder = RunFolder.of(runs, record.run)
        run_folder.create(record.run)
        record.write(run_folder.result(record.eval_id))
    ids = [record.run_id for record in records]

    assert cli("leaderboard", "--check", "--folder", boards).code == 0  # nothing published: nothing to be out of date
    published = cli("publish", *ids, "--runs", runs, "--folder", boards)
    assert published.code == 0
    target = boards / "results" / "digitslt" / "cm" / f"{ids[0]}-{records[0].eval_id}.json"
    assert Record.read(target) == records[0]
    assert f"wrote {target}\n" in published.out

    page = boards / "digitslt.md"
    checked = cli("leaderboard", "--check", "--folder", boards)
    assert (checked.code, page.exists()) == (1, False)
    assert checked.out.startswith(f"{page} is not what the records give; run ltgen-bench leaderboard\n")
    assert cli("leaderboard", "--folder", boards).out.startswith(f"wrote {page}\n")
    assert "\n| cm       | 1       | 9.00 " in page.read_text(encoding="utf-8")
    checked = cli("leaderboard", "--check", "--folder", boards)
    assert checked.code == 0
    assert checked.out.startswith(f"{page} is up to date\n")

    table = tmp_path / "tables" / "all.csv"
    assert cli("leaderboard", "--folder", boards, "--csv", table).out == f"wrote {table}\n"
    assert pd.read_csv(table).groupby("method").value.max().to_dict() == {"cm": 11.0, "ddpm": 14.0}

    page.write_text(page.read_text() + "a remark by hand\n")
    assert cli("leaderboard", "--check", "--folder", boards).code == 1
    (target.parent / "damaged.json").write_text("{}")
    rebuilt = cli("leaderboard", "--folder", boards)
    assert (rebuilt.code, rebuilt.out) == (1, f"wrote {page}\n")
    assert rebuilt.err == f"left out: {target.parent}/damaged.json is not a result file of schema 1\n"


def test_publish_overwrites_nothing_and_takes_no_damaged_result(
    tmp_path: Path, make_record: Callable[..., Record], cli: Cli
) -> None:
    record = make_record()
    run_folder = RunFolder.of(tmp_path / "runs", record.run)
    run_folder.create(record.run)
    options = ("--runs", tmp_path / "runs", "--folder", tmp_path / "boards")
    nothing = cli("publish", record.run_id, *options)
    assert (nothing.code, nothing.err) == (2, f"error: run {record.run_id} has no result yet\n")

    record.write(run_folder.result(record.eval_id))
    cli("publish", record.run_id, *options)
    (target,) = (tmp_path / "boards" / "results").glob("**/*.json")
    target.write_text("precious")
    again = cli("publish", record.run_id, *options)
    assert (again.code, again.out) == (0, f"{target} exists already; left as it is\n")
    assert target.read_text() == "precious"

    target.unlink()
    run_folder.result("0" * 12).write_text("{}")
    refused = cli("publish", record.run_id, *options)
    assert refused.code == 2
    assert refused.err == f"error: nothing published: {run_folder.result('0' * 12)} is not a result file of schema 1\n"
    assert not target.exists()
