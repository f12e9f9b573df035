"""The command that gives a result again."""

from __future__ import annotations

from ltgen_bench import registry
from ltgen_bench.presets import PRESETS
from ltgen_bench.spec import EvalSpec, RunSpec, SampleSpec


def closest_preset(run: RunSpec, sample: SampleSpec, *, flip: bool) -> tuple[str, list[str]]:
    """The preset that a run differs least from, and the settings that differ, as `section.name=value`.

    flip: the dataset's own, which is not a difference.
    """
    found = {name: _differences(name, run, sample, flip) for name in PRESETS}
    name = min(found, key=lambda name: len(found[name]))
    return name, found[name]


def _differences(preset_name: str, run: RunSpec, sample: SampleSpec, flip: bool) -> list[str]:
    preset = PRESETS[preset_name]
    pairs = {
        "net": (run.net, preset.net),
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


def command_line(run: RunSpec, scored: EvalSpec) -> list[str]:
    """The words of the command. Raises UsageError when the dataset is not known here."""
    data = run.dataset
    kind = registry.datasets().load(data.name)
    preset, changed = closest_preset(run, scored.sample, flip=kind.flip)
    words = ["ltgen-bench", "run", "--method", run.method, "--dataset", data.name, "--seeds", str(run.seed)]
    words += ["--data", "PATH"] if kind.takes_data else []  # paths are not part of a run
    words += ["--preset", preset, "--size", str(data.size), "--features", scored.features]
    words += ["--imbalance", "none" if data.imbalance is None else str(data.imbalance)]
    changed += [f"{m.name}.{name}={_text(m.params[name])}" for m in run.methods for name in m.changed]
    return words + [word for setting in changed for word in ("--set", setting)]


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
