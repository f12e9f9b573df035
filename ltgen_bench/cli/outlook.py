"""What `run` says before it begins: what becomes of each job, and what may surprise."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ltgen_bench.cli.closing import smaller

if TYPE_CHECKING:
    from ltgen_bench.runs.job import Job
    from ltgen_bench.runs.shorter import Trained


class Fate(NamedTuple):
    """What becomes of a job. news: whether it is to be said unasked."""

    job: Job
    words: str
    news: bool


def fates(jobs: Sequence[Job], todo: Sequence[Job], *, again: bool) -> Iterator[Fate]:
    """Of each job, chain after chain. todo: those that are begun; again: from the start."""
    from ltgen_bench.runs.chains import chains
    from ltgen_bench.runs.shorter import trained_runs

    begun, look = {job.key for job in todo}, functools.cache(trained_runs)
    for chain in chains(jobs):
        before: Job | None = None
        for job in chain:
            state = job.state
            if state == "running":
                yield Fate(job, f"running elsewhere ({job.run_folder.owner()})", news=True)
            elif again:
                yield _work(job, before, look, again=True)
            elif state == "done":
                yield Fate(job, "done already", news=False)
            elif job.key in begun:
                yield _work(job, before, look, again=False)
            elif state == "failed":
                reason = job.run_folder.why_failed(job.eval.eval_id)
                yield Fate(job, f"failed before: {reason}; try again with --retry-failed", news=True)
            else:  # without a job before it, somebody was at it a moment ago
                yield Fate(job, f"waits for run {(before or job).run.run_id}", news=True)
            before = job


def _work(job: Job, before: Job | None, look: Callable[[Path], list[Trained]], *, again: bool) -> Fate:
    """What is to be done. before: the job before it in its chain; look: finds the trained runs of a folder."""
    from ltgen_bench.runs.shorter import Trained, shorter

    run, run_folder = job.run, job.run_folder
    steps = f"{run.train.steps:,} steps x {run.train.batch}"
    rest = f"{job.eval.sample.images:,} images, features {job.eval.features} (preset {run.preset})"
    if before is not None and before.folder == job.folder:
        return Fate(job, f"from the same training {rest}", news=False)
    if run_folder.model.exists() and not again:
        return Fate(job, f"is trained, goes on with {rest}", news=False)
    if run_folder.checkpoints() and not again:
        return Fate(job, f"goes on with {steps}, {rest}", news=False)
    if before is not None:
        return Fate(job, f"goes on from {Trained(before.run_folder, before.run)} to {steps}, {rest}", news=False)
    if again:
        return Fate(job, f"starts again {steps}, {rest}", news=False)
    found = shorter(run, look(run_folder.path.parent))
    for trained in found:
        if not trained.edited(job.code):
            return Fate(job, f"goes on from {trained} to {steps}, {rest}", news=True)
    if found:
        edited = " and ".join(found[0].edited(job.code))
        why = f"not from {found[0]}, whose code of {edited} is not known to be today's"
        return Fate(job, f"starts {steps}, {rest}; {why}", news=True)
    return Fate(job, f"starts {steps}, {rest}", news=False)


def warnings(todo: Sequence[Job]) -> Iterator[str]:
    """Of what the averaged weights are made, and how long it takes."""
    from ltgen_bench.cli.progress import duration
    from ltgen_bench.planning.training_time import training_seconds
    from ltgen_bench.runs.chains import chains

    for job in {j.run.train: j for j in todo}.values():
        train = job.run.train
        if (untrained := train.ema**train.steps) > 0.01:
            yield (
                f"with train.ema={train.ema:g}, {untrained:.0%} of the averaged weights are still the untrained ones "
                f"after {train.steps:,} steps; images will suffer"
            )
    longest = [chain[-1] for chain in chains(todo)]
    for job in {j.run.config_id: j for j in longest}.values():
        seconds = training_seconds(job)
        if seconds > 3600:
            yield (
                f"{job.name}: preset {job.run.preset} is large for this device: about {duration(seconds)} of training "
                f"a run, more for methods with several passes. Ctrl-C stops it; smaller: {smaller(job.run.preset)}"
            )
