"""What was probed of runs and taken to the folder of claims, which its pages are made from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ltgen_bench.errors import UsageError
from ltgen_bench.probes.probe_file import ProbeFile, probes_in
from ltgen_bench.storage.atomic_files import atomic_write

FOLDER = "claims"
"""Where the page is in a folder of leaderboards."""


def take(folder: Path, run_folders: Iterable[Path]) -> list[Path]:
    """Copy what was probed of runs to the page's folder; those that are new there. Raises UsageError for a run of which
    there is nothing by today's version of a probe, and for a damaged file."""
    new = []
    for run_folder in run_folders:
        probes = [probe for probe in probes_in(run_folder) if probe.spec.current]
        if not probes:
            raise UsageError(f"run {run_folder.name} was not probed yet: ltgen-bench probe pruning {run_folder.name}")
        for probe in probes:
            name = f"probe-{probe.spec.kind}-{probe.spec.id}"
            path = records(folder) / probe.run.dataset.name / f"{name}-{probe.run.run_id}.json"
            if not path.exists():
                with atomic_write(path) as file:
                    file.write((run_folder / f"{name}.json").read_bytes())
                new.append(path)
    return new


def records(folder: Path) -> Path:
    """Where the page's folder keeps what it is made from."""
    return folder / "probes"


def taken(folder: Path) -> list[ProbeFile]:
    """All that was taken and is by today's versions."""
    return [probe for probe in _all(folder) if probe.spec.current]


def outdated(folder: Path) -> list[ProbeFile]:
    """What `taken` leaves out, as far as nothing newer is there."""
    found = _all(folder)
    newer = {(probe.spec.kind, probe.run.run_id) for probe in found if probe.spec.current}
    return [p for p in found if not p.spec.current and (p.spec.kind, p.run.run_id) not in newer]


def left_out(folder: Path) -> list[str]:
    """A line for each of `outdated`, with the command that finds it anew."""
    return [
        f"left out: {old.spec.kind} of {old.title}, found by version {old.spec.version}; "
        f"ltgen-bench probe {old.spec.kind} {old.run.run_id} finds it anew, and probe page {old.run.run_id} takes it"
        for old in outdated(folder)
    ]


def _all(folder: Path) -> list[ProbeFile]:
    return [probe for part in sorted(records(folder).glob("*")) for probe in probes_in(part)]
