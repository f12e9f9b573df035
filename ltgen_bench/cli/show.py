"""What `list`, `show` and `status` print."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ltgen_bench.errors import UsageError
from ltgen_bench.runs.run_folder import RunFolder
from ltgen_bench.spec.serialise import to_json, typed
from ltgen_bench.spec.specs import RunSpec

if TYPE_CHECKING:
    from ltgen_bench.runs.record import Record


def complain(problems: Iterable[str]) -> None:
    """Say on stderr what is wrong with files that were passed over."""
    for problem in problems:
        print(f"left out: {problem}", file=sys.stderr)


def list_plugins(what: str, _: Path) -> None:
    from ltgen_bench import registry

    entries = (registry.methods() if what == "methods" else registry.datasets()).entries().values()
    width = max(len(entry.name) for entry in entries)
    for entry in entries:
        print(f"  {entry.name:<{width}}  {entry.summary or entry.origin}")


def list_presets(_: str, __: Path) -> None:
    from ltgen_bench.spec.presets import PRESETS, RECIPES

    presets = PRESETS | RECIPES
    width = max(map(len, presets))
    for name, preset in presets.items():
        print(f"  {name:<{width}}  {preset.summary}")


def list_protocols(_: str, __: Path) -> None:
    from ltgen_bench.spec.protocols import PROTOCOLS

    width = max(map(len, PROTOCOLS))
    for name, protocol in PROTOCOLS.items():
        print(f"  {name:<{width}}  {protocol.summary}")


def list_runs(_: str, runs: Path) -> None:
    from tabulate import tabulate

    from ltgen_bench.leaderboard.text import main_score
    from ltgen_bench.runs.run_folder import run_folders

    rows, problems = [], []
    for run_folder in run_folders(runs):
        records, damaged = run_folder.results()
        problems += damaged
        try:
            run = run_folder.spec
        except UsageError as error:
            problems.append(str(error))
            continue
        state = run_folder.state()
        if isinstance(run, RunSpec):
            what, size = (f"seed {run.seed}", run.preset, f"{run.train.steps:,} steps"), run.train.steps
        else:
            what, size = ("made elsewhere", "", f"{run.images:,} images"), run.images
        now = _doing(run_folder, state) or main_score(records)
        order = (run.dataset.name, run.label, run.seed, size)
        rows.append((order, (run_folder.path.name, state, run.dataset.name, run.label, *what, now)))
    if rows:
        print(tabulate([row for _, row in sorted(rows)], tablefmt="plain", disable_numparse=True))
        states = [state for _, (_, state, *_) in rows]
        print(", ".join(f"{states.count(state)} {state}" for state in sorted(set(states))))
    else:
        print(f"no runs in {runs}")
    complain(problems)
    if problems:
        raise typer.Exit(1)


def _doing(run_folder: RunFolder, state: str) -> str:
    """How far a run is, or why it failed."""
    from ltgen_bench.cli.progress import figures_of

    if state == "failed":
        return run_folder.why_failed()
    progress = run_folder.progress()
    if state not in ("running", "stopped") or not progress:
        return ""
    at = f"{progress['stage']} {progress['done']:g}/{progress['total']:g}"
    if job := progress.get("job"):
        at = f"{job}: {at}"
    return "  ".join([at, *figures_of(progress)]) if state == "running" else at


def show_method(name: str) -> None:
    import inspect

    from ltgen_bench import registry

    kind = registry.methods().load(name, f"show method {name}")
    print(f"{name}: {inspect.getdoc(kind)}\n\nfile: {registry.methods().entries()[name].origin}")
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        print(f"--set {name}.{field.name}={typed(field.default)}")


def show_dataset(name: str) -> None:
    import inspect

    from ltgen_bench import registry

    kind = registry.datasets().load(name, f"show dataset {name}")
    print(f"{name}: {inspect.getdoc(kind)}\n\nfile: {registry.datasets().entries()[name].origin}")
    print(f"preset: {kind.preset}\nimbalance: {'none' if kind.imbalance is None else f'{kind.imbalance:g}'}")


def show_preset(name: str) -> None:
    from ltgen_bench.spec.presets import find

    preset = find(name, "show preset")
    print(f"{name}: {preset.summary}\nfeatures {preset.features}")
    specs = {"net": preset.net.resolved, "train": preset.train, "diffusion": preset.diffusion, "sample": preset.sample}
    for section, spec in specs.items():
        for key, value in vars(spec).items():
            print(f"--set {section}.{key}={typed(value)}")


def show_protocol(name: str) -> None:
    """What a protocol says, what its source leaves open, and how to use it."""
    from ltgen_bench.spec.presets import RECIPES
    from ltgen_bench.spec.protocols import find

    protocol = find(name, "show protocol")
    print(f"{name}: {protocol.summary}\nsource: {protocol.source}")
    print(f"evaluation: --protocol {name}\n--features {protocol.features}\n--against {protocol.reference}")
    for key, value in protocol.settings.items():
        if key in ("images", "sampler", "steps", "omega", "labels"):  # the rest is as in the papers' presets
            print(f"--set sample.{key}={value}")
    if protocol.omega == "open":
        print("--omega W, to be given")
    if protocol.train and name in RECIPES:
        train = protocol.train
        print(f"training: --preset {name}, {train.steps:,} steps x {train.batch}, all else as in preset paper")
    for heading, lines in (
        ("its code computes" if protocol.by_code else "its tables hold", protocol.decides),
        ("left open by the source", protocol.open),
        ("done otherwise here", protocol.differs),
    ):
        if lines:
            print("\n".join([f"\n{heading}:", *(f"- {line}" for line in lines)]))


def show_run(name: str, runs: Path, boards: Path) -> None:
    """A run of this machine; else the published results of that id."""
    import json

    from ltgen_bench.leaderboard.folder import find_published
    from ltgen_bench.runs.run_folder import find_run

    try:
        run_folder = find_run(runs, name)
    except UsageError:
        if not (found := find_published(boards, name)):
            raise
        print(f"not in {runs}; published\n\n{json.dumps(to_json(found[0][1].run), indent=1)}")
        for path, record in found:
            _show_record(record, path, [])
        return
    run, state = run_folder.spec, run_folder.state()
    print(f"{run_folder.path}\n{' '.join([state, _doing(run_folder, state)]).rstrip()}")
    print(f"log: {run_folder.log}\n" if run_folder.log.exists() else "")
    print(json.dumps(to_json(run), indent=1))
    records, problems = run_folder.results()
    for record in records:
        pictures = {
            "samples": run_folder.picture(record.eval),
            "worst and best images": run_folder.extremes(record.eval_id),
        }
        _show_record(
            record,
            run_folder.result(record.eval_id),
            [f"{what}: {path}" for what, path in pictures.items() if path.exists()],
        )
    complain(problems)
    if problems:
        raise typer.Exit(1)


def _show_record(record: Record, path: Path, pictures: list[str]) -> None:
    from ltgen_bench.leaderboard.text import pull_text, score_text
    from ltgen_bench.leaderboard.versions import outdated
    from ltgen_bench.runs.reproduce import command_line, command_of_row

    print("\n".join(filter(None, ["", score_text(record), pull_text(record), *pictures])))
    print(f"file: {path}")
    if old := outdated(record):
        print(f"of {' and '.join(old)}: no command of today's suite gives it again")
    else:
        try:
            words = command_line(record.run, record.eval)
        except UsageError:  # its dataset is not known here
            words = command_of_row([record])
        print(f"the same again: {shlex.join(words)}")


def kind_of(name: str, runs: Path, boards: Path) -> str | None:
    """What a name is the name of: a method (or several combined), dataset, preset, protocol or run."""
    from ltgen_bench import registry
    from ltgen_bench.leaderboard.folder import find_published
    from ltgen_bench.runs.run_folder import find_run
    from ltgen_bench.spec.presets import PRESETS
    from ltgen_bench.spec.protocols import PROTOCOLS

    for kind, known in (
        ("method", registry.methods().entries()),
        ("dataset", registry.datasets().entries()),
        ("preset", PRESETS),
        ("protocol", PROTOCOLS),
    ):
        if set(name.split("+")) <= known.keys():
            return kind
    try:
        find_run(runs, name)
    except UsageError:
        return "run" if find_published(boards, name) else None
    return "run"
