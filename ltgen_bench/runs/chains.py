"""Which jobs wait for each other: those of one run, and those of runs that go on from each other."""

from __future__ import annotations

from collections.abc import Iterable

from ltgen_bench.runs.job import Job


def chains(jobs: Iterable[Job]) -> list[list[Job]]:
    """The jobs in groups that can go on at once. Those of a group are done one after another, in this order.

    Evaluations of one run need its one training, and a longer training goes on from a shorter one of the same settings,
    so the shortest is the first. Where one leaves no trained network, the rest of its chain is not begun.
    """
    found: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        found.setdefault((str(job.run_folder.runs), job.run.trajectory_id), []).append(job)
    return [sorted(chain, key=lambda job: job.run.train.steps) for chain in found.values()]


def startable(jobs: Iterable[Job], *, retry_failed: bool = False) -> list[Job]:
    """Those that can be begun now: neither done, nor at work elsewhere, nor failed before (unless those are tried
    again), nor later in the chain of one without a trained network that is not begun."""
    states = {"waiting", "stopped", *(["failed"] if retry_failed else [])}
    found = []
    for chain in chains(jobs):
        for job in chain:
            state = job.state
            if state in states:
                found.append(job)
            elif not job.run_folder.model.exists():
                break
    return found
