"""Runs disturbed in every way: whatever happens, the same command ends the same."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing.process
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from programs import workers
from whole_runs import (
    OPTIONS,
    Finished,
    assert_same_result,
    command_of,
    contents,
    gone,
    job_of,
    start,
    wait_for,
    work,
)

from ltgen_bench.launch import worker
from ltgen_bench.runs.job import Execution, Job
from ltgen_bench.runs.run_folder import RunFolder
from ltgen_bench.spec.serialise import to_json
from ltgen_bench.storage.atomic_files import write_json

pytestmark = [pytest.mark.xdist_group("run"), pytest.mark.skipif(os.name != "posix", reason="needs signals")]

Cli = Callable[..., Any]


@pytest.mark.accidents
def test_a_run_killed_in_every_stage_ends_like_an_undisturbed_one(finished: Finished, runs: Path) -> None:
    job = job_of("cm+cbdm", runs)
    run_folder = job.run_folder
    # Without SIGTERM first there would be no checkpoint yet.
    assert work(job, signal.SIGTERM, at=("training", 10)) == worker.STOPPED
    assert work(job, signal.SIGKILL, at=("training", 20)) == -signal.SIGKILL
    assert (run_folder.state(), run_folder.model.exists()) == ("stopped", False)
    assert work(job, signal.SIGKILL, at=("sampling", 100)) == -signal.SIGKILL
    assert (run_folder.model.exists(), run_folder.samples(job.eval.sample).exists()) == (True, False)
    assert work(job, signal.SIGKILL, at=("scoring", 500)) == -signal.SIGKILL
    assert (run_folder.samples(job.eval.sample).exists(), run_folder.state(job.eval.eval_id)) == (True, "stopped")
    assert work(job) == worker.DONE
    assert "resuming at step 10 of 24\n" in run_folder.log.read_text()
    assert_same_result(job, finished.job)
    assert {p.name for p in run_folder.path.iterdir()} == {p.name for p in finished.job.run_folder.path.iterdir()}


def test_a_corrupt_checkpoint_falls_back_to_the_one_before(finished: Finished, runs: Path) -> None:
    job = job_of("cm+cbdm", runs)
    for step in (10, 20):
        assert work(job, signal.SIGTERM, at=("training", step)) == worker.STOPPED
    newest = job.run_folder.path / "checkpoint.pt"
    newest.write_bytes(newest.read_bytes()[:-1000])
    assert work(job) == worker.DONE
    log = job.run_folder.log.read_text()
    assert f" checkpoint {newest} cannot be used (" in log
    assert "; falling back to an older one or the start\n" in log
    assert log.count("resuming at step 10 of 24\n") == 2
    assert_same_result(job, finished.job)


@pytest.mark.accidents
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize(("accident", "code"), [("killed", -signal.SIGKILL), ("disk full", worker.FULL)])
def test_an_accident_at_any_file_costs_at_most_that_file(
    finished: Finished, runs: Path, accident: str, code: int
) -> None:
    job = dataclasses.replace(job_of("cm+cbdm", runs), execution=Execution("cpu", checkpoint_seconds=0.1))
    job.run_folder.path.mkdir(parents=True)
    met = runs / "met"
    met.touch()
    while True:
        child = start(workers.unlucky, json.dumps(job.to_json()), str(job.run_folder.log), accident, str(met))
        child.join()
        if child.exitcode == worker.DONE:
            break
        assert child.exitcode == code, job.run_folder.log.read_text()
        assert job.state in ("stopped", "waiting")
        if accident == "disk full":
            assert not list(job.run_folder.path.rglob("*.part"))
    files = set(met.read_text().split("|"))
    run_folder = job.run_folder
    assert {"spec.json", "checkpoint-next.pt", run_folder.samples(job.eval.sample).name} < files
    assert run_folder.result(job.eval.eval_id).name in files
    if accident == "killed":
        assert {"checkpoint.pt", "checkpoint-previous.pt", "model"} < files
    assert_same_result(job, finished.job)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder], capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.accidents
@pytest.mark.usefixtures("warm_workers")
def test_a_full_disk_stops_the_runs_and_says_so(small_disk: Path, finished: Finished, cli: Cli) -> None:
    job = job_of("cm+cbdm", small_disk / "runs")
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_200_000))  # leaves room for no checkpoint
    got = cli(*command_of(job), "--seeds", "0,1", "--launcher", "local", "--checkpoint-every", "0.1")
    assert got.code == 1
    assert f": full: no space left for {job.run_folder.path}; free some, and the same command goes on\n" in got.out
    assert "[2/2]" not in got.out  # it would not fare better
    assert not list(small_disk.rglob("*.part"))
    assert not job.run_folder.failed.exists()
    ballast.write_bytes(b"")
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    assert cli(*command_of(job)).code == 0
    assert_same_result(job, finished.job)


@dataclass
class Driver:
    """`ltgen-bench run` in a process of its own, at step 10 or later of a slow training."""

    process: multiprocessing.process.BaseProcess
    worker: int  # process id
    output: Path

    def send(self, number: signal.Signals) -> int | None:
        """Send a signal to the driver and wait until its worker is gone too; the driver's exit code."""
        assert self.process.pid
        os.kill(self.process.pid, number)
        self.process.join(120)
        wait_for(lambda: gone(self.worker), "the worker to end")
        return self.process.exitcode


@pytest.fixture
def drive(tmp_path: Path, plugins: Path) -> Iterator[Callable[[Job], Driver]]:
    started: list[multiprocessing.process.BaseProcess] = []
    (plugins / "slowly").touch()

    def drive(job: Job) -> Driver:
        begun = time.time()
        output = tmp_path / f"driver-{len(started)}.txt"
        driver = start(workers.drive, command_of(job), str(output))
        started.append(driver)

        def training() -> bool:
            assert driver.is_alive(), output.read_text()
            progress = job.run_folder.progress()
            return progress.get("time", 0) > begun and progress["stage"] == "training" and progress["done"] >= 10

        wait_for(training, "the training to start")
        return Driver(driver, json.loads(job.run_folder.lock.read_text())["pid"], output)

    yield drive
    (plugins / "slowly").unlink(missing_ok=True)
    for driver in started:
        driver.kill()
        driver.join()


def test_of_commands_at_once_each_gives_its_own_reason(
    drive: Callable[[Job], Driver], runs: Path, cli: Cli, warm_workers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One whose worker comes too late must not show what another worker said last in the log that they share."""
    job = job_of("slow", runs)
    driver = drive(job)
    with job.run_folder.log.open("a") as log:
        log.write("2026-01-01T00:00:00Z trained in 1 s\n")
    monkeypatch.setattr(RunFolder, "owner", lambda run_folder: None)  # as when both look at once
    got = cli(*command_of(job))
    assert got.code == 1
    reason = rf"  held: process {driver.worker} on \S+, which holds {job.run_folder.lock}, works on this run\n"
    assert re.search(reason, got.out)


def test_a_worker_that_lost_its_lock_stops_and_writes_no_more(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As after it was suspended for a minute, in which another command took over the run."""
    job = job_of("ddpm", runs)
    run_folder = job.run_folder
    before: dict[str, bytes] = {}

    class Suspended(worker.Worker):
        def report(self, stage: str, done: float, total: float, **figures: float) -> None:
            if stage == "training" and done == 10:
                theirs = json.loads(run_folder.lock.read_text()) | {"token": "theirs", "pid": os.getppid()}
                run_folder.lock.write_text(json.dumps(theirs))
                before.update(contents(run_folder.path))
            super().report(stage, done, total, **figures)

    code, reason = worker.work(Suspended(job), "driver")
    assert code == worker.HELD
    taken = rf"taken over by process {os.getppid()} on \S+, which holds {run_folder.lock}, as nothing was heard of this"
    assert re.match(f"{taken} one for 60 s", reason)
    assert contents(run_folder.path) == before
    assert reason in capsys.readouterr().out  # the log says so


@pytest.mark.accidents
def test_a_run_stopped_in_every_way_ends_like_an_undisturbed_one(
    drive: Callable[[Job], Driver], plugins: Path, runs: Path, more_runs: Path, cli: Cli
) -> None:
    job = job_of("slow", runs)
    run_folder = job.run_folder

    driver = drive(job)
    second = cli(*command_of(job))  # a second driver leaves the run alone,
    assert second.code == 1
    assert f"digitslt slow seed 0 ({job.run.run_id}): running elsewhere (process {driver.worker} on " in second.out
    assert work(job) == worker.HELD  # and so does a worker of one that looked a moment too early
    not_started = rf" not started: process {driver.worker} on \S+, which holds {run_folder.lock}, works on this run\n"
    assert re.search(not_started, run_folder.log.read_text())

    assert driver.send(signal.SIGINT) == 130
    assert driver.output.read_text().endswith("stopped; run the same command to go on\n")
    assert (run_folder.path / "checkpoint.pt").exists()
    assert run_folder.state() == "stopped"

    driver = drive(job)
    assert driver.send(signal.SIGTERM) == 130
    assert run_folder.state() == "stopped"

    driver = drive(job)
    assert driver.send(signal.SIGKILL) == -signal.SIGKILL  # nobody asks the worker to stop: it sees its parent die
    assert run_folder.state() == "stopped"

    (plugins / "slowly").unlink()
    assert work(job) == worker.DONE
    steps = [int(step) for step in re.findall(r"resuming at step (\d+) of 24", run_folder.log.read_text())]
    assert len(steps) == 3
    assert 10 <= steps[0] < steps[1] < steps[2] < 24
    assert run_folder.log.read_text().count("trained in ") == 1
    undisturbed = job_of("slow", more_runs)
    assert work(undisturbed) == worker.DONE
    assert_same_result(job, undisturbed)


@pytest.mark.usefixtures("warm_workers")
def test_a_grid_goes_on_past_failures_which_are_tried_again_on_request(
    plugins: Path, more_runs: Path, cli: Cli
) -> None:
    methods = ["--method", "boom", "--method", "cm+cbdm"]
    command = [
        "run",
        *methods,
        "--dataset",
        "digitslt",
        *OPTIONS,
        "--checkpoint-every",
        "0.1",
        "--launcher",
        "local",
        "--runs",
        str(more_runs),
    ]
    (plugins / "explosive").touch()

    got = cli(*command, "--seeds", "0,1")
    assert got.code == 1
    reason = "loss became nan at step 20; the last good checkpoint is kept"
    assert got.out.count(f": failed: {reason}\n  log: ") == 2
    assert "\n2 done, 2 not\n" in got.out
    assert got.out.count(f"failed, see {more_runs}/") == 2
    assert got.out.endswith("\nthe same command tries the failed ones again with --retry-failed\n")
    numbered = re.findall(r"^\[(\d/\d)\] digitslt (\S+) seed (\d): /", got.out, re.MULTILINE)
    assert numbered == [("1/3", "boom", "0"), ("2/3", "boom", "1"), ("3/3", "cm+cbdm", "1")]  # one was done before
    boom = job_of("boom", more_runs).run_folder
    assert (boom.state(), boom.why_failed()) == ("failed", reason)
    assert (boom.path / "checkpoint.pt").exists()
    first_table = (
        (more_runs / "digitslt.md").read_text(encoding="utf-8").partition("\n| method")[2].partition("\n\n")[0]
    )
    assert re.findall(r"^\| (cm\+cbdm) +\| (\d+)", first_table, re.MULTILINE) == [("cm+cbdm", "2")]  # of two seeds

    before = contents(boom.path)
    got = cli(*command)
    assert got.code == 1
    said = f"digitslt boom seed 0 ({boom.path.name}): failed before: {reason}; try again with --retry-failed\n"
    assert got.out.startswith(said)
    assert contents(boom.path) == before

    (plugins / "explosive").unlink()
    got = cli(*command, "--retry-failed")
    assert (got.code, boom.failed.exists()) == (0, False)
    assert "resuming at step " in boom.log.read_text()


@pytest.mark.usefixtures("warm_workers")
def test_what_the_worker_cannot_use_is_said_by_the_driver(runs: Path, cli: Cli) -> None:
    job, other = job_of("ddpm", runs), job_of("cm", runs)
    job.run_folder.path.mkdir(parents=True)
    write_json(job.run_folder.path / "spec.json", to_json(other.run))
    got = cli(*command_of(job))
    assert got.code == 2
    assert f"  unusable: error: {job.run_folder.path}/spec.json is of another run, {other.run.run_id}; " in got.out
    assert got.out.endswith(f"  log: {job.run_folder.log}\n0 done, 1 not\n")
