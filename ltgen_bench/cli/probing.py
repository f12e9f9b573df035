"""Runs probes for the command line: what was found before is shown at once, what was interrupted goes on."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ltgen_bench.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from ltgen_bench.probes.specs import ProbeSpec
    from ltgen_bench.runs.job import DataOptions, Execution
    from ltgen_bench.runs.run_folder import RunFolder

Plan = Callable[["RunFolder"], "ProbeSpec"]


def probe_runs(
    names: Sequence[str],
    runs: Path,
    options: DataOptions,
    execution: Execution,
    plan: Plan,
    *,
    check: Callable[[RunFolder], object],
    per_class: bool,
) -> None:
    """Probe each run and print what was found.

    plan: the settings for a run. check: raises UsageError when a run cannot be probed; all are checked before the
    first is probed.
    """
    from ltgen_bench.cli.progress import console
    from ltgen_bench.launch.score_stage import draw
    from ltgen_bench.probes import tables
    from ltgen_bench.probes.pictures import of_run
    from ltgen_bench.probes.probe_file import stored
    from ltgen_bench.probes.probing import probe
    from ltgen_bench.probes.subject import Subject
    from ltgen_bench.runs.run_folder import find_run

    out = console()
    found = {run_folder.path: run_folder for run_folder in (find_run(runs, name) for name in names)}
    planned = [(run_folder, plan(run_folder)) for run_folder in found.values()]
    for run_folder, spec in planned:
        if stored(run_folder, spec) is None:
            check(run_folder)
    for number, (run_folder, spec) in enumerate(planned, 1):
        if (result := stored(run_folder, spec)) is None:
            title = f"[{number}/{len(planned)}] {run_folder.path.name}"
            with _interruptible(out), _bar(out, title) as report:
                result = probe(Subject.open(run_folder, options, execution), spec, report)
        path = run_folder.probe(spec.kind, spec.id)
        picture = path.with_suffix(".png")
        if not picture.exists():
            draw(picture, out.print, lambda r=result, p=picture: of_run.save(r, p))  # type: ignore[misc]
        out.print(f"\n{tables.text(result, per_class=per_class)}\nfile: {path}")
        if picture.exists():
            out.print(f"picture: {picture}")


def numbers(text: str, option: str, low: float, high: float) -> tuple[float, ...]:
    """Numbers with commas between them, each of this range. Raises UsageError, also for one that is given twice."""
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{option} {text}: write numbers with commas, for example 5,10,20") from None
    for value in found:
        if not low <= value <= high:
            raise UsageError(f"{option} {text}: {value:g} is not from {low:g} to {high:g}")
        if found.count(value) > 1:
            raise UsageError(f"{option} {text}: {value:g} is given twice; keep one")
    return found


@contextmanager
def _interruptible(out: Console) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the probe; what it finished is kept."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        out.print("stopped; run the same command to go on")
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _bar(out: Console, title: str) -> Iterator[Callable[[str, float, float], None]]:
    """Shows how far a probe is: a bar on a terminal, now and then a line elsewhere."""
    from rich.progress import Progress

    from ltgen_bench.cli.progress import PLAIN_EVERY

    bar = Progress(console=out, transient=True)
    task = bar.add_task(title, total=None)
    said = time.monotonic()

    def report(stage: str, done: float, total: float) -> None:
        nonlocal said
        bar.update(task, description=f"{title} {stage}", completed=done, total=total)
        if not out.is_terminal and time.monotonic() - said > PLAIN_EVERY:
            said = time.monotonic()
            out.print(f"{title}: {stage} {done:,.0f}/{total:,.0f}")

    with bar if out.is_terminal else nullcontext():
        yield report
