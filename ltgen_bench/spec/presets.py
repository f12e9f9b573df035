"""Named sizes of the whole job. Every value can be overridden with --set."""

from __future__ import annotations

from dataclasses import dataclass, field

from ltgen_bench.errors import UsageError, unknown
from ltgen_bench.spec.protocols import PROTOCOLS
from ltgen_bench.spec.specs import (
    DiffusionSpec,
    NetSpec,
    SamplingSpec,
    TrainSpec,
)


@dataclass(frozen=True)
class Preset:
    summary: str
    features: str
    max_size: int | None = None  # larger images are reduced to this size
    net: NetSpec = field(default_factory=NetSpec)
    train: TrainSpec = field(default_factory=TrainSpec)
    diffusion: DiffusionSpec = field(default_factory=DiffusionSpec)
    sample: SamplingSpec = field(default_factory=SamplingSpec)


# smoke, study and mini were chosen by measurement: ci/bench/README.md, "Small presets".
PRESETS = {
    "smoke": Preset(
        "a first look, minutes on two CPU cores; shows that everything works, not which method does",
        features="efflite0@96",
        max_size=16,
        net=NetSpec(channels=(32, 32), layers=1),
        train=TrainSpec(steps=1_000, batch=32, lr=2e-3, warmup=50, ema=0.99, precision="fp32"),
        sample=SamplingSpec(images=500, steps=20, clip=True),
    ),
    "study": Preset(
        "what leaderboards/ hold of small networks: minutes a run on one CPU core; images of at most 16 pixels",
        features="efflite0@96",
        max_size=16,
        net=NetSpec(channels=(32, 32), layers=1),
        train=TrainSpec(steps=1_500, batch=64, lr=2e-3, warmup=200, ema=0.995, precision="fp32"),
        sample=SamplingSpec(images=2_000, steps=20, omega=0.5, clip=True),
    ),
    "mini": Preset(
        "a small comparison, tens of minutes on two CPU cores; images of at most 16 pixels",
        features="efflite0@96",
        max_size=16,
        net=NetSpec(channels=(32, 64), layers=1),
        train=TrainSpec(steps=3_000, batch=64, lr=1e-3, warmup=200, ema=0.995, precision="fp32"),
        sample=SamplingSpec(images=2_000, omega=0.5, clip=True),
    ),
    "60k": Preset(
        "the papers' network for 60k steps x 64 and 10k images: a GPU for some hours",
        features="inception",
        train=TrainSpec(steps=60_000),
        sample=SamplingSpec(images=10_000),
    ),
    "paper": Preset(
        "the papers' recipe: 300k steps x 64, EMA 0.9999, DDIM-50, omega 1.5, 50k images",
        features="inception",
    ),
}


RECIPES = {
    protocol.name: Preset(
        f"the training and evaluation of protocol {protocol.name}: {protocol.train.steps:,} steps x "
        f"{protocol.train.batch}",
        features=protocol.features,
        train=protocol.train,
        sample=protocol.sample,
    )
    for protocol in PROTOCOLS.values()
    if protocol.train
}
"""Presets of the papers' protocols, by their names, where the source states the training."""


def find(name: str, where: str = "--preset") -> Preset:
    """The preset, or the recipe of a protocol, of that name. Raises UsageError with the near miss."""
    known = PRESETS | RECIPES
    if name in PROTOCOLS and name not in known:
        raise UsageError(
            f"{where} {name}: the source of protocol {name} does not state all of its training (ltgen-bench show "
            f"protocol {name}); name another preset beside --protocol {name}"
        )
    if name not in known:
        raise unknown("preset", name, known, where)
    return known[name]


SECTIONS = ("net", "train", "diffusion", "sample")
