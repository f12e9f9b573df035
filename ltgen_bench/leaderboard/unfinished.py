"""Runs that have no result: a table says so, instead of leaving them out."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from ltgen_bench.errors import UsageError
from ltgen_bench.leaderboard.tables import run_settings
from ltgen_bench.runs.run_folder import run_folders
from ltgen_bench.spec.specs import ExternalSpec, RunSpec


@dataclass(frozen=True)
class Unfinished:
    """why: a few words: "failed: loss is nan at step 12", "stopped"."""

    run: RunSpec
    why: str

    def belongs_to(self, other: RunSpec | ExternalSpec) -> bool:
        """Whether it would stand in the table of that run, if it were scored in the same way."""
        return isinstance(other, RunSpec) and run_settings(self.run) == run_settings(other)


def unfinished_runs(runs: Path, with_result: Container[str] = ()) -> list[Unfinished]:
    """Those of a folder of runs that have no result at all, in order of name.

    with_result: ids of runs that are known to have one.
    """
    found = []
    for folder in run_folders(runs):
        if folder.path.name in with_result or (state := folder.state()) == "done":
            continue
        try:
            run = folder.spec
        except UsageError:  # damaged: `list runs` says so
            continue
        if isinstance(run, RunSpec):
            found.append(Unfinished(run, f"failed: {folder.why_failed()}" if state == "failed" else state))
    return found
