"""`list`, `show` and `status`."""

from __future__ import annotations

from typing import Annotated

import typer

from ltgen_bench.cli.app import app
from ltgen_bench.cli.options import (
    RUNS,
    RunsDir,
)
from ltgen_bench.errors import unknown


@app.command(
    "list",
    epilog="Examples:\n\n`ltgen-bench list methods`\n\n`ltgen-bench list presets`\n\n`ltgen-bench list runs`",
)
def list_(
    what: Annotated[str, typer.Argument(help="methods, datasets, presets or runs; default: all but runs.")] = "all",
    runs: RunsDir = RUNS,
) -> None:
    """List methods, datasets, presets or runs."""
    from ltgen_bench.cli.show import list_plugins, list_presets, list_runs

    tables = {"methods": list_plugins, "datasets": list_plugins, "presets": list_presets, "runs": list_runs}
    if what not in (*tables, "all"):
        raise unknown("kind", what, tables, "list")
    for name in ("methods", "datasets", "presets") if what == "all" else (what,):
        print(name)
        tables[name](name, runs)


@app.command(epilog="Examples:\n\n`ltgen-bench show method cm`\n\n`ltgen-bench show run 3f2a`")
def show(
    kind: Annotated[str, typer.Argument(help="method, dataset, preset or run.")],
    name: Annotated[str, typer.Argument(help="Its name; of a run, the start of its id or its folder.")],
    runs: RunsDir = RUNS,
) -> None:
    """Show all about a method, dataset, preset or run."""
    from ltgen_bench.cli.show import show_dataset, show_method, show_preset, show_run

    kinds = {"method": show_method, "dataset": show_dataset, "preset": show_preset, "run": show_run}
    if kind not in kinds:
        raise unknown("kind", kind, kinds, "show")
    kinds[kind](name, runs)


@app.command(epilog="Examples:\n\n`ltgen-bench status`\n\n`ltgen-bench status --runs /scratch/runs`")
def status(runs: RunsDir = RUNS) -> None:
    """Show the state of every run, also from another terminal while runs are going on."""
    from ltgen_bench.cli.show import list_runs

    list_runs("runs", runs)
