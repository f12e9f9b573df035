"""A run is never gone on with, sampled further or taken for done under other code than it was begun with."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from whole_runs import command_of, contents, end_of, job_of, work

from ltgen_bench.launch import worker
from ltgen_bench.runs.job import Job, Stage
from ltgen_bench.source_code import fingerprints

pytestmark = [pytest.mark.xdist_group("run"), pytest.mark.skipif(os.name != "posix", reason="needs signals")]

Cli = Callable[..., Any]
REFUSED = r"error: method boom: the code has been edited since run {} was begun; raise its `version`, which makes this "


@pytest.fixture
def edit(plugins: Path) -> Iterator[Callable[[], None]]:
    """Edit the method `boom`."""
    path = plugins / "boom.py"
    before = path.read_text()
    yield lambda: path.write_text(path.read_text().replace("0.02", "0.021")) and None
    path.write_text(before)


def stopped(runs: Path) -> Job:
    """A run with a checkpoint."""
    job = job_of("boom", runs)
    assert work(job, signal.SIGTERM, at=("training", 10)) == worker.STOPPED
    return job


def test_an_interrupted_run_does_not_go_on_under_other_code(
    runs: Path, edit: Callable[[], None], cli: Cli, warm_workers: None
) -> None:
    job = stopped(runs)
    state = torch.load(job.run_folder.checkpoints()[0], weights_only=True)
    assert state["code"] == {k: v for k, v in job.code.items() if k.startswith("method ")}
    edit()
    before = contents(runs)
    got = cli(*command_of(job))
    assert (got.code, got.err.startswith(REFUSED.format(job.run.run_id))) == (2, True), got
    assert got.err.count("\n") == 1
    assert contents(runs) == before
    # With the folder's note lost, the checkpoint itself knows.
    job.run_folder.code_file.unlink()
    got = cli(*command_of(job))
    assert (got.code, "since the checkpoint was written; raise its `version`" in got.out) == (2, True), got.out

    got = cli(*command_of(job), "--again", "--dry-run")
    assert "starts again 24 steps" in got.out
    assert job.run_folder.checkpoints()
    got = cli(*command_of(job), "--again")
    assert got.code == 0, got.out
    assert "resuming" not in job.run_folder.log.read_text()
    record = job.run_folder.record(job.eval.eval_id)
    assert record is not None
    assert record.provenance["code"] == job.run_folder.code == fingerprints(["boom"], "digitslt", "ddim") != job.code

    # Done: taken for done as long as the code is the same.
    assert cli(*command_of(job)).out.startswith("nothing to do")
    edit_again = job.run_folder.code | {"method boom": "of other code"}
    job.run_folder.code_file.write_text(json.dumps(edit_again))
    assert cli(*command_of(job)).err.startswith(REFUSED.format(job.run.run_id))
    assert cli("score", job.run.run_id, "--set", "sample.omega=0", "--runs", runs).err.startswith(
        REFUSED.format(job.run.run_id)
    )


def test_a_run_from_before_there_were_fingerprints_goes_on(runs: Path, edit: Callable[[], None]) -> None:
    job = stopped(runs)
    job.run_folder.code_file.unlink()
    for path in job.run_folder.checkpoints():
        state = torch.load(path, weights_only=True)
        del state["code"]
        torch.save(state, path)
    edit()
    assert work(job_of("boom", runs)) == worker.DONE
    assert "resuming at step 10 of 24" in job.run_folder.log.read_text()
    assert job.run_folder.code == {}  # nobody knows what it was begun with


@pytest.mark.parametrize("stage", [Stage(), Stage("train"), Stage("sample", 0, 2)], ids=lambda stage: stage.name)
def test_code_that_was_edited_since_the_plan_is_not_used(runs: Path, stage: Stage) -> None:
    job = dataclasses.replace(job_of("boom", runs), code={"method boom": "of other code"}, stage=stage)
    code, reason = end_of(job)
    assert code == worker.UNUSABLE
    assert reason == "error: method boom: the code was edited since this was planned; plan it again"
    assert not job.run_folder.spec_file.exists()


def test_a_run_that_somebody_works_on_is_not_made_again(runs: Path, cli: Cli) -> None:
    from ltgen_bench.storage import lock

    job = stopped(runs)
    with lock.hold(job.run_folder.lock):
        got = cli(*command_of(job), "--again")
        assert "running elsewhere (" in got.out
        assert job.run_folder.checkpoints()
    assert got.code == 1
