"""What identifies a run and a score: every default spelled out, hashed.

In the hashes: all that can change a number. Not in them, but recorded beside the result: paths, device, number of
processes, torch.compile, library versions, how often checkpoints are written.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from ltgen_bench.data.dataset import DatasetSpec
from ltgen_bench.errors import UsageError, unknown

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
class SampleSpec:
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
class SamplesSpec:
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
class ScoreSpec:
    """How images are scored. Together with their identity this identifies a score."""

    features: str  # id of the feature extractor
    features_sha256: str  # of its weights
    reference_sha256: str  # of the real images
    groups: Mapping[str, list[int]]
    score_version: int

    @functools.cached_property
    def eval_id(self) -> str:
        return digest(to_json(canonical(self)))


@dataclasses.dataclass(frozen=True)
class EvalSpec(ScoreSpec):
    """How a run is scored: its images are part of it, as they are made for the purpose."""

    sample: SampleSpec


Spec = TypeVar("Spec")


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def to_json(spec: Any) -> dict[str, Any]:
    """A spec as plain JSON values (tuples as lists)."""
    value: dict[str, Any] = _plain(spec)
    return value


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def canonical(spec: Spec) -> Spec:
    """The spec with every value of its field's type, so that equal settings hash equally: 2 for a float is 2.0."""
    return from_json(type(spec), to_json(spec), type(spec).__name__)


def digest(value: Any) -> str:
    """The first 12 hex digits of the SHA-256 of the canonical JSON (sorted keys, no spaces, no NaN)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def from_json(kind: type[Spec], value: Any, where: str = "spec") -> Spec:
    """Read a spec back. Raises UsageError for missing or unknown fields and wrong types."""
    if not isinstance(value, Mapping):
        raise UsageError(f"{where} must be an object of {kind.__name__}'s fields, not {value!r}")
    hints = _hints(typing.cast(Any, kind))
    names = [f.name for f in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for name in value:
        if name not in names:
            raise unknown("field", name, names, where)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and field.name not in value:
            raise UsageError(f"{where} lacks the field {field.name!r}")
    return kind(**{name: coerce(v, hints[name], f"{where}.{name}") for name, v in value.items()})


def override(spec: Spec, changes: Mapping[str, str], where: str) -> Spec:
    """A spec with some fields replaced by values typed on the command line.

    Raises UsageError for an unknown field, with the near miss, and for a value of the wrong type.
    """
    hints = _hints(typing.cast(Any, type(spec)))
    names = [f.name for f in dataclasses.fields(spec)]  # type: ignore[arg-type]
    for name in changes:
        if name not in names:
            raise unknown("setting", f"{where}.{name}", [f"{where}.{n}" for n in names], "--set")
    values = {name: coerce(v, hints[name], f"--set {where}.{name}") for name, v in changes.items()}
    return dataclasses.replace(spec, **values)  # type: ignore[type-var]


def coerce(value: Any, kind: Any, where: str) -> Any:
    """`value` as a `kind`: from JSON, or from text typed on the command line. Raises UsageError."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        if value in args:
            return value
        raise unknown("value", str(value), [str(a) for a in args], where)
    if origin in (typing.Union, types.UnionType):
        if type(None) in args and value in (None, "none"):
            return None
        kinds = [a for a in args if a is not type(None)]
        for candidate in kinds[:-1]:
            with contextlib.suppress(UsageError):
                return coerce(value, candidate, where)
        return coerce(value, kinds[-1], where)
    if origin is tuple:
        items = value.split(",") if isinstance(value, str) else value
        if isinstance(items, list | tuple):
            return tuple(coerce(item, args[0], where) for item in items)
    elif isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return value if isinstance(value, kind) else from_json(kind, value, where)
    elif kind is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in words:
            return words[value.lower()]
    elif kind in (int, float) and (number := _number(value, kind)) is not None:
        return number
    elif kind is Any or (kind is str and isinstance(value, str)):
        return value
    elif isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(value, Mapping):
        return dict(value)
    raise UsageError(f"{where} must be {_words(kind)}, not {value!r}")


def _number(value: Any, kind: type[int] | type[float]) -> int | float | None:
    """`value` as a finite int or float; None when it is not one."""
    if isinstance(value, bool):
        return None
    try:
        number = kind(value.replace("_", "") if isinstance(value, str) else value)
        exact = isinstance(value, str) or number == value
        return number + 0 if exact and math.isfinite(number) else None  # + 0: -0.0 is 0.0
    except (TypeError, ValueError, OverflowError):
        return None


def _words(kind: Any) -> str:
    if typing.get_origin(kind) is tuple:
        return f"a comma-separated list of {_words(typing.get_args(kind)[0]).removeprefix('a ')}s"
    return {int: "a whole number", float: "a number", bool: "true or false", str: "text"}.get(kind, str(kind))
