"""What `list`, `show` and `status` print."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

import typer

from ltgen_bench.errors import UsageError, unknown
from ltgen_bench.runs.run_folder import RunFolder
from ltgen_bench.spec.serialise import to_json
from ltgen_bench.spec.specs import RunSpec


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
    from ltgen_bench.spec.presets import PRESETS

    width = max(map(len, PRESETS))
    for name, preset in PRESETS.items():
        print(f"  {name:<{width}}  {preset.summary}")


def list_runs(_: str, runs: Path) -> None:
    from tabulate import tabulate

    from ltgen_bench.leaderboard.rows import row_name
    from ltgen_bench.runs.run_folder import run_folders

    rows, problems = [], []
    for run_folder in run_folders(runs):
        problems += run_folder.results()[1]
        try:
            run = run_folder.spec
        except UsageError as error:
            problems.append(str(error))
            continue
        state = run_folder.state()
        which = f"seed {run.seed}" if isinstance(run, RunSpec) else "made elsewhere"
        rows.append((run_folder.path.name, state, run.dataset.name, row_name(run), which, _doing(run_folder, state)))
    if rows:
        print(tabulate(rows, tablefmt="plain", disable_numparse=True))
        states = [row[1] for row in rows]
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
    return "  ".join([at, *figures_of(progress)]) if state == "running" else at


def show_method(name: str, _: Path) -> None:
    import inspect

    from ltgen_bench import registry

    kind = registry.methods().load(name, f"show method {name}")
    print(f"{name}: {inspect.getdoc(kind)}\n\nfile: {registry.methods().entries()[name].origin}")
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        print(f"--set {name}.{field.name}={field.default}")


def show_dataset(name: str, _: Path) -> None:
    import inspect

    from ltgen_bench import registry

    kind = registry.datasets().load(name, f"show dataset {name}")
    print(f"{name}: {inspect.getdoc(kind)}\n\nfile: {registry.datasets().entries()[name].origin}")
    print(f"preset: {kind.preset}\nimbalance: {kind.imbalance:g}")


def show_preset(name: str, _: Path) -> None:
    from ltgen_bench.spec.presets import PRESETS

    if name not in PRESETS:
        raise unknown("preset", name, PRESETS, "show preset")
    preset = PRESETS[name]
    print(f"{name}: {preset.summary}\nfeatures {preset.features}")
    specs = {"net": preset.net.resolved, "train": preset.train, "diffusion": preset.diffusion, "sample": preset.sample}
    for section, spec in specs.items():
        for key, value in vars(spec).items():
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
            print(f"--set {section}.{key}={shown}")


def show_run(name: str, runs: Path) -> None:
    import json

    from ltgen_bench.leaderboard.text import pull_text, score_text
    from ltgen_bench.planning.reproduce import command_line
    from ltgen_bench.runs.run_folder import find_run

    run_folder = find_run(runs, name)
    run, state = run_folder.spec, run_folder.state()
    print(f"{run_folder.path}\n{' '.join([state, _doing(run_folder, state)]).rstrip()}")
    print(f"log: {run_folder.log}\n" if run_folder.log.exists() else "")
    print(json.dumps(to_json(run), indent=1))
    records, problems = run_folder.results()
    for record in records:
        print("\n".join(filter(None, ["", score_text(record), pull_text(record)])))
        if (extremes := run_folder.extremes(record.eval_id)).exists():
            print(f"worst and best images: {extremes}")
        print(f"file: {run_folder.result(record.eval_id)}")
        print(f"the same again: {shlex.join(command_line(run, record.eval))}")
    complain(problems)
    if problems:
        raise typer.Exit(1)
