"""Runs of fewer steps that a training can go on from: all else is equal, so it has begun as they did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ltgen_bench.errors import UsageError
from ltgen_bench.runs.run_folder import RunFolder
from ltgen_bench.spec.specs import RunSpec


@dataclass(frozen=True)
class Trained:
    """A trained run that kept its state."""

    run_folder: RunFolder
    run: RunSpec

    def edited(self, code: Mapping[str, str]) -> list[str]:
        """What of the code of its training is not known to be this one's, by fingerprints."""
        known = self.run_folder.code
        return [name for name in code if not name.startswith("sampler ") and known.get(name) != code[name]]

    def __str__(self) -> str:
        return f"run {self.run.run_id} of {self.run.train.steps:,} steps"


def trained_runs(folder: Path) -> list[Trained]:
    """All in the folder of a dataset's method."""
    found = []
    for path in sorted(folder.glob("*/spec.json")):
        run_folder = RunFolder(path.parent)
        if run_folder.model.exists() and run_folder.checkpoints():
            try:
                run = run_folder.spec
            except UsageError:
                continue
            if isinstance(run, RunSpec):
                found.append(Trained(run_folder, run))
    return found


def shorter(run: RunSpec, trained: Iterable[Trained]) -> list[Trained]:
    """Those that are the beginning of a run, the longest first."""
    found = [t for t in trained if t.run.trajectory_id == run.trajectory_id and t.run.train.steps < run.train.steps]
    return sorted(found, key=lambda t: -t.run.train.steps)
