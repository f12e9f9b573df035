"""Run folders: the only place where the state of the work lives. Drivers and workers can die at any moment.

RUNS/<dataset>/<method>/<run id>/
    spec.json                 the resolved RunSpec
    log.txt                   what the worker said
    train.jsonl               losses, every 50 steps: pandas.read_json(path, lines=True)
    progress.json             stage, step, speed, time left (for `status`)
    checkpoint*.pt            while training
    model/                    the trained network: plain diffusers, nothing to fold
    samples-<id>.npz, .png    images and labels, and a grid of them
    result-<eval id>.json     the scores: a run is done when this file is whole and its ids are right
    failed.json               why it failed; not tried again by itself
    lock                      who works on it now
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltgen_bench import lock
from ltgen_bench.errors import UsageError
from ltgen_bench.files import read_json, write_json
from ltgen_bench.record import BadRecord, Record, read_records
from ltgen_bench.spec import RunSpec, SampleSpec, digest, from_json, to_json


@dataclass(frozen=True)
class RunFolder:
    path: Path

    @classmethod
    def of(cls, runs: Path, spec: RunSpec) -> RunFolder:
        return cls(runs / spec.dataset.name / spec.method / spec.run_id)

    @property
    def spec(self) -> RunSpec:
        """Raises UsageError when spec.json is missing or not readable."""
        path = self.path / "spec.json"
        try:
            return from_json(RunSpec, read_json(path), str(path))
        except FileNotFoundError:
            raise UsageError(f"{self.path} is not a run folder: it has no spec.json") from None
        except ValueError as error:
            raise UsageError(str(error)) from None

    def create(self, spec: RunSpec) -> None:
        """Make the folder ready for work; the caller holds its lock.

        Raises UsageError when its spec.json is damaged or of another run.
        """
        for part in [*self.path.rglob(".*.part")]:  # left by a worker that was killed while writing
            if part.is_dir():
                shutil.rmtree(part)
            else:
                part.unlink(missing_ok=True)
        path = self.path / "spec.json"
        if not path.exists():
            write_json(path, to_json(spec))
        elif (there := self.spec.run_id) != spec.run_id:
            raise UsageError(f"{path} is of another run, {there}; move the folder away")

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def failed(self) -> Path:
        return self.path / "failed.json"

    def samples(self, spec: SampleSpec) -> Path:
        return self.path / f"samples-{digest(to_json(spec))}.npz"

    def grid(self, spec: SampleSpec) -> Path:
        return self.samples(spec).with_suffix(".png")

    def result(self, eval_id: str) -> Path:
        return self.path / f"result-{eval_id}.json"

    def results(self) -> tuple[list[Record], list[str]]:
        """The finished scores, and what is wrong with the result files that are none."""
        return read_records(self.path, "result-*.json")

    def record(self, eval_id: str) -> Record | None:
        """The finished score, or None. A file that is damaged or of other ids is no result."""
        try:
            record = Record.read(self.result(eval_id))
            return record if (record.run_id, record.eval_id) == (self.spec.run_id, eval_id) else None
        except (FileNotFoundError, BadRecord, UsageError):
            return None

    def state(self, eval_id: str | None = None) -> str:
        """Of one score, or of the whole run: done | running | failed | stopped (resumes where it was) | waiting."""
        if eval_id is not None and self.record(eval_id) is not None:
            return "done"
        if (owner := lock.owner(self.lock)) is not None and owner.alive:
            return "running"
        if self.failed.exists():
            return "failed"
        if eval_id is None and self.results()[0]:
            return "done"
        if self.model.exists() or any(self.path.glob("checkpoint*.pt")):
            return "stopped"
        return "waiting"

    def why_failed(self) -> str:
        """The reason in failed.json."""
        try:
            return str(read_json(self.failed)["reason"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return f"see {self.log}"

    def progress(self) -> dict[str, Any]:
        """What the worker last said of its progress (stage, done, total, time, ...); empty when it has said nothing."""
        try:
            value = read_json(self.path / "progress.json")
        except (FileNotFoundError, ValueError):
            return {}
        whole = isinstance(value, dict) and {"stage", "done", "total", "time"} <= value.keys()
        return value if whole else {}


def run_folders(runs: Path) -> list[RunFolder]:
    """All run folders under RUNS, in order of name."""
    return [RunFolder(p.parent) for p in sorted(runs.glob("*/*/*/spec.json"))]


def find_run(runs: Path, name: str) -> RunFolder:
    """The run whose folder is `name`, or whose id starts with it. Raises UsageError when there is none, or several."""
    if (folder := Path(name).absolute() / "spec.json").exists():
        return RunFolder(folder.parent)
    found = [r for r in run_folders(runs) if r.path.name.startswith(name)] if name else []
    if not found:
        raise UsageError(f"no run {name!r} in {runs}. Run: ltgen-bench list runs")
    if len(found) > 1:
        ids = ", ".join(r.path.name for r in found[:5])
        raise UsageError(f"{name!r} fits {len(found)} runs: {ids}; give more of the id")
    return found[0]
