"""By which protocol a paper's figure was made, and whether a result of this suite was made in the same way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ltgen_bench.leaderboard.published import NATURAL, NOT_STATED, Figure
from ltgen_bench.leaderboard.rows import run_of
from ltgen_bench.leaderboard.versions import outdated
from ltgen_bench.runs.record import Record
from ltgen_bench.spec.protocols import PROTOCOLS, Protocol
from ltgen_bench.spec.specs import DatasetSpec, DiffusionSpec, EvalSpec, NetSpec, RunSpec, SamplingSpec, TrainSpec

COMPARED = ("steps", "batch", "sampler", "omega", "images", "labels", "features", "reference")
"""What of `published.ITEMS` has to be the same; one seed or several may be."""
SIZE = 32
"""Pixels of the images of all papers on the data sets that the suite has."""

_LABELS = {
    "balanced": ("as many of each class",),
    "uniform": ("drawn independently, uniform", "uniform"),
}
_FEATURES = {
    "inception": ("2015 Inception, clean resize (bicubic, antialiased)",),
    "inception-legacy": (
        "2015 Inception, bilinear resize inside the network (legacy)",
        "2015 Inception, bilinear resize inside the network (legacy), from 8-bit files",
        "2015 Inception, legacy resize",
    ),
}
_REFERENCES = {
    "balanced": ("balanced training set", "balanced training set, 50,000", "balanced"),
    "train": ("long-tailed training set",),
    "test": ("test set",),
}
_SAMPLERS = {"ddim": "DDIM", "ddpm": "ancestral"}
_READ_IN = re.compile(r" \((README|code|default of the code)\)$")
_PER_CLASS = re.compile(r"[\d,]+ of each class")
_ENOUGH = len(COMPARED) // 2
"""Items that a figure has to share with a protocol before it is described by it."""

Texts = Mapping[str, tuple[str, ...]]
"""Of each of COMPARED, what published.csv may call it, the plainest first."""


@dataclass(frozen=True)
class Made:
    """How a figure was made, beside a protocol. other: what it says otherwise, by item; silent: items that its source
    does not state."""

    protocol: Protocol
    other: Mapping[str, str]
    silent: tuple[str, ...]

    @property
    def text(self) -> str:
        """`cm`; or "`coral`, omega 1.6, but steps 200,000; not stated: features"."""
        varies = ["omega"] if self.protocol.omega != "fixed" else []
        own = [f"{item} {self.other[item]}" for item in varies if item in self.other]
        other = [f"{item} {text}" for item, text in self.other.items() if item not in varies]
        said = ", ".join([f"`{self.protocol.name}`", *own, *(["but " + ", ".join(other)] if other else [])])
        return f"{said}; not stated: {', '.join(self.silent)}" if self.silent else said


def texts_of_protocol(protocol: Protocol) -> Texts:
    """What figures made by it would say; nothing of an omega that is not one for all, or a training not stated."""
    texts = dict(_evaluation(protocol.sample, protocol.features, protocol.reference))
    if protocol.omega != "fixed":
        del texts["omega"]
    return {**(_training(protocol.train) if protocol.train else {}), **texts}


def texts_of_result(run: RunSpec, scored: EvalSpec) -> Texts:
    """What published.csv would say of a result of this suite."""
    return {**_training(run.train), **_evaluation(scored.sample, scored.features, scored.reference)}


def made(figure: Figure) -> Made | None:
    """How it was made, beside its own paper's protocol or else the one that differs least; None where it shares less
    than half of what is compared."""
    own = PROTOCOLS.get(figure.origin["paper"].lower())
    candidates = [_beside(figure, protocol) for protocol in ([own] if own else PROTOCOLS.values())]
    known = [found for found in candidates if len(COMPARED) - len(found.silent) - len(found.other) >= _ENOUGH]
    return min(known, key=lambda found: len(found.other), default=None)


def differences(figure: Figure, record: Record) -> list[str]:
    """In what a result of this suite was made otherwise than a paper's figure of the FID over all classes, as far as
    the source says, or may have been, where it says nothing; empty where the two may stand beside each other."""
    run, scored = run_of(record)
    data, texts = run.dataset, texts_of_result(run, scored)
    found = [f"earlier {version}" for version in outdated(record)]
    if (figure.dataset, figure.ratio, SIZE) != (data.name, ratio_of(data), data.size):
        found.append(f"data {data.name} at {data.size} pixels, ratio {ratio_of(data)}")
    if figure.method != run.label:
        found.append(f"method {run.label}")
    if (run.net, run.diffusion) != (NetSpec().resolved, DiffusionSpec()):
        found.append("another network or noise schedule than the papers'")
    recipe = TrainSpec(run.train.steps, run.train.batch, flip=run.train.flip, precision=run.train.precision)
    if run.train != recipe:
        found.append("another training recipe than the papers'")
    for item in COMPARED:
        said = _plain(figure.items[item])
        if said not in texts[item]:
            found.append(f"{item} not stated" if _silent(said) else f"{item} {texts[item][0]}, not {said}")
    return found


def _beside(figure: Figure, protocol: Protocol) -> Made:
    texts, other, silent = texts_of_protocol(protocol), {}, []
    for item in COMPARED:
        said = _plain(figure.items[item])
        if said == NOT_STATED or (item != "omega" and _silent(said)):
            silent.append(item)
        elif said not in texts.get(item, ()):
            other[item] = said
    return Made(protocol, other, tuple(silent))


def _training(train: TrainSpec) -> dict[str, tuple[str, ...]]:
    steps = f"{train.steps:,}"
    named = (steps, f"{steps} in bf16") if train.precision == "bf16" else (steps,)
    return {"steps": named, "batch": (f"{train.batch:,}",)}


def _evaluation(sample: SamplingSpec, features: str, reference: str) -> dict[str, tuple[str, ...]]:
    """What differs from any paper's way, such as clipping, is said in words that no figure's protocol has."""
    sampler = f"{_SAMPLERS.get(sample.sampler, sample.sampler)}, {sample.steps:,} steps"
    omega = sample.guidance.removeprefix("omega ")
    return {
        "sampler": (sampler + ", clipped" * sample.clip + f", {sample.precision}" * (sample.precision != "fp32"),),
        "omega": (omega, f"{sample.omega:.1f}") if omega == f"{sample.omega:g}" else (omega,),
        "images": (f"{sample.images:,}",),
        "labels": _LABELS[sample.labels],
        "features": _FEATURES.get(features, (features,)),
        "reference": _REFERENCES[reference],
    }


def _plain(text: str) -> str:
    """Without where it was read, and how many "as many of each class" are."""
    said = _READ_IN.sub("", text)
    return _LABELS["balanced"][0] if _PER_CLASS.fullmatch(said) else said


def _silent(said: str) -> bool:
    return said.endswith(NOT_STATED)


def ratio_of(data: DatasetSpec) -> str:
    """As published.csv has it."""
    return NATURAL if data.imbalance is None else f"{data.imbalance:g}"
