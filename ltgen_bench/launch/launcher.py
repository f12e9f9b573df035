"""Does jobs in worker processes: one after another here, or many at once through Ray (`ray_cluster`).

A job has stages. One worker can do them all; where training takes several GPUs, or where more than one worker can help
to sample, they are: the training, the parts of the samples at once, and the rest. Jobs that need each other's work are
a chain (`runs.chains`), done one after another.
"""

from __future__ import annotations

import dataclasses
import json
import math
import signal
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from ltgen_bench.errors import UsageError
from ltgen_bench.launch import process
from ltgen_bench.launch.process import Ended, Task
from ltgen_bench.runs.chains import chains
from ltgen_bench.runs.job import Job, Stage
from ltgen_bench.runs.run_folder import RunFolder

PART = 5_000
"""Images that a worker at least makes when several share the sampling: less is not worth starting one."""


@dataclasses.dataclass(frozen=True)
class Resources:
    """What each run gets. gpus: a fraction lets runs share one; more than one shares the training among that many.

    cpus: cores, and as many threads; None: all that there are.
    """

    gpus: float = 0
    cpus: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.gpus < math.inf or (self.gpus > 1 and self.gpus % 1):
            raise UsageError(f"--gpus-per-run must be a fraction of one GPU or a whole number, not {self.gpus:g}")
        if self.cpus is not None and not 0 < self.cpus < math.inf:
            raise UsageError(f"--cpus-per-run must be a number above 0, not {self.cpus:g}")

    @property
    def processes(self) -> int:
        """How many share a training."""
        return max(1, int(self.gpus))

    @property
    def threads(self) -> int | None:
        return None if self.cpus is None else max(1, int(self.cpus))

    def of(self, stage: Stage) -> Resources:
        """What a stage gets: only the training can use more than one GPU."""
        return self if stage.processes > 1 else dataclasses.replace(self, gpus=min(self.gpus, 1))


class Reporter(Protocol):
    """Shows how the work goes."""

    def started(self, job: Job) -> None: ...

    def progress(self, job: Job, progress: Mapping[str, Any]) -> None: ...

    def ended(self, job: Job, outcome: str, reason: str) -> None:
        """outcome: done | failed | stopped | held | unusable | full."""


class Launcher(Protocol):
    """Does jobs and reports on them; the count of each outcome. One that fails stops no other, but for those of its
    chain that need its network.

    On KeyboardInterrupt the running workers write a checkpoint first; then the interrupt goes on. When the disk is
    full, nothing more is started.
    """

    def __call__(self, jobs: Iterable[Job], show: Reporter) -> dict[str, int]: ...


def stages(job: Job, processes: int = 1, workers: int = 1) -> list[list[Job]]:
    """What is left of the stages of a job, as jobs that can be done at once, one group after the other.

    processes: that share the training; workers: that can share the sampling.
    """
    spec = job.eval.sample
    parts = 1 if job.run_folder.samples(spec).exists() else min(workers, math.ceil(spec.images / PART))
    groups = [[Stage()]]
    if parts > 1:
        groups.insert(0, [Stage("sample", part, parts) for part in range(parts)])
    if (parts > 1 or processes > 1) and not job.run_folder.model.exists():
        groups.insert(0, [Stage("train", processes=processes)])
    return [[dataclasses.replace(job, stage=stage) for stage in group] for group in groups]


def local(resources: Resources) -> Launcher:
    """Runs on this machine, one after another."""

    def launch(jobs: Iterable[Job], show: Reporter) -> dict[str, int]:
        driver, counts = uuid.uuid4().hex, dict[str, int]()
        for chain in chains(jobs):
            for job in chain:
                show.started(job)
                outcome, reason = explain(job.run_folder, _do(job, driver, resources, show))
                show.ended(job, outcome, reason)
                counts[outcome] = counts.get(outcome, 0) + 1
                if outcome == "full":
                    return counts
                if not job.run_folder.model.exists():
                    break
        return counts

    return launch


def _do(job: Job, driver: str, resources: Resources, show: Reporter) -> Ended:
    """Do all stages of a job, as long as they end well."""
    end = Ended(process.DONE)
    for stage in [stage for group in stages(job, resources.processes) for stage in group]:
        end = supervise(stage, driver, resources.threads, _watcher(job, show))
        if end.code != process.DONE:
            break
    return end


def _watcher(job: Job, show: Reporter) -> Callable[[], None]:
    """Shows what a worker says of its progress from now on."""
    started = time.time()

    def watch() -> None:
        progress = job.run_folder.progress()
        if progress.get("time", 0) >= started:
            show.progress(job, progress)

    return watch


def task(job: Job, driver: str, threads: int | None) -> Task:
    """What a worker process needs to do a job."""
    return Task(json.dumps(job.to_json()), str(job.run_folder.log), str(job.lock), driver, threads)


def supervise(job: Job, driver: str, threads: int | None = None, watch: Callable[[], None] = lambda: None) -> Ended:
    """Do a job in a worker process and wait for it."""
    return process.work(task(job, driver, threads), watch, pause=0.1)


def explain(run_folder: RunFolder, ended: Ended) -> tuple[str, str]:
    """What the end of a worker means, and why: (outcome, reason)."""
    code, reason = ended
    if code == process.DONE:
        return "done", ""
    if code == process.STOPPED:
        return "stopped", "stopped at a checkpoint; the same command goes on from there"
    if code == process.FULL:
        return "full", f"no space left for {run_folder.path}; free some, and the same command goes on"
    if code < 0:
        killed = f"the worker was killed by {signal.Signals(-code).name}"
        return "stopped", f"{killed}; the same command goes on from its last checkpoint"
    outcome = {process.HELD: "held", process.UNUSABLE: "unusable"}.get(code, "failed")
    return outcome, reason or f"the worker ended with exit code {code} and could not say why"
