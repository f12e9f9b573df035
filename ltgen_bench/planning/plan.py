"""From what the user typed to the list of runs: methods x datasets x seeds, every setting resolved."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from ltgen_bench import registry
from ltgen_bench.data.dataset import Dataset, DatasetSpec, LongTail
from ltgen_bench.device import pick_device
from ltgen_bench.diffusion.denoiser import smallest_multiple
from ltgen_bench.errors import UsageError, unknown
from ltgen_bench.runs.run_folder import RunFolder
from ltgen_bench.sampling.sampler import labels
from ltgen_bench.scoring.extractors import identify
from ltgen_bench.scoring.scorer import SCORE_VERSION, check_enough
from ltgen_bench.spec.presets import PRESETS, Preset
from ltgen_bench.spec.specs import (
    DiffusionSpec,
    EvalSpec,
    MethodSpec,
    NetSpec,
    RunSpec,
    SampleSpec,
    ScoreSpec,
    TrainSpec,
    canonical,
    from_json,
    override,
    to_json,
)
from ltgen_bench.training.method import Method, Stack, overrides_nothing

SECTIONS = ("net", "train", "diffusion", "sample")


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """How to get at the images. Paths are not part of a run's identity; what they hold is, through its hashes."""

    imbalance: float | str | None = "default"
    size: int | None = None
    max_size: int | None = None
    data: str | None = None
    reference: str | None = None
    data_dir: str | None = None

    @property
    def folder(self) -> Path | None:
        """Where data is kept, when it was named."""
        return Path(self.data_dir) if self.data_dir else None

    def load(self, name: str) -> LongTail:
        """Load a dataset by name. Raises UsageError."""
        return self.open(registry.datasets().load(name, f"--dataset {name}")).load()

    def open(self, kind: type[Dataset]) -> Dataset:
        paths = {k: Path(v) if v else None for k, v in vars(self).items() if k in ("data", "reference", "data_dir")}
        return kind(imbalance=self.imbalance, size=self.size, max_size=self.max_size, **paths)  # type: ignore[arg-type]


@dataclasses.dataclass(frozen=True)
class Execution:
    """How to run, which changes no number: recorded, not part of the identity."""

    device: str = "auto"
    features_weights: str | None = None
    checkpoint_seconds: float | None = None
    compile: bool = False

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
    """One run to train, sample and score: all that a worker needs, JSON-able."""

    folder: str
    run: RunSpec
    eval: EvalSpec
    data: DataOptions
    execution: Execution
    stage: Stage = Stage()

    @property
    def place(self) -> RunFolder:
        return RunFolder(Path(self.folder))

    @property
    def state(self) -> str:
        return self.place.state(self.eval.eval_id)

    @property
    def lock(self) -> Path:
        """Who has it does this work: one worker per run, or one per part of its samples."""
        if self.stage.name == "sample":
            return self.place.part_lock(self.eval.sample, self.stage.part)
        return self.place.lock

    @property
    def title(self) -> str:
        return f"{self.run.dataset.name} {self.run.method} seed {self.run.seed}"

    def to_json(self) -> dict[str, Any]:
        return to_json(self)

    @classmethod
    def from_json(cls, value: Any) -> Job:
        return from_json(cls, value, "job")


@dataclasses.dataclass(frozen=True)
class Request:
    """What the user typed."""

    methods: Sequence[str]
    datasets: Sequence[str]
    seeds: Sequence[int] = (0,)
    preset: str | None = None
    settings: Sequence[str] = ()  # "section.name=value"
    features: str | None = None
    data: DataOptions = DataOptions()
    execution: Execution = Execution()
    on_gpu: bool | None = None  # where the runs will train; default: as on this machine


def plan(request: Request, runs: Path) -> list[Job]:
    """The runs of the grid, in order. Loads the datasets (for their hashes); trains nothing.

    Raises UsageError for anything unknown, missing or impossible, before any work is done.
    """
    on_cpu = check_execution(request.execution).type == "cpu" if request.on_gpu is None else not request.on_gpu
    settings = parse_settings(request.settings)
    stacks = [parse_methods(text, settings) for text in request.methods]
    if not stacks or not request.datasets or not request.seeds:
        raise UsageError("a run needs at least one --method, one --dataset and one seed")
    used = {m.name for stack in stacks for m in stack.methods}
    for section, values in settings.items():
        if section not in used and section not in SECTIONS:
            where = f"--set {section}.{next(iter(values))}"
            if section in registry.methods().entries():
                raise UsageError(f"{where}: none of the methods to run is {section}")
            raise unknown("section", section, {*SECTIONS, *used}, where)
    jobs = []
    for name in dict.fromkeys(request.datasets):
        kind = registry.datasets().load(name, f"--dataset {name}")
        preset_name = request.preset or kind.preset
        preset = resolve_preset(preset_name, settings, flip=kind.flip, on_cpu=on_cpu)
        data = dataclasses.replace(request.data, max_size=request.data.max_size or preset.max_size)
        loaded = data.open(kind).load()
        check_size(loaded.spec, preset)
        check_images(loaded, preset.sample)
        scored = evaluation(loaded, preset, request)
        described = [tuple(describe(m) for m in stack.methods) for stack in stacks]
        for methods, seed in itertools.product(described, dict.fromkeys(request.seeds)):
            run = RunSpec(preset_name, loaded.spec, methods, preset.net, preset.train, preset.diffusion, seed)
            jobs.append(Job(str(RunFolder.of(runs, run).path), run, scored, data, request.execution))
    return list({(job.run.run_id, job.eval.eval_id): job for job in jobs}.values())


def parse_settings(texts: Iterable[str]) -> dict[str, dict[str, str]]:
    """{"train": {"steps": "100"}} from ["train.steps=100"]."""
    found: dict[str, dict[str, str]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        section, dot, name = key.strip().rpartition(".")
        if not (equals and dot and section and name):
            raise UsageError(f"--set {text}: write it as section.name=value, for example --set train.steps=1000")
        found.setdefault(section, {})[name] = value.strip()
    return found


def parse_methods(text: str, settings: Mapping[str, Mapping[str, str]] | None = None) -> Stack:
    """The methods of `a+b+c`, with the settings of their hyper-parameters.

    A method without hooks (`ddpm`) adds nothing to others: `ddpm+cm` is `cm`.
    """
    known = registry.methods()
    methods = []
    for name in text.split("+"):
        kind = known.load(name.strip(), f"--method {text}")
        if not issubclass(kind, Method):
            raise UsageError(f"method {name!r} is not a subclass of ltgen_bench.training.method.Method")
        methods.append(override(kind(), (settings or {}).get(name.strip(), {}), name.strip()))
    return Stack([m for m in methods if not overrides_nothing(m)] or methods[:1])


def build_stack(specs: Iterable[MethodSpec]) -> Stack:
    """The methods of a spec. Raises UsageError when a method's version is not the installed one."""
    methods = []
    for spec in specs:
        kind = registry.methods().load(spec.name)
        assert issubclass(kind, Method)
        if kind.version != spec.version:
            raise UsageError(f"this run is of {spec.name} version {spec.version}; installed is version {kind.version}")
        methods.append(kind(**spec.params))
    return Stack(methods)


def describe(method: Method) -> MethodSpec:
    """A method's identity: name, version, every hyper-parameter and which of them are not at their default."""
    params = to_json(canonical(method))
    default = to_json(canonical(type(method)()))
    return MethodSpec(method.name, method.version, params, tuple(k for k in params if params[k] != default[k]))


def resolve_preset(name: str, settings: Mapping[str, Mapping[str, str]], *, flip: bool, on_cpu: bool = False) -> Preset:
    """A preset with the dataset's flip and the user's settings. Raises UsageError for unknown names.

    A CPU trains in float32 unless told otherwise. As precision is part of a run's identity, such results stand apart.
    """
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS, "--preset")
    preset = PRESETS[name]
    preset = dataclasses.replace(preset, train=dataclasses.replace(preset.train, flip=flip))
    if on_cpu:
        preset = dataclasses.replace(preset, train=dataclasses.replace(preset.train, precision="fp32"))
    parts = {s: override(getattr(preset, s), settings[s], s) for s in SECTIONS if s in settings}
    preset = dataclasses.replace(preset, **parts)
    check_values(preset.net, preset.train, preset.diffusion, preset.sample)
    return preset


def check_values(net: NetSpec, train: TrainSpec, diffusion: DiffusionSpec, sample: SampleSpec) -> None:
    """Raises UsageError for a value outside its range."""
    for name, value, low, high in (
        ("net.layers", net.layers, 1, 16),
        ("net.dropout", net.dropout, 0, 0.99),
        ("net.attention", net.attention, -1, len(net.channels) - 1),
        ("train.steps", train.steps, 1, 10**9),
        ("train.batch", train.batch, 1, 10**6),
        ("train.lr", train.lr, 1e-12, 1e3),
        ("train.warmup", train.warmup, 0, 10**9),
        ("train.grad_clip", train.grad_clip, 1e-12, 1e12),
        ("train.ema", train.ema, 0, 1 - 1e-9),
        ("train.label_dropout", train.label_dropout, 0, 1),
        ("diffusion.timesteps", diffusion.timesteps, 2, 10**6),
        ("diffusion.beta_start", diffusion.beta_start, 1e-9, diffusion.beta_end),
        ("diffusion.beta_end", diffusion.beta_end, diffusion.beta_start, 0.999),
        ("sample.images", sample.images, 1, 10**8),
        ("sample.steps", sample.steps, 1, diffusion.timesteps),
        ("sample.omega", sample.omega, -1, 1e3),
    ):
        if not low <= value <= high:
            raise UsageError(f"{name} must be from {low:g} to {high:g}, not {value:g}")
    if any(c < 32 or c % 32 for c in net.channels):
        raise UsageError(f"net.channels must be multiples of 32 (group normalisation), not {_list(net.channels)}")


def check_execution(execution: Execution) -> torch.device:
    """The device to work on. Raises UsageError for one that is not here, or checkpoints that are too frequent."""
    device = pick_device(execution.device)
    if execution.checkpoint_seconds is not None and not execution.checkpoint_seconds >= 0.1:
        raise UsageError(f"--checkpoint-every must be at least 0.1 seconds, not {execution.checkpoint_seconds:g}")
    return device


def check_size(data: DatasetSpec, preset: Preset) -> None:
    """Raises UsageError for an image size that the network cannot halve at each level."""
    multiple = smallest_multiple(len(preset.net.channels))
    if data.size % multiple:
        fits = max(multiple, data.size // multiple * multiple)
        raise UsageError(
            f"{data.size}x{data.size} images do not suit a network of {len(preset.net.channels)} levels, which needs a "
            f"multiple of {multiple}; use --size {fits}, or fewer levels with --set net.channels=..."
        )


def check_images(data: LongTail, sample: SampleSpec) -> None:
    """Raises UsageError for a number of images that classes cannot share, or that is too small to score."""
    classes = len(data.class_counts)
    labels(sample.images, classes)
    check_enough("generated", sample.images // classes, data.groups)
    check_enough("real", len(data.reference) // classes, data.groups)


def evaluation(data: LongTail, preset: Preset, request: Request) -> EvalSpec:
    """How runs of this dataset are scored. Raises UsageError when the feature extractor's weights are missing."""
    how = score_spec(data, request.features or preset.features, request.data, request.execution)
    return EvalSpec(**vars(how), sample=preset.sample)


def score_spec(data: LongTail, features: str, options: DataOptions, execution: Execution) -> ScoreSpec:
    """How images are scored against this dataset. Raises UsageError when the extractor's weights are missing."""
    features, sha256 = identify(features, execution.weights, options.folder)
    return ScoreSpec(
        features=features,
        features_sha256=sha256,
        reference_sha256=data.spec.reference_sha256,
        groups=data.groups.as_dict(),
        score_version=SCORE_VERSION,
    )


def rescore(
    place: RunFolder,
    settings: Sequence[str],
    features: str | None,
    data: DataOptions,
    execution: Execution,
) -> Job:
    """The job that scores a trained run with other features or sampling, the rest as in its first score.

    Raises UsageError.
    """
    check_execution(execution)
    run = place.spec
    assert isinstance(run, RunSpec)
    if not place.model.exists():
        raise UsageError(f"run {run.run_id} is not trained yet; the command that started it goes on with it")
    found = parse_settings(settings)
    if wrong := [s for s in found if s != "sample"]:
        raise UsageError(f"--set {wrong[0]}...: a trained run can only change sample.* settings")
    own_features, own_sample = _first_scoring(place, run)
    sample = override(own_sample, found.get("sample", {}), "sample")
    check_values(run.net, run.train, run.diffusion, sample)
    data = dataclasses.replace(data, imbalance=run.dataset.imbalance, size=run.dataset.size)
    loaded = data.load(run.dataset.name)
    if loaded.spec != run.dataset:
        raise UsageError(f"the images of {run.dataset.name} here are not those that run {run.run_id} was trained on")
    check_images(loaded, sample)
    how = score_spec(loaded, features or own_features, data, execution)
    return Job(str(place.path), run, EvalSpec(**vars(how), sample=sample), data, execution)


def _first_scoring(place: RunFolder, run: RunSpec) -> tuple[str, SampleSpec]:
    """Features and sampling of a run's first score; of its preset, when it has no score yet."""
    first = place.first_eval()
    if isinstance(first, EvalSpec):
        return first.features, first.sample
    preset = PRESETS.get(run.preset, PRESETS["paper"])
    return preset.features, preset.sample


def _list(values: Iterable[object]) -> str:
    return ",".join(str(v) for v in values)
