"""What identifies a run and a score: every default spelled out, hashed.

In the hashes: all that can change a number. Not in them, but recorded beside the result: paths, device, number of
processes, torch.compile, library versions, how often checkpoints are written.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ltgen_bench.spec.serialise import canonical, digest, to_json

if TYPE_CHECKING:
    pass

PROTOCOL = 1
"""Meaning of training and sampling. Raised when the same spec would give other numbers: old results move apart."""


@dataclasses.dataclass(frozen=True)
class NetSpec:
    """The U-Net: channels of each level, residual blocks per level, the level with attention (-1 for none), dropout."""

    channels: tuple[int, ...] = (128, 256, 256, 256)
    layers: int = 2
    attention: int = 1
    dropout: float = 0.1


@dataclasses.dataclass(frozen=True)
class TrainSpec:
    """The shared training recipe (that of the long-tail papers): Adam, linear warm-up, clipped gradients, EMA."""

    steps: int = 300_000
    batch: int = 64
    lr: float = 2e-4
    warmup: int = 5_000  # steps
    grad_clip: float = 1.0
    ema: float = 0.9999
    label_dropout: float = 0.1  # share of batches without labels, for classifier-free guidance
    flip: bool = True  # random horizontal flips
    precision: Literal["fp32", "bf16"] = "bf16"


@dataclasses.dataclass(frozen=True)
class DiffusionSpec:
    """The noise schedule: betas linear from beta_start to beta_end over T timesteps."""

    timesteps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02


@dataclasses.dataclass(frozen=True)
class MethodSpec:
    name: str
    version: int
    params: Mapping[str, Any]  # every hyper-parameter
    changed: tuple[str, ...] = ()  # those that are not at their default: such results stand apart


@dataclasses.dataclass(frozen=True)
class SamplingSpec:
    """How images are made: `images` in all, the same number for each class.

    omega: guidance, in the papers' convention eps_c + omega * (eps_c - eps_u); the usual "scale" is 1 + omega.
    """

    images: int = 50_000
    sampler: Literal["ddim", "ddpm"] = "ddim"
    steps: int = 50
    omega: float = 1.5


@dataclasses.dataclass(frozen=True)
class RunSpec:
    """A training run. `run_id` is its identity, `config_id` that of all its seeds."""

    preset: str
    dataset: DatasetSpec
    methods: tuple[MethodSpec, ...]
    net: NetSpec
    train: TrainSpec
    diffusion: DiffusionSpec
    seed: int
    protocol: int = PROTOCOL

    @property
    def method(self) -> str:
        return "+".join(m.name for m in self.methods)

    @functools.cached_property
    def run_id(self) -> str:
        return digest(self._hashed())

    @functools.cached_property
    def config_id(self) -> str:
        return digest({k: v for k, v in self._hashed().items() if k != "seed"})

    def _hashed(self) -> dict[str, Any]:
        # The preset is a name for values that are all here; which parameters were "changed" follows from them too.
        plain = {k: v for k, v in to_json(canonical(self)).items() if k != "preset"}
        return plain | {"methods": [{k: v for k, v in m.items() if k != "changed"} for m in plain["methods"]]}


@dataclasses.dataclass(frozen=True)
class ExternalSpec:
    """Images made elsewhere. `run_id` is their identity, `config_id` that of all sets of the same name."""

    name: str  # what tables call them
    dataset: DatasetSpec  # what they are compared with
    images: int
    sha256: str  # Images.sha256 of them, sorted by class and content
    seed: int = 0  # of the scorer's draws

    @property
    def method(self) -> str:
        return "elsewhere"

    @functools.cached_property
    def run_id(self) -> str:
        return digest(to_json(canonical(self)))

    @functools.cached_property
    def config_id(self) -> str:
        return digest({k: v for k, v in to_json(canonical(self)).items() if k not in ("images", "sha256")})


@dataclasses.dataclass(frozen=True)
class MetricSpec:
    """A metric: its version, and how tables show it (see `scoring.metric.Metric`)."""

    name: str
    version: int
    better: Literal["lower", "higher"] | None
    decimals: int
    columns: tuple[str, ...]
    of_features: bool


@dataclasses.dataclass(frozen=True)
class ScoreSpec:
    """How images are scored. Together with their identity this identifies a score."""

    features: str  # id of the feature extractor
    features_sha256: str  # of its weights
    reference_sha256: str  # of the real images
    groups: Mapping[str, list[int]]
    score_version: int
    metrics: tuple[MetricSpec, ...] = dataclasses.field(default=(), kw_only=True)  # from outside the package, by name

    @functools.cached_property
    def eval_id(self) -> str:
        plain = to_json(canonical(self))
        if versions := [(m["name"], m["version"]) for m in plain.pop("metrics")]:
            plain["metrics"] = versions
        return digest(plain)


@dataclasses.dataclass(frozen=True)
class EvalSpec(ScoreSpec):
    """How a run is scored: its images are part of it, as they are made for the purpose."""

    sample: SamplingSpec


@dataclass(frozen=True)
class DatasetSpec:
    """What identifies the data of a run; JSON-able with `dataclasses.asdict`, and hashed into every run id.

    size: height = width in pixels. channels: 1 (grey) or 3 (RGB). imbalance: largest class / smallest class of the
    recipe, None for the images as they come. split_sha256: of the chosen indices into the pool, int64 little-endian, in
    order. data_sha256, reference_sha256: `Images.sha256` of both sets, which covers decoding and resizing.
    """

    name: str
    version: int
    imbalance: float | None
    size: int
    channels: int
    class_counts: tuple[int, ...]
    split_sha256: str
    data_sha256: str
    reference_sha256: str
