"""What identifies a run and a score: every default spelled out, hashed.

In the hashes: all that can change a number. Not in them, but recorded beside the result: paths, device, number of
processes, torch.compile, library versions, how often checkpoints are written.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ltgen_bench.spec.serialise import NOT_HASHED, before, digest, identity, within

PROTOCOL = 2
"""Meaning of training and sampling. Raised when the same spec would give other numbers: old results move apart.

1: 32 groups in every group normalisation, whatever the width, so that networks of 32 channels hardly saw time and
label; attention's output projection started near zero; sampling in the precision of the training. 2: `net.groups`;
that projection starts at gain 1; `sample.precision`.
"""

MIN_GROUP = 4
"""Channels per group, at least. Group normalisation after the time and label embedding takes a shift that all channels
of a group share out again: with one channel per group everything that time and label add."""


@dataclasses.dataclass(frozen=True)
class NetSpec:
    """The U-Net: channels of each level, residual blocks per level, the level with attention (-1 for none), dropout.

    groups: of every group normalisation (diffusers' `norm_num_groups`). None: as many as suit the channels, at most 32;
    a run always says the number.
    """

    channels: tuple[int, ...] = (128, 256, 256, 256)
    layers: int = field(default=2, metadata=within(1, 16))
    attention: int = 1
    dropout: float = field(default=0.1, metadata=within(0, 0.99))
    groups: int | None = field(default=None, metadata=before(32))

    @property
    def resolved(self) -> NetSpec:
        """With the number of groups spelled out."""
        return self if self.groups is not None else dataclasses.replace(self, groups=_groups_for(self.channels))


def _groups_for(channels: tuple[int, ...]) -> int:
    """The most groups that divide all levels and leave MIN_GROUP channels in each; 32 for the papers' network."""
    common = math.gcd(*channels)
    return max((n for n in range(1, 33) if common % n == 0 and min(channels) >= MIN_GROUP * n), default=1)


@dataclasses.dataclass(frozen=True)
class TrainSpec:
    """The shared training recipe (that of the long-tail papers): Adam, linear warm-up, clipped gradients, EMA."""

    steps: int = field(default=300_000, metadata=within(1, 10**9))
    batch: int = field(default=64, metadata=within(1, 10**6))
    lr: float = field(default=2e-4, metadata=within(1e-12, 1e3))
    warmup: int = field(default=5_000, metadata=within(0, 10**9))  # steps
    grad_clip: float = field(default=1.0, metadata=within(1e-12, 1e12))
    ema: float = field(default=0.9999, metadata=within(0, 1 - 1e-9))
    # Share of batches without labels, for classifier-free guidance.
    label_dropout: float = field(default=0.1, metadata=within(0, 1))
    flip: bool = True  # random horizontal flips
    precision: Literal["fp32", "bf16"] = "bf16"


@dataclasses.dataclass(frozen=True)
class DiffusionSpec:
    """The noise schedule: betas linear from beta_start to beta_end over T timesteps."""

    timesteps: int = field(default=1000, metadata=within(2, 10**6))
    beta_start: float = field(default=1e-4, metadata=within(1e-9, 0.999))
    beta_end: float = field(default=0.02, metadata=within(1e-9, 0.999))


@dataclasses.dataclass(frozen=True)
class MethodSpec:
    name: str
    version: int
    params: Mapping[str, Any]  # every hyper-parameter
    # Those that are not at their default: such results stand apart. It follows from params.
    changed: tuple[str, ...] = field(default=(), metadata=NOT_HASHED)


EVERYWHERE = (0.0, 1.0)
"""All times, as fractions of T."""

GAMMA = 100.0
"""Of the gamma schedule, unless given: the default of CCUA's DDIM sampler."""


@dataclasses.dataclass(frozen=True)
class SamplingSpec:
    """How images are made: `images` in all, by a sampler of that name.

    omega: guidance, in the papers' convention eps_c + omega * (eps_c - eps_u); the usual "scale" is 1 + omega.
    clip: whether the image that each step predicts is clipped to [-1, 1] (diffusers' `clip_sample`, and
    with DDIM its `use_clipped_model_output`). The papers' samplers do not. precision: of the network, whatever it was
    trained in: the papers' samplers do not autocast.
    omega_majority, omega_medium, omega_minority: of the classes of that group, in place of omega. omega_interval:
    omega holds from lo T to hi T, both ends included, and is 0 at other times; t = T is noise, t = 0 the image.
    omega_schedule: how it changes with time, omega_gamma that of "gamma" (see `sampling.guidance`). guide: what is
    guided away from, the network without label, or ("general") without what its method reserves for the minority.
    labels: as many of each class, or ("uniform") a class drawn for each image.
    """

    images: int = field(default=50_000, metadata=within(1, 10**8))
    sampler: str = "ddim"
    steps: int = field(default=50, metadata=within(1, 10**6))
    omega: float = field(default=1.5, metadata=within(-1, 1e3))
    clip: bool = field(default=False, metadata=before(False))
    precision: Literal["fp32", "bf16"] = field(default="fp32", metadata=before("fp32"))
    omega_majority: float | None = field(default=None, metadata=before(None) | within(-1, 1e3))
    omega_medium: float | None = field(default=None, metadata=before(None) | within(-1, 1e3))
    omega_minority: float | None = field(default=None, metadata=before(None) | within(-1, 1e3))
    omega_interval: tuple[float, ...] = field(default=EVERYWHERE, metadata=before(EVERYWHERE))
    omega_schedule: Literal["constant", "linear", "gamma"] = field(default="constant", metadata=before("constant"))
    omega_gamma: float = field(default=GAMMA, metadata=before(GAMMA) | within(1e-6, 1e6))
    guide: Literal["unconditional", "general"] = field(default="unconditional", metadata=before("unconditional"))
    labels: Literal["balanced", "uniform"] = field(default="balanced", metadata=before("balanced"))

    @property
    def omega_by_group(self) -> dict[str, float]:
        """Of the groups that have an omega of their own."""
        named = {"majority": self.omega_majority, "medium": self.omega_medium, "minority": self.omega_minority}
        return {group: omega for group, omega in named.items() if omega is not None}

    @property
    def guidance(self) -> str:
        """In words: `omega 1.5`, `omega 1.5 (minority 2), linear in time, from 0.2 T to 0.8 T`."""
        groups = ", ".join(f"{group} {omega:g}" for group, omega in self.omega_by_group.items())
        schedule = {"linear": "linear in time", "gamma": f"gamma {self.omega_gamma:g}"}.get(self.omega_schedule)
        low_to_high = " to ".join(f"{end:g} T" for end in self.omega_interval)
        parts = [
            f"omega {self.omega:g}" + (f" ({groups})" if groups else ""),
            schedule,
            f"from {low_to_high}" if self.omega_interval != EVERYWHERE else None,
            "away from the network without its reserve" if self.guide == "general" else None,
        ]
        return ", ".join(part for part in parts if part)


@dataclasses.dataclass(frozen=True)
class RunSpec:
    """A training run. `run_id` is its identity, `config_id` that of all its seeds."""

    preset: str = field(metadata=NOT_HASHED)  # a name for values that are all here
    dataset: DatasetSpec
    methods: tuple[MethodSpec, ...]
    net: NetSpec
    train: TrainSpec
    diffusion: DiffusionSpec
    seed: int
    protocol: int = PROTOCOL

    def __post_init__(self) -> None:
        if self.net.groups is None:
            object.__setattr__(self, "net", self.net.resolved)

    @property
    def method(self) -> str:
        return "+".join(m.name for m in self.methods)

    @property
    def label(self) -> str:
        """The configuration as tables call it: `cm`, `cm v2 (cm.w_div=1.0)`."""
        methods = "+".join(m.name if m.version == 1 else f"{m.name} v{m.version}" for m in self.methods)
        changed = [f"{m.name}.{p}={m.params[p]}" for m in self.methods for p in m.changed]
        return f"{methods} ({', '.join(changed)})" if changed else methods

    @functools.cached_property
    def _identity(self) -> dict[str, Any]:
        return dict(identity(self))

    @functools.cached_property
    def run_id(self) -> str:
        return digest(self._identity)

    @functools.cached_property
    def config_id(self) -> str:
        return digest({k: v for k, v in self._identity.items() if k != "seed"})

    @functools.cached_property
    def trajectory_id(self) -> str:
        """Of this training whatever its length: as every draw is a function of seed and step, a run of fewer steps is
        a longer one that has got so far."""
        return digest(identity(dataclasses.replace(self, train=dataclasses.replace(self.train, steps=1))))


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

    @property
    def methods(self) -> tuple[MethodSpec, ...]:
        """None that are known."""
        return ()

    @property
    def label(self) -> str:
        """As tables call it."""
        return self.name

    @functools.cached_property
    def run_id(self) -> str:
        return digest(identity(self))

    @functools.cached_property
    def config_id(self) -> str:
        return digest({k: v for k, v in identity(self).items() if k not in ("images", "sha256")})


Reference = Literal["balanced", "train", "test"]
"""Which real images scores compare with: as many of each class, from those that the training set was cut from; the
long-tailed training images; or the test images."""

DECIMALS = 9
"""That a table shows of a figure, at most."""


@dataclasses.dataclass(frozen=True)
class MetricSpec:
    """A metric: its version, and how tables show it (see `scoring.metric.Metric`)."""

    name: str
    version: int
    better: Literal["lower", "higher"] | None = field(metadata=NOT_HASHED)
    decimals: int = field(metadata=NOT_HASHED)
    columns: tuple[str, ...] = field(metadata=NOT_HASHED)
    of_features: bool = field(metadata=NOT_HASHED)


@dataclasses.dataclass(frozen=True)
class ScoreSpec:
    """How images are scored. Together with their identity this identifies a score.

    reference: which real images those of `reference_sha256` are.
    """

    features: str  # id of the feature extractor
    features_sha256: str  # of its weights
    reference_sha256: str  # of the real images
    groups: Mapping[str, list[int]]
    score_version: int
    # Those from outside the package, by name.
    metrics: tuple[MetricSpec, ...] = field(default=(), kw_only=True, metadata=before(()))
    reference: Reference = field(default="balanced", kw_only=True, metadata=before("balanced"))

    @functools.cached_property
    def eval_id(self) -> str:
        return digest(identity(self))


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
