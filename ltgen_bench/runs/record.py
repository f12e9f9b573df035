"""The result of a run, or of images made elsewhere: one small JSON file that says everything needed to compare it."""

from __future__ import annotations

import dataclasses
import functools
import gc
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ltgen_bench import ROOT
from ltgen_bench.errors import UsageError, short
from ltgen_bench.runs.figures import Provenance, Training, problems, score_problems
from ltgen_bench.spec.serialise import from_json, to_json
from ltgen_bench.spec.specs import DECIMALS, EvalSpec, ExternalSpec, RunSpec, ScoreSpec
from ltgen_bench.storage.atomic_files import read_json, write_json

SCHEMA = 1

Scores = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""metric -> group (overall, majority, ...) -> figures (value, se, n_real, n_gen, ...)."""


class BadRecord(Exception):
    """A result file that cannot be trusted; the message names the file and what is wrong."""


@dataclasses.dataclass(frozen=True)
class Record:
    run: ExternalSpec | RunSpec
    eval: ScoreSpec | EvalSpec  # an EvalSpec with a RunSpec
    scores: Scores
    training: Mapping[str, Any]  # seconds, images/s, peak memory, parameters, safeguards that acted
    provenance: Mapping[str, Any]  # versions, device, commit: recorded, not part of the identity
    deviations: Mapping[str, str]  # method -> what differs from its paper

    def __post_init__(self) -> None:
        if isinstance(self.run, RunSpec) != isinstance(self.eval, EvalSpec):
            raise UsageError("a run is scored from images made for the purpose, others as they are")

    @property
    def run_id(self) -> str:
        return self.run.run_id

    @property
    def eval_id(self) -> str:
        return self.eval.eval_id

    def write(self, path: Path) -> None:
        """Write it atomically; raises ValueError when a figure is not finite."""
        value = to_json(self)
        write_json(path, {"schema": SCHEMA} | self._ids() | value | {"scores": _rounded(value["scores"])})

    @classmethod
    def read(cls, path: Path) -> Record:
        """Read and verify a result file: the ids must follow from its contents, and every figure must be of its type.

        Raises FileNotFoundError, or BadRecord with the reason.
        """
        try:
            value = read_json(path)
        except ValueError as error:
            raise BadRecord(str(error)) from None
        if not isinstance(value, dict) or value.get("schema") != SCHEMA:
            raise BadRecord(f"{path} is not a result file of schema {SCHEMA}")
        fields = {f.name: value[f.name] for f in dataclasses.fields(cls) if f.name in value}
        try:
            record = from_json(cls, fields, str(path))
            ids = record._ids()
        except (UsageError, ValueError) as error:
            raise BadRecord(str(error)) from None
        for name, mine in ids.items():
            if value.get(name) != mine:
                raise BadRecord(f"{path}: {name} is {value.get(name)!r}, but its contents give {mine!r}")
        for problem in record._problems():
            raise BadRecord(f"{path}: {problem}")
        return record

    @property
    def devices(self) -> list[str]:
        """That it was trained on; where the training did not record them, that it was scored on, mostly the same."""
        if "devices" in self.training:
            return sorted(self.training["devices"])
        scored = self.provenance.get("device")
        return [scored + ", compiled" * bool(self.provenance.get("compiled"))] if scored else []

    @property
    def trained_on(self) -> str:
        """The kinds of device: "CPU", or a GPU's name; "unknown". Kinds may draw other times and noise from a seed."""
        names = (device.removesuffix(", compiled").rpartition(" x ")[2] for device in self.devices)
        return " and ".join(sorted({"CPU" if name.startswith("cpu") else name for name in names})) or "unknown"

    def _ids(self) -> dict[str, str]:
        return {"run_id": self.run_id, "config_id": self.run.config_id, "eval_id": self.eval_id}

    def _problems(self) -> Iterator[str]:
        """What is wrong with the contents, beyond what the types of their fields say."""
        run, groups = self.run, self.eval.groups
        if not run.dataset.class_counts:
            yield "the dataset has no classes"
        if isinstance(run, RunSpec) and not run.methods:
            yield "the run has no method"
        if isinstance(run, RunSpec) and not (run.net.channels and min(run.net.channels) > 0):
            yield f"a network has no channels {run.net.channels}"
        for name in (run.dataset.name, *(m.name for m in run.methods)):
            if not _is_name(name):
                yield f"{name!r} is no name of a method or dataset"
        for m in run.methods:
            if unknown := [name for name in m.changed if name not in m.params]:
                yield f"{m.name} has no parameter {unknown[0]!r}"
        if not all(isinstance(ids, list) and all(type(c) is int for c in ids) for ids in groups.values()):
            yield "eval.groups must be lists of classes"
        for metric in self.eval.metrics:
            if not 0 <= metric.decimals <= DECIMALS:
                yield f"{metric.name} has {short(metric.decimals)} decimals"
        yield from score_problems(self.scores)
        for what, values, kind in (
            ("training", self.training, Training),
            ("provenance", self.provenance, Provenance),
        ):
            for problem in problems(values, kind):
                yield problem.format(of=f" in {what}")
        if not all(isinstance(text, str) for text in self.deviations.values()):
            yield "deviations must be texts"


@functools.cache
def _is_name(text: str) -> bool:
    """Of one file or folder, that can be printed."""
    return text.isprintable() and Path(text).name == text


def read_records(folder: Path, pattern: str) -> tuple[list[Record], list[str]]:
    """The records in a folder, one per (run, evaluation), and what is wrong with the files that are left out."""
    records: dict[tuple[str, str], Record] = {}
    origins: dict[tuple[str, str], Path] = {}
    problems = []
    with _no_collector():
        for path in sorted(folder.glob(pattern)):
            try:
                record = Record.read(path)
            except (BadRecord, FileNotFoundError) as error:  # not found: a dangling link, or deleted meanwhile
                problems.append(str(error))
                continue
            key = record.run_id, record.eval_id
            if key in records:
                problems.append(f"{path} is of the same run and evaluation as {origins[key]}")
            records.setdefault(key, record)
            origins.setdefault(key, path)
    return list(records.values()), problems


@contextmanager
def _no_collector() -> Iterator[None]:
    """Without Python's search for cycles, which would go through all that was read, again and again, and find none."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _rounded(value: Any) -> Any:
    """Numbers to 7 significant digits: more than any figure means, and half the size of the file."""
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return float(f"{value:.7g}") if isinstance(value, float) else value


def provenance(device: str) -> dict[str, Any]:
    """What made a result, and when: versions, device, and the commit of this suite when it runs from a checkout."""
    import importlib.metadata

    packages = ("ltgen-bench", "torch", "diffusers", "numpy", "pillow")
    versions = {}
    for name in packages:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "versions": versions,
        "python": platform.python_version(),
        "device": device,
        "finished": timestamp(),
        **_commit(),
    }


def timestamp() -> str:
    """The time now, as records and logs write it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _commit() -> dict[str, Any]:
    if not (ROOT / "pyproject.toml").exists():
        return {}

    def git(*args: str) -> str:
        return subprocess.run(["git", "-C", os.fspath(ROOT), *args], capture_output=True, text=True, check=True).stdout

    try:
        dirty = bool(git("status", "--porcelain", "--", "ltgen_bench", "methods", "datasets").strip())
        return {"commit": git("rev-parse", "HEAD").strip(), "dirty": dirty}
    except (OSError, subprocess.CalledProcessError):
        return {}
