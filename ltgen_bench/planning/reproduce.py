"""The command that gives a result again."""

from __future__ import annotations

import dataclasses

from ltgen_bench import registry
from ltgen_bench.spec.presets import PRESETS
from ltgen_bench.spec.specs import EvalSpec, ExternalSpec, RunSpec, SamplingSpec, ScoreSpec


def closest_preset(run: RunSpec, sample: SamplingSpec, *, flip: bool) -> tuple[str, list[str]]:
    """The preset that a run differs least from, and the settings that differ, as `section.name=value`.

    flip: the dataset's own, which is not a difference.
    """
    found = {name: _differences(name, run, sample, flip) for name in PRESETS}
    name = min(found, key=lambda name: len(found[name]))
    return name, found[name]


def _differences(preset_name: str, run: RunSpec, sample: SamplingSpec, flip: bool) -> list[str]:
    preset = PRESETS[preset_name]
    follows = dataclasses.replace(run.net, groups=None)  # the number of groups, where it follows from the channels
    pairs = {
        "net": (follows if follows.resolved == run.net else run.net, preset.net),
        "train": (run.train, preset.train),
        "diffusion": (run.diffusion, preset.diffusion),
        "sample": (sample, preset.sample),
    }
    return [
        f"{section}.{name}={_text(value)}"
        for section, (mine, its) in pairs.items()
        for name, value in vars(mine).items()
        if value != (flip if (section, name) == ("train", "flip") else getattr(its, name))
    ]


def command_line(run: RunSpec | ExternalSpec, scored: ScoreSpec) -> list[str]:
    """The words of the command. Raises UsageError when the dataset is not known here."""
    data = run.dataset
    kind = registry.datasets().load(data.name)
    common = ["--dataset", data.name, *(["--data", "PATH"] if kind.takes_data else [])]  # paths are not part of a run
    common += ["--size", str(data.size), "--imbalance", "none" if data.imbalance is None else str(data.imbalance)]
    common += ["--features", scored.features]
    if isinstance(run, ExternalSpec):
        return ["ltgen-bench", "score", "--samples", "PATH", "--name", run.name, *common]
    assert isinstance(scored, EvalSpec)
    preset, changed = closest_preset(run, scored.sample, flip=kind.flip)
    words = ["ltgen-bench", "run", "--method", run.method, "--seeds", str(run.seed), "--preset", preset, *common]
    changed += [f"{m.name}.{name}={_text(m.params[name])}" for m in run.methods for name in m.changed]
    return words + [word for setting in changed for word in ("--set", setting)]


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
