"""What `run` shows: a live bar on a terminal, plain lines when piped."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

if TYPE_CHECKING:
    from ltgen_bench.plan import Job

PLAIN_EVERY = 10.0
"""Seconds between progress lines when piped."""


def console() -> Console:
    """Prints text as it is: no colours, and lines are not cut, so that paths can be copied and searched."""
    return Console(highlight=False, markup=False, soft_wrap=True)


class Terminal:
    """Reports jobs to a person. Use as `with Terminal(console, total) as show`."""

    def __init__(self, out: Console, total: int) -> None:
        self.out, self.total = out, total
        self.number = 0
        self._said = 0.0
        self._stage = ""
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            console=out,
            transient=True,
        )
        self._task = self._bars.add_task("", total=1, figures="", visible=False)
        self._live: AbstractContextManager[Any] = self._bars if out.is_terminal else nullcontext()

    def __enter__(self) -> Terminal:
        self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._live.__exit__(*error)

    def started(self, job: Job) -> None:
        self.number += 1
        self._stage = ""
        self.out.print(f"[{self.number}/{self.total}] {job.title}: {job.folder}")

    def progress(self, job: Job, progress: Mapping[str, Any]) -> None:
        stage, done, total = progress["stage"], int(progress["done"]), int(progress["total"])
        figures = "  ".join(figures_of(progress))
        if self.out.is_terminal:
            self._bars.update(self._task, description=stage, completed=done, total=total, figures=figures, visible=True)
        elif stage != self._stage or time.time() - self._said > PLAIN_EVERY:
            self._stage, self._said = stage, time.time()
            self.out.print(f"  {stage} {done}/{total}  {figures}".rstrip())

    def ended(self, job: Job, outcome: str, reason: str) -> None:
        self._bars.update(self._task, visible=False)
        self.out.print(f"  {outcome}{f': {reason}' if reason else ''}")
        if outcome in ("failed", "stopped", "unusable"):
            self.out.print(f"  log: {job.place.log}")


def figures_of(progress: Mapping[str, Any]) -> list[str]:
    """The figures in a worker's progress, in words: loss, speed and the time that the stage still takes."""
    figures = []
    if "loss" in progress:
        figures.append(f"loss {progress['loss']:.4f}")
    if "images_per_s" in progress:
        figures.append(f"{progress['images_per_s']:,.0f} images/s")
    if progress.get("seconds_left") is not None:
        figures.append(f"{duration(progress['seconds_left'])} left")
    return figures


def duration(seconds: float) -> str:
    """
    >>> duration(75), duration(7300), duration(200000)
    ('1 min 15 s', '2 h 1 min', '2.3 days')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    if seconds < 86400:
        return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"
    return f"{seconds / 86400:.1f} days"
