"""A longer run goes on from a finished shorter one of the same settings, and ends as if it had not."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from whole_runs import (
    OPTIONS,
    Finished,
    assert_same_result,
    end_of,
    job_of,
    snapshots_of,
    training_log,
)

from ltgen_bench.diffusion import model_folder
from ltgen_bench.launch import going_on, launcher, worker
from ltgen_bench.launch.process import Ended
from ltgen_bench.runs.job import Job, Stage

pytestmark = [pytest.mark.xdist_group("run"), pytest.mark.skipif(os.name != "posix", reason="needs signals")]

Cli = Callable[..., Any]
WEIGHTS = "diffusion_pytorch_model.safetensors"


def work(job: Job) -> int:
    """In this process; its exit code."""
    code, reason = worker.work(worker.Worker(job), "driver")
    assert (code == worker.DONE) == (reason == ""), reason
    return code


class Killed(BaseException):
    """No signal asks for it: nothing is saved."""


def stop(job: Job, at: int, *, killed: bool = False) -> None:
    """Train up to a step."""

    class Stopping(worker.Worker):
        def report(self, stage: str, done: float, total: float, **figures: float) -> None:
            super().report(stage, done, total, **figures)
            self.stopping = stage == "training" and done >= at
            if self.stopping and killed:
                raise Killed

    with pytest.raises(Killed) if killed else nullcontext():
        assert worker.work(Stopping(job), "driver").code == worker.STOPPED


def train(*jobs: Job) -> None:
    for job in jobs:
        assert work(dataclasses.replace(job, stage=Stage("train"))) == worker.DONE


def weights(job: Job) -> bytes:
    return (job.run_folder.model / WEIGHTS).read_bytes()


@pytest.fixture
def undisturbed(finished: Finished, tmp_path: Path) -> Callable[[str], Job]:
    """A run of 24 steps from the start."""

    def made(method: str) -> Job:
        job = finished.job if method == "cm+cbdm" else job_of(method, tmp_path / "undisturbed")
        if job.state != "done":
            assert work(job) == worker.DONE
        return job

    return made


@pytest.mark.parametrize("method", ["ddpm", "cm+cbdm"])
def test_a_chain_of_snapshots_ends_as_one_training(
    method: str, runs: Path, undisturbed: Callable[[str], Job], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, last = snapshots_of(method, runs, 8, 16)
    train(first, second)
    assert work(last) == worker.DONE
    said = capsys.readouterr().out
    for before, job in ((first, second), (second, last)):
        steps = before.run.train.steps
        assert f" going on from run {before.run.run_id} at step {steps}\n" in said
        assert f" resuming at step {steps} of {job.run.train.steps}\n" in said
    assert_same_result(last, undisturbed(method))
    if last.run_folder.general_model.exists():
        general = [job.run_folder.general_model / WEIGHTS for job in (last, undisturbed(method))]
        assert general[0].read_bytes() == general[1].read_bytes()

    # The figures of the training are those of all its steps.
    lines, its = training_log(last.run_folder), training_log(second.run_folder)
    assert list(lines["step"]) == [8, 16, 24]
    assert lines.iloc[:2].equals(its)
    summary = model_folder.training_summary(last.run_folder.model)
    assert lines["seconds"].is_monotonic_increasing
    assert summary["seconds"] == pytest.approx(lines["seconds"].iloc[-1], abs=0.1)
    assert summary["images_per_s"] == pytest.approx(24 * 8 / lines["seconds"].iloc[-1], rel=0.01)


def test_interrupted_it_goes_on_with_what_it_took_over(
    finished: Finished, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, last = snapshots_of("cm+cbdm", runs, 8)
    train(first)
    stop(last, 10, killed=True)
    shutil.rmtree(first.run_folder.path)  # it is needed no more
    stop(last, 20)
    assert work(last) == worker.DONE
    log = capsys.readouterr().out
    assert log.count("going on from run ") == 1
    assert [int(n) for n in re.findall(r"resuming at step (\d+) of 24\n", log)] == [8, 8, 20]
    assert_same_result(last, finished.job)


def test_a_full_disk_while_taking_over_costs_nothing(
    runs: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, last = snapshots_of("cm+cbdm", runs, 8)
    train(first)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(going_on.checkpoint, "save", full)
        assert worker.work(worker.Worker(last), "driver").code == worker.FULL
    assert not last.run_folder.checkpoints()
    train(last)
    assert list(training_log(last.run_folder)["step"]) == [8, 24]
    assert weights(last) == weights(finished.job)


def test_damaged_states_are_passed_over(runs: Path, finished: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, last = snapshots_of("cm+cbdm", runs, 8, 16)
    train(first, second)
    state = second.run_folder.path / "checkpoint.pt"
    state.write_bytes(state.read_bytes()[:-1000])
    train(last)
    said = capsys.readouterr().out
    assert f"checkpoint {state} cannot be used (" in said
    assert f"going on from run {first.run.run_id} at step 8\n" in said
    assert weights(last) == weights(finished.job)

    shutil.rmtree(last.run_folder.path)
    (first.run_folder.path / "checkpoint.pt").unlink()  # as one may, to have the room
    train(last)
    said = capsys.readouterr().out
    assert "going on from" not in said
    assert "resuming" not in said
    assert weights(last) == weights(finished.job)


def test_a_run_that_is_further_goes_on_with_its_own_state(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, last = snapshots_of("cm+cbdm", runs, 16)
    stop(last, 20)
    train(first, last)
    said = capsys.readouterr().out
    assert "going on from" not in said
    assert "resuming at step 20 of 24\n" in said


def test_one_that_is_not_as_far_takes_over_the_longer_state(runs: Path, finished: Finished) -> None:
    first, last = snapshots_of("cm+cbdm", runs, 16)
    stop(last, 10)
    train(first, last)
    assert list(training_log(last.run_folder)["step"]) == [16, 24]
    assert weights(last) == weights(finished.job)


@pytest.mark.parametrize("code", [{"method cm": "of other code"}, {}], ids=["edited", "unknown"])
def test_under_other_code_it_begins_at_the_start_and_says_why(
    runs: Path, code: dict[str, str], cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    first, last = snapshots_of("cm", runs, 8)
    train(first)
    known = first.run_folder.code | code if code else {}
    first.run_folder.code_file.write_text(json.dumps(known))
    names = "method cm" if code else "method cm and dataset digitslt"
    why = f"run {first.run.run_id} of 8 steps{{}} code of {names} is not known to be today's\n"
    dry = cli("run", "--method", "cm", "--dataset", "digitslt", *OPTIONS, "--runs", runs, "--dry-run").out
    assert (
        f"starts 24 steps x 8, 120 images, features efflite0@32 (preset smoke); not from {why.format(', whose')}" in dry
    )
    train(last)
    said = capsys.readouterr().out
    assert f"not going on from {why.format(': its')}" in said
    assert list(training_log(last.run_folder)["step"]) == [24]


def test_made_again_it_begins_at_the_start(runs: Path, capsys: pytest.CaptureFixture[str], cli: Cli) -> None:
    first, last = snapshots_of("ddpm", runs, 8)
    train(first)
    command = ("run", "--method", "ddpm", "--dataset", "digitslt", *OPTIONS, "--runs", runs, "--dry-run")
    out = cli(*command).out
    assert f"({last.run.run_id}): goes on from run {first.run.run_id} of 8 steps to 24 steps x 8, 120 images" in out
    assert f"({last.run.run_id}): starts again 24 steps x 8, 120 images" in cli(*command, "--again").out
    train(*snapshots_of("ddpm", runs, again=True))
    assert "going on from" not in capsys.readouterr().out


@pytest.mark.usefixtures("warm_workers")
def test_a_command_stopped_in_the_middle_of_a_chain_goes_on(
    runs: Path, cli: Cli, undisturbed: Callable[[str], Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, last = snapshots_of("ddpm", runs, 8)
    command = ("run", "--method", "ddpm", "--dataset", "digitslt", *OPTIONS, "--snapshots", "8", "--omega", "0,1.5")
    command += ("--launcher", "local", "--runs", str(runs))
    one, other = "digitslt ddpm seed 0, 8 steps", "digitslt ddpm seed 0, 24 steps"

    def stopped_in_the_last(job: Job, *_: object) -> Ended:
        stop = signal.SIGTERM if job.run.train.steps == 24 else 0
        return end_of(job, stop, at=("training", 12))

    with monkeypatch.context() as patch:
        patch.setattr(launcher, "supervise", stopped_in_the_last)
        got = cli(*command)
    assert got.code == 1
    numbered = re.findall(r"^\[(\d/\d)\] (.*): /", got.out, re.MULTILINE)
    assert numbered == [("1/4", f"{one}, omega 0"), ("2/4", f"{one}, omega 1.5"), ("3/4", f"{other}, omega 0")]
    assert f"\n2 done, 2 not\n  {other}, omega 0: stopped\n  {other}, omega 1.5: stopped\n" in got.out
    assert re.search(r" 24 steps  24 steps, omega 0: training \d+/24\n", cli("status", "--runs", runs).out)

    got = cli(*command)
    assert got.code == 0, got.out
    numbered = re.findall(r"^\[(\d/\d)\] (.*): /", got.out, re.MULTILINE)
    assert numbered == [("1/2", f"{other}, omega 0"), ("2/2", f"{other}, omega 1.5")]
    assert "\n4 done, 0 not\n" in got.out
    for steps in ("8 steps x 8", "24 steps x 8"):  # each is listed
        for omega in ("omega 0,", "omega 1.5,"):
            assert any(steps in line and omega in line for line in got.out.splitlines())
    assert got.out.endswith("--seeds 0,1,2 and without --set train.steps, for a comparison\n")
    assert_same_result(last, undisturbed("ddpm"))
    log = last.run_folder.log.read_text()
    assert log.count(f"going on from run {first.run.run_id} at step 8\n") == 1
    assert [len(job.run_folder.results()[0]) for job in (first, last)] == [2, 2]
