"""Many runs at once through Ray, on this machine or a cluster. With
`ray_connection` the only module that knows Ray.

A Ray task does one stage of one run: it supervises a worker process that knows nothing of Ray and owns its GPU, its
log and its checkpoints. Ray places the tasks and does those of a lost worker or machine again, elsewhere; the run
folders are the only state, so the driver and Ray itself may die too. A stage whose worker ends by itself, for good or
bad, is not done again.
"""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ltgen_bench import ROOT
from ltgen_bench.errors import UsageError
from ltgen_bench.launch import process
from ltgen_bench.launch.launcher import Reporter, Resources, explain, stages, task
from ltgen_bench.launch.ray_connection import connect
from ltgen_bench.runs.chains import chains
from ltgen_bench.runs.job import Job

RETRIES = 3
"""How often a stage is done again when its worker or machine was lost."""
AHEAD = 2
"""Jobs given to Ray for each that can go on at once: none waits long for work, and stopping stays quick."""
POLL = 0.5
"""Seconds between looks at the progress of the runs."""


@dataclass
class Cluster:
    """A connection to Ray, as a launcher of jobs. Use it in a `with` block.

    address: of a running cluster, or None for one on this machine that lives as long as the block; named: by which
    option or variable. Raises UsageError when there is no such cluster, or when it can never give a run what it asks
    for: Ray would wait for ever.
    """

    resources: Resources
    address: str | None = None
    max_parallel: int | None = None
    named: str = "--address"
    slots: int = field(init=False)  # stages that can go on at once
    _ray: Any = field(init=False, repr=False)
    _task: Any = field(init=False, repr=False)

    def __enter__(self) -> Cluster:
        ray = self._ray = connect(self.address, self.named)
        self._task = ray.remote(_supervisor())
        try:
            self.slots = self._count_slots()
        except UsageError:
            ray.shutdown()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._ray.shutdown()

    def __call__(self, jobs: Iterable[Job], show: Reporter) -> dict[str, int]:
        return _Driver(self, show).drive(jobs)

    def submit(self, job: Job, driver: str) -> Any:
        """Give a stage to Ray: a reference to the worker's end."""
        needs = self.resources.of(job.stage)
        options = {
            "num_gpus": needs.gpus,
            "num_cpus": needs.cpus or 1,
            "max_retries": RETRIES,
            "retry_exceptions": False,
            "name": f"{job.title} {job.stage.name}",
        }
        return self._task.options(**options).remote(**vars(task(job, driver, needs.threads)))

    def _count_slots(self) -> int:
        asked = {"GPU": self.resources.gpus, "CPU": self.resources.cpus or 1}
        fits = 0
        best: dict[str, float] = {}
        for node in self._ray.nodes():
            if node["Alive"]:
                has = node["Resources"]
                fits += min(int(has.get(kind, 0) / n + 1e-9) for kind, n in asked.items() if n)
                best = {kind: max(best.get(kind, 0), has.get(kind, 0)) for kind in asked}
        if not fits:
            wanted = " and ".join(f"{n:g} {kind}" for kind, n in asked.items() if n)
            there = " and ".join(f"{n:g} {kind}" for kind, n in best.items())
            raise UsageError(
                f"no machine has the {wanted} that each run asks for, the largest has {there}; "
                "use --gpus-per-run and --cpus-per-run"
            )
        return min(fits, self.max_parallel or fits)


@dataclass(eq=False)
class _Work:
    """A job on its way through its stages, and the rest of its chain."""

    job: Job
    groups: deque[list[Job]]
    later: list[Job]
    left: int = 0  # stages of the present group that have not ended
    since: float = field(default_factory=time.time)
    started: bool = False
    end: process.Ended = field(default_factory=lambda: process.Ended(process.DONE))


class _Driver:
    """Keeps Ray supplied and the user informed."""

    def __init__(self, cluster: Cluster, show: Reporter) -> None:
        self.cluster, self.ray, self.show = cluster, cluster._ray, show
        self.name = uuid.uuid4().hex
        self.counts: dict[str, int] = {}
        self.pending: deque[tuple[_Work, Job]] = deque()  # stages that can go on
        self.works: dict[Any, _Work] = {}  # by reference of a stage that Ray has

    def drive(self, jobs: Iterable[Job]) -> dict[str, int]:
        queue = deque(chains(jobs))
        looked = 0.0
        try:
            while self.supply(queue):
                ready, _ = self.ray.wait(list(self.works), num_returns=1, timeout=POLL)
                for reference in ready:
                    self.finish(reference)
                if time.monotonic() - looked > POLL:
                    self.look()
                    looked = time.monotonic()
        except BaseException:
            self.stop()
            raise
        return self.counts

    def supply(self, queue: deque[list[Job]]) -> bool:
        """Give Ray what it can take, chains that have begun first; whether it has anything."""
        cluster = self.cluster
        limit = cluster.max_parallel or AHEAD * cluster.slots
        while len(self.works) < limit and (queue or self.pending) and "full" not in self.counts:
            if not self.pending:
                self.begin(queue.popleft())
            work, stage = self.pending.popleft()
            self.works[cluster.submit(stage, self.name)] = work
        return bool(self.works)

    def begin(self, chain: list[Job]) -> None:
        """Let the first job of a chain go on."""
        job, resources = chain[0], self.cluster.resources
        self.advance(_Work(job, deque(stages(job, resources.processes, self.cluster.slots)), chain[1:]))

    def advance(self, work: _Work) -> None:
        """Let the next stages of a job go on, or end it and begin the next of its chain."""
        if work.end.code == process.DONE and work.groups:
            group = work.groups.popleft()
            work.left = len(group)
            self.pending.extendleft((work, stage) for stage in reversed(group))
            return
        if not work.started:
            self.show.started(work.job)
        outcome, reason = explain(work.job.run_folder, work.end)
        self.counts[outcome] = self.counts.get(outcome, 0) + 1
        self.show.ended(work.job, outcome, reason)
        if work.later and work.job.run_folder.model.exists():
            self.begin(work.later)

    def finish(self, reference: Any) -> None:
        work = self.works.pop(reference)
        work.left -= 1
        try:
            end = process.Ended(*self.ray.get(reference))
        except self.ray.exceptions.RayTaskError as error:
            raise error.as_instanceof_cause() from None
        except self.ray.exceptions.RayError:
            end = process.Ended(-signal.SIGKILL)  # lost, more often than RETRIES allows
        if work.end.code == process.DONE:
            work.end = end
        if not work.left:
            self.advance(work)

    def look(self) -> None:
        for work in dict.fromkeys(self.works.values()):
            progress = work.job.run_folder.progress()
            if progress.get("time", 0) >= work.since:
                if not work.started:
                    work.started = True
                    self.show.started(work.job)
                self.show.progress(work.job, progress)

    def stop(self) -> None:
        """Have the workers write their checkpoints, and wait for them."""
        references = list(self.works)
        for reference in references:
            self.ray.cancel(reference)
        if references:
            self.ray.wait(references, num_returns=len(references), timeout=process.GRACE + 5)


def _supervisor() -> Callable[..., tuple[int, str]]:
    """`process.work` for a Ray worker: in the driver's folder, but not with the code that lies there.

    Ray puts the driver's folder before all installed packages, so that in a checkout of another state that would be
    imported. A function within a function is sent as code, and has the path mended before anything is imported; what
    it imports has no torch, which Ray's worker has no use for.
    """
    here, root = os.getcwd(), os.fspath(ROOT)

    def supervise(**task: Any) -> tuple[int, str]:
        import os
        import sys

        if os.path.isdir(here):
            os.chdir(here)
        sys.path = [path for path in sys.path if path == root or path != here]
        from ltgen_bench.launch import process

        code, reason = process.work(process.Task(**task))
        return code, reason

    return supervise
