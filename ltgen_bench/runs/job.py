"""The work on one run: what a worker needs to know, as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ltgen_bench import registry
from ltgen_bench.data.dataset import Dataset
from ltgen_bench.data.images import Images
from ltgen_bench.data.long_tail import LongTail
from ltgen_bench.errors import UsageError
from ltgen_bench.runs.run_folder import RunFolder
from ltgen_bench.spec.serialise import from_json, to_json
from ltgen_bench.spec.specs import (
    EvalSpec,
    ExternalSpec,
    RunSpec,
    ScoreSpec,
)


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """How to get at the images. Paths are not part of a run's identity; what they hold is, through its hashes.

    against: which real images to score against (see `specs.Reference`), by default as ever, or the balanced ones.
    """

    imbalance: float | str | None = "default"
    size: int | None = None
    max_size: int | None = None
    data: str | None = None
    reference: str | None = None
    data_dir: str | None = None
    data_name: str | None = None  # part of the dataset's name, unlike the paths
    against: str | None = None

    @property
    def folder(self) -> Path | None:
        """Where data is kept, when it was named."""
        return Path(self.data_dir) if self.data_dir else None

    def load(self, name: str) -> LongTail:
        """Load a dataset by the name in a spec, also `imagefolder-NAME`. Raises UsageError."""
        kind, data_name = registry.dataset(name, f"--dataset {name}")
        return self.named(data_name).open(kind).load()

    def named(self, data_name: str | None) -> DataOptions:
        """With the name that a dataset's name ends in, if it does. Raises UsageError where --data-name is another."""
        if data_name and self.data_name not in (None, data_name):
            raise UsageError(f"--data-name {self.data_name}: the dataset is called {data_name} already, leave it out")
        return dataclasses.replace(self, data_name=data_name or self.data_name)

    def open(self, kind: type[Dataset]) -> Dataset:
        paths = {k: Path(v) if v else None for k, v in vars(self).items() if k in ("data", "reference", "data_dir")}
        named = {} if self.data_name is None else {"data_name": self.data_name}
        return kind(imbalance=self.imbalance, size=self.size, max_size=self.max_size, **paths, **named)  # type: ignore[arg-type]


@dataclasses.dataclass(frozen=True)
class Execution:
    """How to run, which changes no number: recorded, not part of the identity."""

    device: str = "auto"
    features_weights: str | None = None
    checkpoint_seconds: float | None = None
    compile: bool = False
    track: tuple[str, ...] = ()  # names of experiment trackers

    @property
    def weights(self) -> Path | None:
        """File of the extractor's weights, when it was named."""
        return Path(self.features_weights) if self.features_weights else None


@dataclasses.dataclass(frozen=True)
class Stage:
    """What of a run a worker is to do: all that is left, the training alone, or every `parts`-th shard of samples.

    processes: how many share the training, each with a device of its own.
    """

    name: Literal["all", "train", "sample"] = "all"
    part: int = 0
    parts: int = 1
    processes: int = 1


@dataclasses.dataclass(frozen=True)
class Job:
    """One run to train, sample and score in one way: all that a worker needs, JSON-able.

    details: what tells it apart from others of its dataset, method and seed, in words.
    """

    folder: str
    run: RunSpec
    eval: EvalSpec
    data: DataOptions
    execution: Execution
    stage: Stage = Stage()
    code: Mapping[str, str] = dataclasses.field(default_factory=dict)  # fingerprints of the code it was planned with
    details: tuple[str, ...] = ()
    from_start: bool = False  # not from a shorter run of the same settings

    @property
    def run_folder(self) -> RunFolder:
        return RunFolder(Path(self.folder))

    @property
    def state(self) -> str:
        return self.run_folder.state(self.eval.eval_id)

    @property
    def lock(self) -> Path:
        """Who has it does this work: one worker per run, or one per part of its samples."""
        if self.stage.name == "sample":
            return self.run_folder.part_lock(self.eval.sample, self.stage.part)
        return self.run_folder.lock

    @property
    def progress_file(self) -> Path:
        if self.stage.name == "sample":
            return self.run_folder.part_progress(self.eval.sample, self.stage.part)
        return self.run_folder.progress_file

    @property
    def key(self) -> tuple[str, str]:
        """What no other job shares: the run's folder and the evaluation."""
        return self.folder, self.eval.eval_id

    @property
    def name(self) -> str:
        return f"{self.run.dataset.name} {self.run.method} seed {self.run.seed}"

    @property
    def title(self) -> str:
        """With the details."""
        return ", ".join([self.name, *self.details])

    def to_json(self) -> dict[str, Any]:
        return to_json(self)

    @classmethod
    def from_json(cls, value: Any) -> Job:
        return from_json(cls, value, "job")


@dataclasses.dataclass(frozen=True)
class ExternalJob:
    """Images made elsewhere, and all that scoring them takes."""

    run_folder: RunFolder
    run: ExternalSpec
    images: Images
    loaded: LongTail  # what they are compared with
    eval: ScoreSpec
    data: DataOptions
    execution: Execution
