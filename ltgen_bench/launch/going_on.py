"""A training goes on from a shorter one of the same settings, as if that had been its own beginning."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ltgen_bench.runs.job import Job
from ltgen_bench.runs.shorter import shorter, trained_runs
from ltgen_bench.storage.atomic_files import atomic_write
from ltgen_bench.training import checkpoint
from ltgen_bench.training.log import TRAIN_LOG, lines_until


def go_on(job: Job, code: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Give a run the state and the log of the longest shorter one that is further than the run itself, if there is one.

    It then goes on as from a checkpoint of its own, and needs the shorter one no more. The checkpoint is written last
    and whole: whatever happens before, the next attempt begins here again.
    """
    run_folder, run = job.run_folder, job.run
    if job.from_start or not (found := shorter(run, trained_runs(run_folder.path.parent))):
        return
    own = checkpoint.load(run_folder.path, run.run_id, say=lambda _: None)  # who resumes from it says what is wrong
    done = own["step"] if own else 0
    for trained in found:
        if trained.run.train.steps <= done:
            return
        if edited := trained.edited(code):
            say(f"not going on from {trained}: its code of {' and '.join(edited)} is not known to be today's")
            continue
        state = checkpoint.load(trained.run_folder.path, trained.run.run_id, say)
        if state is None or state["step"] <= done:
            continue
        with atomic_write(run_folder.path / TRAIN_LOG) as file:
            file.write(lines_until(trained.run_folder.path / TRAIN_LOG, state["step"]).encode())
        checkpoint.save(run_folder.path, state | {"run_id": run.run_id})
        say(f"going on from run {trained.run.run_id} at step {state['step']}")
        return
