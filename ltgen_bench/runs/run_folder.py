"""Run folders: the only place where the state of the work lives. Drivers and workers can die at any moment.

Images made elsewhere have such a folder too, RUNS/<dataset>/elsewhere/<id>/, with the images as samples.npz.

RUNS/<dataset>/<method>/<run id>/
    spec.json                 the resolved RunSpec
    code.json                 fingerprints of the code of methods, dataset and samplers
    log.txt                   what the worker said
    train.jsonl               losses, every 50 steps: pandas.read_json(path, lines=True)
    events.out.tfevents.*     the same for TensorBoard, with --track tensorboard
    progress.json             stage, step, speed, time left (for `status`)
    checkpoint*.pt            the state of the training; the last one stays, for longer runs and experiments, and may be
                              deleted when the run is done
    model/                    the trained network: plain diffusers, nothing to fold
    model-general/            the same without the reserve, of a method that has one
    samples-<id>.npz, .png    images and labels, and a grid of them
    samples-<id>/             shards of them while sampling, with locks and progress of the workers that share the work
    result-<eval id>.json     the scores: a run is done when this file is whole and its ids are right
    result-<eval id>.png      the worst and best images of each group
    probe-<kind>-<id>.json    what a probe found; its picture as .png, and a folder of finished parts while it works
    failed.json               why its training failed; not tried again by itself
    failed-<eval id>.json     why that evaluation failed; not tried again by itself either
    lock                      who works on it now
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ltgen_bench.errors import UsageError
from ltgen_bench.runs.record import BadRecord, Record, read_records
from ltgen_bench.source_code import edited, refusal, refusal_of_score
from ltgen_bench.spec.serialise import coerce, digest, identity, to_json
from ltgen_bench.spec.specs import EvalSpec, ExternalSpec, RunSpec, SamplingSpec, ScoreSpec
from ltgen_bench.storage import lock
from ltgen_bench.storage.atomic_files import read_json, write_json
from ltgen_bench.storage.lock import Owner


@dataclass(frozen=True)
class RunFolder:
    path: Path

    @classmethod
    def of(cls, runs: Path, spec: RunSpec | ExternalSpec) -> RunFolder:
        return cls(runs / spec.dataset.name / spec.method / spec.run_id)

    @property
    def runs(self) -> Path:
        """The folder of all runs that it lies in."""
        return self.path.parents[2]

    @property
    def spec(self) -> RunSpec | ExternalSpec:
        """Raises UsageError when spec.json is missing or not readable."""
        path = self.spec_file
        try:
            spec: RunSpec | ExternalSpec = coerce(read_json(path), ExternalSpec | RunSpec, str(path))
            return spec
        except FileNotFoundError:
            raise UsageError(f"{self.path} is not a run folder: it has no spec.json") from None
        except (ValueError, UsageError) as error:
            raise UsageError(f"{error}; the command that made the run writes it again") from None

    @property
    def code(self) -> dict[str, str]:
        """Fingerprints of the code that the run was begun with; empty when that was before there were any."""
        try:
            value = read_json(self.code_file)
        except (FileNotFoundError, ValueError):
            return {}
        return {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else {}

    def create(self, spec: RunSpec | ExternalSpec, code: Mapping[str, str] = MappingProxyType({})) -> None:
        """Make the folder ready for work; the caller holds its lock.

        code: fingerprints of the code that is to do it. A damaged spec.json is written again. Raises UsageError when it
        is of another run, or when the run was begun with other code.
        """
        for part in [*self.path.rglob(".*.part")]:  # left by a worker that was killed while writing
            if part.is_dir():
                shutil.rmtree(part, ignore_errors=True)
            else:
                part.unlink(missing_ok=True)
        try:
            there = self.spec.run_id
        except UsageError:  # missing or damaged: the folder's name says which run it is of
            there = spec.run_id
            if code and not self.code_file.exists():
                write_json(self.code_file, dict(code))
            write_json(self.spec_file, to_json(spec))
        if there != spec.run_id:
            raise UsageError(f"{self.spec_file} is of another run, {there}; move the folder away")
        self.check_code(code)
        if (known := self.code) and not code.keys() <= known.keys():  # a sampler that was not used before
            write_json(self.code_file, dict(code) | known)

    def check_code(self, code: Mapping[str, str]) -> None:
        """Raises UsageError when the run was begun with other code than what these are the fingerprints of."""
        if names := edited(self.code, code):
            raise UsageError(refusal(names, f"run {self.path.name} was begun"))

    def check_scored_with(self, eval_id: str, code: Mapping[str, str]) -> None:
        """Raises UsageError when there is a score already, by other code than what these are the fingerprints of."""
        record = self.record(eval_id) if code else None
        if record is not None and (names := edited(record.provenance.get("code", {}), code)):
            raise UsageError(refusal_of_score(names, self.path.name))

    def clear(self) -> None:
        """Remove all that was made of the run. Raises lock.Held when somebody works on it."""
        if not self.path.exists():
            return
        if (owner := self.owner()) is not None:
            raise lock.Held(str(owner))
        with lock.hold(self.lock):
            last = (self.code_file, self.spec_file)  # so that what is left of an interrupted removal is still a run
            for path in sorted(self.path.iterdir(), key=lambda path: path in last):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                elif path != self.lock:
                    path.unlink(missing_ok=True)

    @property
    def spec_file(self) -> Path:
        return self.path / "spec.json"

    @property
    def code_file(self) -> Path:
        return self.path / "code.json"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def train_log(self) -> Path:
        """An object a line: what `training.log.JsonLines` writes."""
        return self.path / "train.jsonl"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def general_model(self) -> Path:
        """Without the reserve, of a method that has one."""
        return self.path / "model-general"

    def probe(self, kind: str, settings_id: str) -> Path:
        """What a probe of these settings found."""
        return self.path / f"probe-{kind}-{settings_id}.json"

    @property
    def failed(self) -> Path:
        return self.path / "failed.json"

    def failed_evaluation(self, eval_id: str) -> Path:
        return self.path / f"failed-{eval_id}.json"

    def failures(self, eval_id: str | None = None) -> list[Path]:
        """What says why it failed: the training, and one evaluation or any."""
        of_evals = self.path.glob("failed-*.json") if eval_id is None else [self.failed_evaluation(eval_id)]
        return [path for path in (self.failed, *sorted(of_evals)) if path.exists()]

    @property
    def rank_failed(self) -> Path:
        """Why a process of a training that several share failed: torchrun's exit code says only that one did."""
        return self.path / "team-failed.json"

    def checkpoints(self) -> list[Path]:
        return sorted(self.path.glob("checkpoint*.pt"))

    @property
    def progress_file(self) -> Path:
        return self.path / "progress.json"

    def part_progress(self, spec: SamplingSpec, part: int) -> Path:
        """Of a worker that makes a part of the samples."""
        return self.shards(spec) / f"progress-{part}.json"

    def samples(self, spec: SamplingSpec) -> Path:
        return self.path / f"samples-{digest(identity(spec))}.npz"

    def shards(self, spec: SamplingSpec) -> Path:
        return self.samples(spec).with_suffix("")

    def part_lock(self, spec: SamplingSpec, part: int) -> Path:
        return self.shards(spec) / f"lock-{part}"

    def grid(self, spec: SamplingSpec) -> Path:
        return self.samples(spec).with_suffix(".png")

    @property
    def given(self) -> Path:
        """Images made elsewhere."""
        return self.path / "samples.npz"

    def picture(self, score_spec: ScoreSpec) -> Path:
        """Of the images that were scored so."""
        return self.grid(score_spec.sample) if isinstance(score_spec, EvalSpec) else self.given.with_suffix(".png")

    def result(self, eval_id: str) -> Path:
        return self.path / f"result-{eval_id}.json"

    def extremes(self, eval_id: str) -> Path:
        """A picture of the worst and best images."""
        return self.result(eval_id).with_suffix(".png")

    def results(self) -> tuple[list[Record], list[str]]:
        """The finished scores, and what is wrong with the result files that are none."""
        return read_records(self.path, "result-*.json")

    def first_eval(self) -> ScoreSpec | None:
        """How it was scored first, if it was."""
        records, _ = self.results()
        first = min(records, key=lambda record: str(record.provenance.get("finished", "")), default=None)
        return first.eval if first else None

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
        if self.owner() is not None:
            return "running"
        if self.failures(eval_id):
            return "failed"
        if eval_id is None and self.results()[0]:
            return "done"
        if self.model.exists() or self.checkpoints():
            return "stopped"
        return "waiting"

    def owner(self) -> Owner | None:
        """Who works on the run now, or on a part of its samples."""
        locks = [self.lock, *(p for p in self.path.glob("samples-*/lock-*") if "." not in p.name)]
        return next((owner for p in locks if (owner := lock.owner(p)) is not None and owner.alive), None)

    def why_failed(self, eval_id: str | None = None) -> str:
        """The first reason in `failures`."""
        try:
            return str(read_json(self.failures(eval_id)[0])["reason"])
        except (FileNotFoundError, IndexError, ValueError, KeyError, TypeError):
            return f"see {self.log}"

    def progress(self) -> dict[str, Any]:
        """What the workers last said of their progress (stage, done, total, time, ...); empty when they said nothing.

        While several share the sampling it is their sum.
        """
        whole = _progress(self.progress_file)
        parts = [_progress(path) for path in self.path.glob("samples-*/progress-*.json")]
        parts = [p for p in parts if p and p["time"] > whole.get("time", 0)]
        if not parts:
            return whole
        left = [p["seconds_left"] for p in parts if p.get("seconds_left") is not None]
        return {
            "stage": parts[0]["stage"],
            "job": parts[0].get("job", ""),
            "done": sum(p["done"] for p in parts),
            "total": sum(p["total"] for p in parts),
            "time": max(p["time"] for p in parts),
            "seconds_left": max(left, default=None),
        }


def _progress(path: Path) -> dict[str, Any]:
    try:
        value = read_json(path)
    except (FileNotFoundError, ValueError):
        return {}
    numbers = ("done", "total", "time")
    whole = isinstance(value, dict) and isinstance(value.get("stage"), str)
    return value if whole and all(isinstance(value.get(name), int | float) for name in numbers) else {}


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
