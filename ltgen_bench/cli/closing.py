"""The last words of `run`: what a preset is good for, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ltgen_bench.runs.job import Job

NAMED = 12
"""Runs that a command names one by one."""


def closing(jobs: Sequence[Job]) -> Iterator[str]:
    """Lines for a grid that is done.

    Next comes what its results lack most: a preset that compares methods, seeds, something to compare with, readers.
    """
    from ltgen_bench.leaderboard.paired import SEEDS
    from ltgen_bench.runs.chains import chains
    from ltgen_bench.spec.presets import find

    presets = list(dict.fromkeys(job.run.preset for job in jobs))
    for name in presets:
        yield f"preset {name}: {find(name).summary}"
    methods = {job.run.method for job in jobs}
    seeds = ",".join(map(str, range(max(SEEDS, len({job.run.seed for job in jobs})))))
    again = "next: the same command with"
    if "smoke" in presets:
        ends = [chain[-1].run for chain in chains(jobs)]
        own = any(run.train.steps != find(run.preset).train.steps for run in ends)
        without = " and without --set train.steps" if own else ""
        yield f"{again} --preset mini --seeds {seeds}{without}, for a comparison"
    elif len({job.run.seed for job in jobs}) < SEEDS:
        yield f"{again} --seeds {seeds}, as a row needs {SEEDS} seeds before it can be called best"
    elif len(methods) == 1:
        yield f"{again} --method {'cm' if methods == {'ddpm'} else 'ddpm'} too, to compare with"
    else:
        first, second, *_ = sorted(methods, key=lambda method: (method == "ddpm", method))
        yield f"seed by seed: ltgen-bench compare {first} {'ddpm' if 'ddpm' in methods else second}"
        ids = dict.fromkeys(job.run.run_id for job in jobs)
        named = " ".join(ids) if len(ids) <= NAMED else "RUN... (ltgen-bench list runs)"
        yield f"next: ltgen-bench publish {named}, then ltgen-bench leaderboard"


def smaller(preset: str) -> str:
    """What to do about a preset that takes too long here."""
    from ltgen_bench.spec.presets import PRESETS, find

    steps = find(preset).train.steps
    names = [name for name, other in PRESETS.items() if other.train.steps < steps]
    return f"--preset {' or '.join(reversed(names))}" if names else "--set train.steps=N"
