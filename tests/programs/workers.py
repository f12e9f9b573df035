"""Workers and drivers to be disturbed: each a process of its own, forked from a server that has imported everything."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from ltgen_bench.launch import worker


def work(job: str, log: str, reason: Connection | None, signal_number: int, at_stage: str, at_step: int) -> NoReturn:
    """A worker that gets a signal as soon as a stage has got so far."""
    report = worker.Worker.report

    def watched(self: worker.Worker, stage: str, done: float, total: float, **figures: float) -> None:
        report(self, stage, done, total, **figures)
        if signal_number and stage == at_stage and done >= at_step:
            os.kill(os.getpid(), signal_number)

    worker.Worker.report = watched  # type: ignore[method-assign]
    _run(job, log, reason)


def unlucky(job: str, log: str, accident: str, met: str) -> NoReturn:
    """A worker that meets an accident at the first file which none before it met one at; `met` lists those."""
    replace, seen = os.replace, Path(met)

    def unmet(path: Any) -> bool:
        name = re.sub(r"^\.(.*)\.[0-9a-f]{8}\.part$", r"\1", os.path.basename(path))
        if name == "progress.json" or name in seen.read_text().split("|"):
            return False
        seen.write_text(seen.read_text() + name + "|")
        return True

    def killed(source: Any, target: Any) -> None:
        if unmet(target):
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    def full(file: int) -> None:
        if unmet(os.readlink(f"/proc/self/fd/{file}")):
            raise OSError(errno.ENOSPC, "No space left on device")

    if accident == "killed":
        os.replace = killed
    else:
        os.fsync = full
    _run(job, log, None)


def drive(arguments: list[str], output: str) -> None:
    """`ltgen-bench ARGUMENTS`."""
    from ltgen_bench.cli.main import main

    os.dup2(os.open(output, os.O_CREAT | os.O_APPEND | os.O_WRONLY), 1)
    sys.argv = ["ltgen-bench", *arguments]
    main()


def _run(job: str, log: str, reason: Connection | None) -> NoReturn:
    file = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.dup2(file, 1)
    os.dup2(file, 2)
    told = [str(reason.fileno())] if reason else []
    sys.argv = ["worker", job, str(os.getppid()), "driver", *told]
    sys.exit(worker.main())
