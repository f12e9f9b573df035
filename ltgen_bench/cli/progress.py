"""What `run` shows: a live bar on a terminal, plain lines when piped."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

if TYPE_CHECKING:
    from ltgen_bench.runs.job import Job

PLAIN_EVERY = 10.0
"""Seconds between progress lines when piped; several runs share one, three times as seldom."""
Key = tuple[str, str]
"""Of a job."""
BARS = 8
"""Runs that have a bar of their own on a terminal."""


def console(*, quiet: bool = False) -> Console:
    """Prints text as it is: no colours, and lines are not cut, so that paths can be copied and searched.

    Only a terminal gets live bars: FORCE_COLOR, which rich would take for one, is about colours.
    """
    live = None if sys.stdout.isatty() else False
    return Console(highlight=False, markup=False, soft_wrap=True, quiet=quiet, force_terminal=live)


class Terminal:
    """Reports jobs to a person. Use as `with Terminal(console, jobs) as show`."""

    def __init__(self, out: Console, jobs: Sequence[Job]) -> None:
        self.out, self.total = out, len(jobs)
        self.counts: dict[str, int] = {}
        self._work = work_of(jobs)
        self._numbers: dict[Key, int] = {}  # of the jobs that have started
        self._fractions: dict[Key, float] = {}  # how far those that go on are
        self._stages: dict[Key, str] = {}
        self._said = time.time()
        self._begun: float | None = None  # when a worker first said how far it is: to start one is no work
        self._before: dict[Key, float] = {}  # how far jobs were when they were first heard of: they may be resumed
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[figures]}"))
        self._bars = Progress(*columns, console=out, transient=True)
        self._tasks: dict[Key, TaskID] = {}
        self._summary = self._bars.add_task("", total=self.total, figures="", visible=False)
        self._live: AbstractContextManager[Any] = self._bars if out.is_terminal else nullcontext()

    def __enter__(self) -> Terminal:
        self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._live.__exit__(*error)

    def started(self, job: Job) -> None:
        self._numbers[job.key] = len(self._numbers) + 1
        self._fractions[job.key] = 0.0
        self.out.print(f"{self._which(job)}: {job.folder}")

    def progress(self, job: Job, progress: Mapping[str, Any]) -> None:
        stage, done, total = progress["stage"], int(progress["done"]), int(progress["total"])
        figures = "  ".join(figures_of(progress))
        start, share = WEIGHTS.get(stage, (0.0, 0.0))
        fraction = self._fractions[job.key] = start + share * (progress["done"] / max(1, progress["total"]))
        if stage in WEIGHTS:
            self._begun = self._begun or time.time()
            self._before.setdefault(job.key, fraction)
        changed, self._stages[job.key] = stage != self._stages.get(job.key), stage
        if self.out.is_terminal:
            self._show_bar(job, stage, done, total, figures)
        elif self.total > 1 and len(self._fractions) > 1:
            if time.time() - self._said > 3 * PLAIN_EVERY:
                self._said = time.time()
                self.out.print(f"  {self._counts()}")
        elif changed or time.time() - self._said > PLAIN_EVERY:
            self._said = time.time()
            which = f"{self._which(job)}: " if self.total > 1 else "  "
            self.out.print(f"{which}{stage} {done}/{total}  {figures}".rstrip())

    def ended(self, job: Job, outcome: str, reason: str) -> None:
        self.counts[outcome] = self.counts.get(outcome, 0) + 1
        self._fractions.pop(job.key, None)
        self._before.setdefault(job.key, 1 - self._work[job.key])
        if (task := self._tasks.pop(job.key, None)) is not None:
            self._bars.remove_task(task)
        self._show_summary()
        which = f"{self._which(job)}: " if self.total > 1 else "  "
        self.out.print(f"{which}{outcome}{f': {reason}' if reason else ''}")
        if outcome in ("failed", "stopped", "unusable", "full"):
            self.out.print(f"  log: {job.run_folder.log}")

    def _which(self, job: Job) -> str:
        return f"[{self._numbers[job.key]}/{self.total}] {job.title}"

    def _show_bar(self, job: Job, stage: str, done: int, total: int, figures: str) -> None:
        if job.key not in self._tasks and len(self._tasks) < BARS:
            self._tasks[job.key] = self._bars.add_task("", figures="")
        if job.key in self._tasks:
            which = f"{job.title}: " if self.total > 1 else ""
            figures = f"{done}/{total} {figures}"
            task = self._tasks[job.key]
            self._bars.update(task, description=f"{which}{stage}", completed=done, total=total, figures=figures)
        self._show_summary()

    def _show_summary(self) -> None:
        if self.total > 1:
            ended = sum(self.counts.values())
            self._bars.update(self._summary, description="all", completed=ended, figures=self._counts(), visible=True)

    def _counts(self) -> str:
        """How many runs are in which state, and the time that all will take if the others take as long."""
        ended, running = sum(self.counts.values()), len(self._fractions)
        states = self.counts | {"running": running, "waiting": self.total - ended - running}
        words = [f"{n} {state}" for state, n in states.items() if n]
        work = ended + sum(self._fractions.values())
        here, seconds = work - sum(self._before.values()), time.time() - (self._begun or time.time())
        if here > 0.05 and seconds > PLAIN_EVERY:  # before, chance would speak
            waiting = sum(work for key, work in self._work.items() if key not in self._numbers)
            left = waiting + sum(1 - fraction for fraction in self._fractions.values())
            words.append(f"about {duration(seconds * left / here)} left")
        return ", ".join(words)


WEIGHTS = {"training": (0.0, 0.85), "sampling": (0.85, 0.1), "scoring": (0.95, 0.05)}
"""Where in a run a stage begins and how much of it it is, roughly: enough to say how long all runs will take."""


def work_of(jobs: Sequence[Job]) -> dict[Key, float]:
    """How much work each job is, 1 for a whole run: by the time it begins, its chain has trained some of it."""
    from ltgen_bench.runs.chains import chains

    work = {}
    for chain in chains(jobs):
        trained = 0
        for job in chain:
            work[job.key] = 1 - WEIGHTS["training"][1] * trained / job.run.train.steps
            trained = job.run.train.steps
    return work


def figures_of(progress: Mapping[str, Any]) -> list[str]:
    """The figures in a worker's progress, in words: loss, speed and the time that the stage still takes."""
    figures = []
    if "loss" in progress:
        figures.append(f"loss {progress['loss']:.4f}")
    if "images_per_s" in progress:
        figures.append(f"{progress['images_per_s']:,.0f} images/s")
    if progress.get("seconds_left") is not None and progress["done"] < progress["total"]:
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
