"""The command that gives a result again."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ltgen_bench import registry
from ltgen_bench.runs.record import Record
from ltgen_bench.spec.presets import PRESETS
from ltgen_bench.spec.specs import EvalSpec, ExternalSpec, RunSpec, SamplingSpec, ScoreSpec


def closest_preset(run: RunSpec, sample: SamplingSpec, *, flip: bool | None) -> tuple[str, list[str]]:
    """The preset that a run differs least from, and the settings to give beside it, as `section.name=value`.

    flip: the dataset's own, which is not a difference; None where it is not known.
    """
    found = {name: _differences(name, run, sample, flip) for name in PRESETS}
    name = min(found, key=lambda name: len(found[name]))
    return name, found[name]


def _differences(preset_name: str, run: RunSpec, sample: SamplingSpec, flip: bool | None) -> list[str]:
    preset = PRESETS[preset_name]
    follows = dataclasses.replace(run.net, groups=None)  # the number of groups, where it follows from the channels
    pairs = {
        "net": (follows if follows.resolved == run.net else run.net, preset.net),
        "train": (run.train, preset.train),
        "diffusion": (run.diffusion, preset.diffusion),
        "sample": (sample, preset.sample),
    }
    usual = {(section, name): value for section, (_, its) in pairs.items() for name, value in vars(its).items()}
    if flip is not None:
        usual["train", "flip"] = flip
    if sample.sampler != preset.sample.sampler:
        del usual["sample", "steps"]  # another sampler has other steps, unless they are given
    return [
        f"{section}.{name}={_text(value)}"
        for section, (mine, _) in pairs.items()
        for name, value in vars(mine).items()
        if (section, name) not in usual or value != usual[section, name]
    ]


def command_line(run: RunSpec | ExternalSpec, scored: ScoreSpec) -> list[str]:
    """The words of the command. Raises UsageError when the dataset is not known here."""
    kind, data_name = registry.dataset(run.dataset.name)
    return _words(run, scored, [run.seed], _dataset(kind.name, data_name, takes_data=kind.takes_data), kind.flip)


def command_of_row(records: Sequence[Record]) -> list[str]:
    """The command that gives all seeds of a configuration again, from the records alone: whatever is installed here."""
    run, scored, seeds = records[0].run, records[0].eval, sorted({record.run.seed for record in records})
    name, _, data_name = run.dataset.name.partition("-")
    if name == "imagefolder":
        return _words(run, scored, seeds, _dataset(name, data_name, takes_data=True), None)
    return _words(run, scored, seeds, _dataset(run.dataset.name, None, takes_data=False), None)


def _dataset(name: str, data_name: str | None, *, takes_data: bool) -> list[str]:
    words = ["--dataset", name, *(["--data", "PATH"] if takes_data else [])]  # paths are not part of a run
    return words + (["--data-name", data_name] if data_name else [])


def _words(
    run: RunSpec | ExternalSpec, scored: ScoreSpec, seeds: Sequence[int], dataset: list[str], flip: bool | None
) -> list[str]:
    data = run.dataset
    common = [
        *dataset,
        "--size",
        str(data.size),
        "--imbalance",
        "none" if data.imbalance is None else str(data.imbalance),
    ]
    common += ["--features", scored.features]
    if scored.reference != "balanced":
        common += ["--against", scored.reference]
    if isinstance(run, ExternalSpec):
        return ["ltgen-bench", "score", "--samples", "PATH", "--name", run.name, *common]
    assert isinstance(scored, EvalSpec)
    preset, changed = closest_preset(run, scored.sample, flip=flip)
    words = [
        "ltgen-bench",
        "run",
        "--method",
        run.method,
        "--seeds",
        ",".join(map(str, seeds)),
        "--preset",
        preset,
        *common,
    ]
    changed += [f"{m.name}.{name}={_text(m.params[name])}" for m in run.methods for name in m.changed]
    return words + [word for setting in changed for word in ("--set", setting)]


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
