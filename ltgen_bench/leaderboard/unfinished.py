"""Runs that have no result: a table says so, instead of leaving them out.

FOLDER/failed/<dataset>/<method>/<run id>.json of a leaderboards folder are those that were published with their reason.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from ltgen_bench.errors import UsageError
from ltgen_bench.leaderboard.tables import run_settings
from ltgen_bench.runs.run_folder import RunFolder, run_folders
from ltgen_bench.spec.serialise import from_json, to_json
from ltgen_bench.spec.specs import ExternalSpec, RunSpec
from ltgen_bench.storage.atomic_files import read_json, write_json

FAILED = "failed"


@dataclass(frozen=True)
class Unfinished:
    """why: a few words: "failed: loss is nan at step 12", "stopped"."""

    run: RunSpec
    why: str

    @property
    def failed(self) -> bool:
        return self.why.startswith(f"{FAILED}: ")

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
            found.append(Unfinished(run, f"{FAILED}: {folder.why_failed()}" if state == FAILED else state))
    return found


def publish_failed(run_folder: RunFolder, folder: Path) -> tuple[Path, bool] | None:
    """Write why a run failed into a leaderboards folder: the file, and whether it is new. None if it did not fail."""
    run = run_folder.spec
    if not isinstance(run, RunSpec) or run_folder.state() != FAILED:
        return None
    path = folder / FAILED / run.dataset.name / run.method / f"{run.run_id}.json"
    if new := not path.exists():
        write_json(path, {"run_id": run.run_id, "reason": run_folder.why_failed(), "run": to_json(run)})
    return path, new


def published_failures(folder: Path, with_result: Container[str] = ()) -> tuple[list[Unfinished], list[str]]:
    """Those of a leaderboards folder, in order of name, and what is wrong with the files that are left out.

    with_result: ids of runs that have a result by now, which counts.
    """
    found, problems = [], []
    for path in sorted((folder / FAILED).glob("*/*/*.json")):
        try:
            value = read_json(path)
            run = from_json(RunSpec, value["run"], str(path))
            if value["run_id"] != run.run_id or not isinstance(value["reason"], str):
                raise UsageError(f"{path}: its run_id and reason are not those of a run that failed")
        except (UsageError, ValueError, TypeError, KeyError) as error:
            problems.append(str(error) if isinstance(error, UsageError | ValueError) else f"{path} is no failed run")
            continue
        if run.run_id not in with_result:
            found.append(Unfinished(run, f"{FAILED}: {value['reason']}"))
    return found, problems
