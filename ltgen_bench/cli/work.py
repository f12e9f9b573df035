"""Has jobs done, and shows how they go."""

from __future__ import annotations

import os
import signal
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import typer

from ltgen_bench.errors import UsageError, unknown

if TYPE_CHECKING:
    from rich.console import Console

    from ltgen_bench.launch.launcher import Launcher
    from ltgen_bench.runs.job import Job


def pick_launcher(
    name: str | None,
    address: str | None,
    gpus: float | None,
    cpus: float | None,
    max_parallel: int | None,
    device: str,
    runs: int,
) -> AbstractContextManager[Launcher]:
    """What does the jobs, as the options say; see their help for the defaults. runs: that can go on at once.

    RAY_ADDRESS says which Ray to use where Ray is used; a single run needs none.
    """
    from ltgen_bench.device import pick_device
    from ltgen_bench.launch.launcher import Resources, local

    if name not in (None, "ray", "local"):
        raise unknown("launcher", name, ["ray", "local"], "--launcher")
    if gpus is None:
        gpus = float(pick_device(device).type == "cuda")
    if name == "local" or not runs or (name is None and runs == 1 and address is None):
        if name == "local" and max_parallel not in (None, 1):
            raise UsageError("--launcher local does one run after another; use --launcher ray for --max-parallel")
        return nullcontext(local(Resources(gpus, cpus)))
    from ltgen_bench.launch.ray_cluster import Cluster

    resources = Resources(gpus, cpus if cpus is not None else 2 if gpus else 1)
    if address is None and (address := os.environ.get("RAY_ADDRESS") or None):
        return Cluster(resources, address, max_parallel, named="RAY_ADDRESS")
    return Cluster(resources, address, max_parallel)


def do_jobs(out: Console, jobs: list[Job], launcher: AbstractContextManager[Launcher]) -> dict[str, int]:
    """Do the jobs; the count of each outcome. Ctrl-C and SIGTERM let the workers write checkpoints, then exit."""
    from ltgen_bench.cli.progress import Terminal

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with launcher as launch, Terminal(out, jobs) as show:
            return launch(jobs, show)
    except KeyboardInterrupt:
        out.print("stopped; run the same command to go on")
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)
