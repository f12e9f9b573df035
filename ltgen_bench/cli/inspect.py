"""`list`, `show` and `status`."""

from __future__ import annotations

from typing import Annotated

import typer

from ltgen_bench.cli.app import app
from ltgen_bench.cli.options import (
    BOARDS,
    RUNS,
    Boards,
    RunsDir,
)
from ltgen_bench.errors import UsageError, unknown


@app.command(
    "list",
    epilog="Examples:\n\n`ltgen-bench list methods`\n\n`ltgen-bench list protocols`\n\n`ltgen-bench list runs`",
)
def list_(
    what: Annotated[
        str, typer.Argument(help="methods, datasets, presets, protocols, runs; default: all but runs.")
    ] = "all",
    runs: RunsDir = RUNS,
) -> None:
    """List methods, datasets, presets, protocols or runs."""
    from ltgen_bench.cli.show import list_plugins, list_presets, list_protocols, list_runs

    tables = {"methods": list_plugins, "datasets": list_plugins, "presets": list_presets}
    tables |= {"protocols": list_protocols, "runs": list_runs}
    if what not in (*tables, "all"):
        raise unknown("kind", what, tables, "list")
    for name in ("methods", "datasets", "presets", "protocols") if what == "all" else (what,):
        print(name)
        tables[name](name, runs)


@app.command(
    epilog="Examples:\n\n`ltgen-bench show method cm`\n\n`ltgen-bench show protocol cm`\n\n`ltgen-bench show run 3f2a`"
)
def show(
    kind: Annotated[str, typer.Argument(help="method, dataset, preset, protocol or run.")],
    name: Annotated[
        str, typer.Argument(help="Its name; of a run, the start of its id or its folder.", show_default=False)
    ] = "",
    runs: RunsDir = RUNS,
    folder: Boards = BOARDS,
) -> None:
    """Show all about a method, dataset, preset, protocol or run; of a run that is not here, its published results."""
    from ltgen_bench.cli.show import kind_of, show_dataset, show_method, show_preset, show_protocol, show_run

    kinds = {"method": show_method, "dataset": show_dataset, "preset": show_preset, "protocol": show_protocol}
    if kind not in (*kinds, "run"):
        if not name and (right := kind_of(kind, runs, folder)):
            raise UsageError(f"show {kind}: say what it is, ltgen-bench show {right} {kind}")
        raise unknown("kind", kind, [*kinds, "run"], "show")
    if not name:
        raise UsageError(f"show {kind}: which one? Run: ltgen-bench list {kind}s")
    if kind == "run":
        show_run(name, runs, folder)
    else:
        kinds[kind](name)


@app.command(epilog="Examples:\n\n`ltgen-bench status`\n\n`ltgen-bench status --runs /scratch/runs`")
def status(runs: RunsDir = RUNS) -> None:
    """Show the state of every run, also from another terminal while runs are going on."""
    from ltgen_bench.cli.show import list_runs

    list_runs("runs", runs)
