"""Starting, watching and stopping processes so that none is left behind. Imports nothing heavy."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

from ltgen_bench import ROOT
from ltgen_bench.storage import lock

DONE, FAILED, UNUSABLE, HELD, FULL, STOPPED = 0, 1, 2, 3, 4, 75
"""What a worker's exit code means; see `worker`."""
REASON = 4096
"""Bytes of a worker's reason for ending, at most: what every pipe takes at once."""
GRACE = 60.0
"""Seconds a worker gets to write its checkpoint when it is asked to stop."""

# The process must import this very package, and nothing from the folder where the command was given.
_START = (
    "import sys; sys.path = [p for p in sys.path if p]; {root!r} in sys.path or sys.path.insert(0, {root!r}); "
    "from {module} import main; sys.exit(main())"
)


def command(module: str, *words: str) -> list[str]:
    """What runs `main()` of a module in a Python process of its own, with these words as its arguments."""
    return [sys.executable, "-c", _START.format(root=os.fspath(ROOT), module=module), *words]


def environment(threads: int | None = None) -> dict[str, str]:
    """The environment of a process that computes, with this number of CPU threads; None: one per core.

    OpenMP's threads sleep after a short wait, unless the user has chosen otherwise. A long one, libgomp's way, makes
    a small training step several times slower when anything else runs on the machine; none makes it two thirds slower
    when nothing does (`ci/bench/README.md`). And glibc keeps freed memory: to get it from the system anew for each
    activation costs sampling a quarter of its time.
    """
    chosen = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    waiting = {} if "OMP_WAIT_POLICY" in os.environ else {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}
    keeping = {"MALLOC_MMAP_THRESHOLD_": "4000000000", "MALLOC_TRIM_THRESHOLD_": "8000000000"}
    return waiting | keeping | os.environ | chosen


@dataclass(frozen=True)
class Task:
    """What a worker process is to do. Plain values: Ray carries them to other machines."""

    job: str  # as JSON
    log: str  # file for what the worker says
    lock: str
    driver: str  # on whose behalf
    threads: int | None = None


class Ended(NamedTuple):
    """How a worker process ended, and why in its own words; none when it could say nothing."""

    code: int
    reason: str = ""


def work(task: Task, watch: Callable[[], None] = lambda: None, pause: float = 0.2) -> Ended:
    """Do a job in a worker process and wait for it.

    When earlier work of the same driver was lost with its process or machine, its lock may still stand: it is waited
    for. Every `pause` seconds, `watch` is called.
    """
    while (owner := lock.owner(Path(task.lock))) is not None and owner.alive and owner.driver == task.driver:
        time.sleep(pause)
    Path(task.log).parent.mkdir(parents=True, exist_ok=True)
    # The log is shared by all that ever work on the run, at once too; why this worker ends comes by a pipe of its own.
    said, says = os.pipe()
    with open(said, "rb", buffering=0) as reason, Path(task.log).open("a") as log:
        os.set_blocking(said, False)
        words = command("ltgen_bench.launch.worker", task.job, str(os.getpid()), task.driver, str(says))
        try:
            child = start(words, log, environment(task.threads), pass_fds=[says])
        finally:
            os.close(says)
        try:
            while (code := child.poll()) is None:  # not wait(): a signal could not break it
                watch()
                time.sleep(pause)
            return Ended(code, (reason.read(REASON) or b"").decode(errors="replace"))
        finally:
            stop(child)


def start(
    words: list[str], log: IO[Any] | None, env: Mapping[str, str], pass_fds: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Start a process that is asked to stop (SIGTERM) when this one dies, also when this one is killed.

    It has a session of its own: Ctrl-C reaches the driver alone, which then asks the workers to stop.
    """
    return subprocess.Popen(
        words,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=None if log is None else subprocess.STDOUT,
        start_new_session=True,
        pass_fds=pass_fds,
        preexec_fn=_unblock_signals if os.name == "posix" else None,
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to stop, give it time to save its state, and end it."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def die_with_parent(parent: int) -> bool:
    """Ask Linux for a SIGTERM when the process that started this one dies, so that no orphan keeps a GPU.

    False when it is dead already: it died while this one was importing torch.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    return os.getppid() == parent


def _unblock_signals() -> None:
    """Ray blocks SIGINT in its workers, and children inherit that."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT, signal.SIGTERM])
