"""Jobs that need each other's work are done one after another, by either launcher, and at once with others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ltgen_bench.launch import launcher, process
from ltgen_bench.launch.launcher import Launcher, Resources
from ltgen_bench.launch.ray_cluster import _Driver
from ltgen_bench.planning.evaluations import sweep
from ltgen_bench.planning.plan import Request, plan
from ltgen_bench.runs.chains import chains, startable
from ltgen_bench.runs.job import Execution, Job
from ltgen_bench.storage import lock
from ltgen_bench.storage.atomic_files import write_json

Work = Callable[[Job], int]


def planned(runs: Path, *seeds: int, snapshots: Iterable[int] = (300,)) -> list[Job]:
    request = Request(
        ["ddpm"],
        ["digitslt"],
        seeds,
        execution=Execution("cpu"),
        evaluations=sweep(["0", "1"]),
        snapshots=[*snapshots],
    )
    return plan(request, runs)


def which(job: Job) -> tuple[int, int, float]:
    return job.run.seed, job.run.train.steps, job.eval.sample.omega


class Shown:
    """Notes what is shown."""

    def __init__(self) -> None:
        self.begun: list[tuple[int, int, float]] = []
        self.ends: dict[tuple[int, int, float], str] = {}

    def started(self, job: Job) -> None:
        self.begun.append(which(job))

    def progress(self, job: Job, progress: Any) -> None: ...

    def ended(self, job: Job, outcome: str, reason: str) -> None:
        self.ends[which(job)] = outcome


def local_with(work: Work, monkeypatch: pytest.MonkeyPatch) -> Launcher:
    monkeypatch.setattr(launcher, "supervise", lambda job, *_: process.Ended(work(job)))
    return launcher.local(Resources())


def ray_with(work: Work, monkeypatch: pytest.MonkeyPatch) -> Launcher:
    """The driver with a Ray that has two stages at once and ends the last one first."""
    given: list[Job] = []

    def submit(job: Job, driver: str) -> int:
        given.append(job)
        return len(given) - 1

    ray = SimpleNamespace(
        wait=lambda references, num_returns, timeout: (references[-1:], references[:-1]),
        get=lambda reference: process.Ended(work(given[reference])),
        exceptions=SimpleNamespace(RayTaskError=AssertionError, RayError=AssertionError),
    )
    cluster: Any = SimpleNamespace(_ray=ray, resources=Resources(), slots=1, max_parallel=2, submit=submit)
    return lambda jobs, show: _Driver(cluster, show).drive(jobs)


def test_each_chain_is_of_one_training_shortest_first(tmp_path: Path) -> None:
    jobs = planned(tmp_path, 0, 1)
    assert [[which(job) for job in chain] for chain in chains(reversed(jobs))] == [
        [(seed, steps, omega) for steps in (300, 1000) for omega in (1, 0)] for seed in (1, 0)
    ]


@pytest.fixture(params=[local_with, ray_with])
def launch_with(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[Work], Launcher]:
    return lambda work: request.param(work, monkeypatch)


def test_the_jobs_of_a_chain_never_meet(tmp_path: Path, launch_with: Callable[[Work], Launcher]) -> None:
    done: list[tuple[int, int, float]] = []

    def work(job: Job) -> int:
        done.append(which(job))
        job.run_folder.model.mkdir(parents=True, exist_ok=True)
        return process.DONE

    jobs, shown = planned(tmp_path, 0, 1), Shown()
    assert launch_with(work)(jobs, shown) == {"done": 8}
    for seed in (0, 1):
        assert [one for one in done if one[0] == seed] == [(seed, n, w) for n in (300, 1000) for w in (0.0, 1.0)]
    assert sorted(shown.begun) == sorted(shown.ends) == sorted(map(which, jobs))


@pytest.mark.parametrize(
    ("code", "outcome"), [(process.FAILED, "failed"), (process.HELD, "held"), (process.STOPPED, "stopped")]
)
def test_without_a_network_the_rest_of_a_chain_is_not_begun(
    tmp_path: Path, code: int, outcome: str, launch_with: Callable[[Work], Launcher]
) -> None:
    def work(job: Job) -> int:
        if job.run.seed == 0:
            return code
        job.run_folder.model.mkdir(parents=True, exist_ok=True)
        return process.DONE

    shown = Shown()
    assert launch_with(work)(planned(tmp_path, 0, 1), shown) == {outcome: 1, "done": 4}
    assert shown.ends[0, 300, 0.0] == outcome
    assert [one for one in shown.begun if one[0] == 0] == [(0, 300, 0.0)]


def test_an_evaluation_that_fails_spoils_no_other(tmp_path: Path, launch_with: Callable[[Work], Launcher]) -> None:
    def work(job: Job) -> int:
        job.run_folder.model.mkdir(parents=True, exist_ok=True)
        return process.FAILED if job.eval.sample.omega == 0 else process.DONE

    assert launch_with(work)(planned(tmp_path, 0), Shown()) == {"failed": 2, "done": 2}


def test_nothing_more_is_begun_when_the_disk_is_full(tmp_path: Path, launch_with: Callable[[Work], Launcher]) -> None:
    def work(job: Job) -> int:
        job.run_folder.model.mkdir(parents=True, exist_ok=True)
        return process.FULL

    shown = Shown()
    counts = launch_with(work)(planned(tmp_path, 0, 1, 2), shown)
    assert counts.keys() == {"full"}
    assert len(shown.begun) == counts["full"] <= 2  # those that were at work at once


def test_what_waits_for_a_run_elsewhere_or_one_that_failed_is_not_startable(tmp_path: Path) -> None:
    jobs = planned(tmp_path, 0, 1)
    for job in jobs:
        job.run_folder.create(job.run)
    first, other = jobs[0].run_folder, jobs[4].run_folder
    assert startable(jobs) == jobs
    with lock.hold(first.lock):
        assert startable(jobs) == jobs[4:]
        first.model.mkdir()  # it is being sampled
        assert startable(jobs) == jobs[2:]
    write_json(other.failed, {"reason": "loss became nan at step 7"})
    assert startable(jobs) == jobs[:4]
    assert startable(jobs, retry_failed=True) == jobs


def test_a_failed_evaluation_is_that_ones_alone(tmp_path: Path) -> None:
    one, other = planned(tmp_path, 0, snapshots=())
    run_folder = one.run_folder
    run_folder.create(one.run)
    run_folder.model.mkdir()
    write_json(run_folder.failed_evaluation(one.eval.eval_id), {"reason": "no luck"})
    assert (one.state, other.state, run_folder.state()) == ("failed", "stopped", "failed")
    assert run_folder.why_failed(one.eval.eval_id) == run_folder.why_failed() == "no luck"
    assert startable([one, other]) == [other]
    write_json(run_folder.failed, {"reason": "the training"})
    assert other.state == "failed"
    assert run_folder.why_failed(one.eval.eval_id) == "the training"
