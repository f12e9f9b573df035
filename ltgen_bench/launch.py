"""Runs jobs one after another, each in a worker process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import ltgen_bench
from ltgen_bench import worker
from ltgen_bench.plan import Job
from ltgen_bench.store import RunFolder

GRACE = 60.0
"""Seconds a worker gets to write its checkpoint when it is asked to stop."""

# The worker must import this very package, and nothing from the folder where the command was given.
_START = (
    "import sys; sys.path = [p for p in sys.path if p]; {root!r} in sys.path or sys.path.insert(0, {root!r}); "
    "from ltgen_bench.worker import main; sys.exit(main())"
)


class Reporter(Protocol):
    """Shows how the work goes."""

    def started(self, job: Job) -> None: ...

    def progress(self, job: Job, progress: Mapping[str, Any]) -> None: ...

    def ended(self, job: Job, outcome: str, reason: str) -> None:
        """outcome: done | failed | stopped | held | unusable."""


def run_jobs(jobs: Iterable[Job], show: Reporter) -> dict[str, int]:
    """Do the jobs in order; the count of each outcome. One that fails does not stop the others.

    On KeyboardInterrupt the running worker writes a checkpoint first; then the interrupt goes on.
    """
    counts: dict[str, int] = {}
    for job in jobs:
        show.started(job)
        code = _supervise(job, show)
        outcome, reason = explain(job.place, code)
        show.ended(job, outcome, reason)
        counts[outcome] = counts.get(outcome, 0) + 1
    return counts


def _supervise(job: Job, show: Reporter) -> int:
    job.place.path.mkdir(parents=True, exist_ok=True)
    with job.place.log.open("a") as log:
        process = subprocess.Popen(
            command(job),
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the driver alone, which then asks the worker to stop
        )
    started = time.time()
    try:
        while (code := process.poll()) is None:
            progress = job.place.progress()
            if progress.get("time", 0) >= started:
                show.progress(job, progress)
            time.sleep(0.1)
        return code
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def command(job: Job) -> list[str]:
    """What starts the worker of a job."""
    root = os.fspath(Path(ltgen_bench.__file__).resolve().parent.parent)
    return [sys.executable, "-c", _START.format(root=root), json.dumps(job.to_json()), str(os.getpid())]


def environment() -> dict[str, str]:
    """The worker's environment.

    OpenMP's threads sleep while they wait, unless the user has chosen otherwise: spinning, libgomp's default, makes a
    training step 3 to 30 times slower when anything else runs on the machine; sleeping costs a few percent when nothing
    does.
    """
    return {"OMP_WAIT_POLICY": "PASSIVE"} | os.environ


def explain(place: RunFolder, code: int) -> tuple[str, str]:
    """What a worker's exit code means, and why: (outcome, reason)."""
    if code == worker.DONE:
        return "done", ""
    if code == worker.STOPPED:
        return "stopped", "stopped at a checkpoint; the same command goes on from there"
    if code == worker.HELD:
        return "held", _last_line(place.log)
    if code == worker.UNUSABLE:
        return "unusable", _last_line(place.log)
    if code == worker.FAILED and place.failed.exists():
        return "failed", place.why_failed()
    if code < 0:
        killed = f"the worker was killed by {signal.Signals(-code).name}"
        return "stopped", f"{killed}; the same command goes on from its last checkpoint"
    return "failed", f"the worker ended with exit code {code}: {_last_line(place.log)}"


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").rstrip().splitlines()
    return lines[-1].partition(" ")[2] if lines else ""
