"""Many runs at once through Ray, on this machine or a cluster. The only module that knows Ray.

A Ray task does one stage of one run: it supervises a worker process that knows nothing of Ray and owns its GPU, its
log and its checkpoints. Ray places the tasks and does those of a lost worker or machine again, elsewhere; the run
folders are the only state, so the driver and Ray itself may die too. A stage whose worker ends by itself, for good or
bad, is not done again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ltgen_bench import ROOT
from ltgen_bench.errors import UsageError
from ltgen_bench.launch import process
from ltgen_bench.launch.launcher import Reporter, Resources, explain, stages, task
from ltgen_bench.runs.job import Job

RETRIES = 3
"""How often a stage is done again when its worker or machine was lost."""
AHEAD = 2
"""Runs given to Ray for each that can go on at once: none waits long for work, and stopping stays quick."""
POLL = 0.5
"""Seconds between looks at the progress of the runs."""


@dataclass
class Cluster:
    """A connection to Ray, as a launcher of jobs. Use it in a `with` block.

    address: of a running cluster, or None for one on this machine that lives as long as the block. Raises UsageError
    when there is no such cluster, or when it can never give a run what it asks for: Ray would wait for ever.
    """

    resources: Resources
    address: str | None = None
    max_parallel: int | None = None
    slots: int = field(init=False)  # stages that can go on at once
    _ray: Any = field(init=False, repr=False)
    _task: Any = field(init=False, repr=False)

    def __enter__(self) -> Cluster:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Ray starts its workers at niceness 15, and training would inherit it: anything else here would starve it.
        os.environ.setdefault("RAY_worker_niceness", "0")
        import ray  # a second, and not needed for one run

        self._ray, self._task = ray, ray.remote(_supervisor())
        with _own_signals():  # Ray installs a SIGTERM handler of its own
            if self.address is None:
                # Not None: that would join the Ray of another command here, which ends when that command does.
                ray.init("local", log_to_driver=False, logging_level="ERROR", include_dashboard=False)
            else:
                _knock(self.address)
                try:
                    ray.init(self.address, log_to_driver=False, logging_level="ERROR")
                except (ConnectionError, ValueError, RuntimeError) as error:
                    first = str(error).strip().partition("\n")[0]
                    raise UsageError(
                        f"--address {self.address}: something answers there, but this Ray may not join ({first}); "
                        "does it want a token (RAY_AUTH_MODE=token, and its ~/.ray/auth_token here), or is it another "
                        "version of Ray, or no Ray at all?"
                    ) from None
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
class _Run:
    """A run on its way through its stages."""

    job: Job
    groups: deque[list[Job]]
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
        self.pending: deque[tuple[_Run, Job]] = deque()  # stages that can go on
        self.runs: dict[Any, _Run] = {}  # by reference of a stage that Ray has

    def drive(self, jobs: Iterable[Job]) -> dict[str, int]:
        queue = deque(jobs)
        looked = 0.0
        try:
            while self.supply(queue):
                ready, _ = self.ray.wait(list(self.runs), num_returns=1, timeout=POLL)
                for reference in ready:
                    self.finish(reference)
                if time.monotonic() - looked > POLL:
                    self.look()
                    looked = time.monotonic()
        except BaseException:
            self.stop()
            raise
        return self.counts

    def supply(self, queue: deque[Job]) -> bool:
        """Give Ray what it can take, runs that have begun first; whether it has anything."""
        cluster = self.cluster
        limit = cluster.max_parallel or AHEAD * cluster.slots
        while len(self.runs) < limit and (queue or self.pending) and "full" not in self.counts:
            if not self.pending:
                job = queue.popleft()
                self.advance(_Run(job, deque(stages(job, cluster.resources.processes, cluster.slots))))
            run, stage = self.pending.popleft()
            self.runs[cluster.submit(stage, self.name)] = run
        return bool(self.runs)

    def advance(self, run: _Run) -> None:
        """Let the next stages of a run go on, or end it."""
        if run.end.code == process.DONE and run.groups:
            group = run.groups.popleft()
            run.left = len(group)
            self.pending.extendleft((run, stage) for stage in reversed(group))
            return
        if not run.started:
            self.show.started(run.job)
        outcome, reason = explain(run.job.run_folder, run.end)
        self.counts[outcome] = self.counts.get(outcome, 0) + 1
        self.show.ended(run.job, outcome, reason)

    def finish(self, reference: Any) -> None:
        run = self.runs.pop(reference)
        run.left -= 1
        try:
            end = process.Ended(*self.ray.get(reference))
        except self.ray.exceptions.RayTaskError as error:
            raise error.as_instanceof_cause() from None
        except self.ray.exceptions.RayError:
            end = process.Ended(-signal.SIGKILL)  # lost, more often than RETRIES allows
        if run.end.code == process.DONE:
            run.end = end
        if not run.left:
            self.advance(run)

    def look(self) -> None:
        for run in dict.fromkeys(self.runs.values()):
            progress = run.job.run_folder.progress()
            if progress.get("time", 0) >= run.since:
                if not run.started:
                    run.started = True
                    self.show.started(run.job)
                self.show.progress(run.job, progress)

    def stop(self) -> None:
        """Have the workers write their checkpoints, and wait for them."""
        references = list(self.runs)
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


def _knock(address: str) -> None:
    """Raises UsageError when nothing listens at HOST:PORT, where Ray itself would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise UsageError(f"--address {address}: write HOST:PORT of the cluster's head, as in 10.0.0.1:6379, or auto")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise UsageError(f"--address {address}: no Ray cluster answers there ({error})") from None


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Keep this process's signal handlers through the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
