"""The settings of each kind of probe: all that can change what it finds of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ltgen_bench.spec.serialise import digest, identity
from ltgen_bench.spec.specs import EvalSpec


@dataclass(frozen=True)
class DrawSpec:
    """What the denoising loss is taken on: at most so many images of each class, each with so many noises and times.

    seed: of all of this; not of the run, so that runs of all seeds are measured alike.
    """

    images: int = 50
    draws: int = 8
    seed: int = 0


@dataclass(frozen=True)
class ProbeSpec:
    """kind: as the command line calls it. version: of the probe's code, raised when the same settings would give other
    numbers."""

    kind: ClassVar[str]
    version: int = field(default=1, kw_only=True)

    @property
    def current(self) -> bool:
        """Whether it is of the version of today's code."""
        return self.version == type(self)().version

    @property
    def id(self) -> str:
        return digest({"kind": self.kind} | identity(self))


@dataclass(frozen=True)
class PruningSpec(ProbeSpec):
    """percents: of the weights, the smallest, that are removed; in each layer, or of all layers together.

    eval: how the pruned networks are scored, if they are.
    """

    kind: ClassVar[str] = "pruning"
    version: int = field(default=2, kw_only=True)  # 1: scores were kept without errors and warnings
    percents: tuple[float, ...] = (10.0,)
    per: Literal["layer", "network"] = "layer"
    loss: DrawSpec = DrawSpec()
    eval: EvalSpec | None = None


@dataclass(frozen=True)
class ReserveSpec(ProbeSpec):
    """shares: of the reserve's rank that is kept. random: draws of a reserve of the same spectrum; they, too, follow
    from `loss.seed`. eval: how the networks are scored, if they are."""

    kind: ClassVar[str] = "reserve"
    version: int = field(default=2, kw_only=True)  # 1: as of pruning
    shares: tuple[float, ...] = (0.25, 0.5, 0.75)
    random: int = 3
    loss: DrawSpec = DrawSpec()
    eval: EvalSpec | None = None


@dataclass(frozen=True)
class DominanceSpec(ProbeSpec):
    """images: drawn of each class, each with noise and time, for its mean gradient. singles: of the majority and of the
    minority, whose gradients are looked at one by one, at so many `parameters`."""

    kind: ClassVar[str] = "dominance"
    # 1: the theorem was not compared in units of each parameter's noise; 2: cosines were cut at 1, and had no errors
    version: int = field(default=3, kw_only=True)
    images: int = 512
    singles: int = 512
    parameters: int = 10_000
    seed: int = 0


KINDS: dict[str, type[ProbeSpec]] = {kind.kind: kind for kind in (PruningSpec, ReserveSpec, DominanceSpec)}
