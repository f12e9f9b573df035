"""`export` and `publish`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ltgen_bench.cli.app import app
from ltgen_bench.cli.options import (
    BOARDS,
    RUNS,
    Boards,
    NewFolder,
    RunsDir,
)
from ltgen_bench.errors import UsageError


@app.command(epilog="Example:\n\n`ltgen-bench export 3f2a my-model`")
def export(
    name: Annotated[str, typer.Argument(metavar="RUN", help="A trained run: the start of its id, or its folder.")],
    folder: NewFolder,
    runs: RunsDir = RUNS,
) -> None:
    """Write a trained network as a folder that plain diffusers loads: UNet2DModel.from_pretrained(FOLDER)."""
    from ltgen_bench.runs.export import export as export_
    from ltgen_bench.runs.run_folder import find_run

    export_(find_run(runs, name), folder)
    print(f"wrote {folder}: diffusers.UNet2DModel.from_pretrained({str(folder)!r})")


@app.command(epilog="Example:\n\n`ltgen-bench publish 3f2a 90c1 && ltgen-bench leaderboard`")
def publish(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs: the start of their ids, or folders.")],
    runs: RunsDir = RUNS,
    folder: Boards = BOARDS,
) -> None:
    """Copy the results of runs to the leaderboards' records; of a run that failed, why.

    Beside a record go a few images and the losses of the run, some kB, which the pictures of the pages are made of.
    """
    import sys

    from ltgen_bench.leaderboard import folder as boards
    from ltgen_bench.runs.run_folder import find_run
    from ltgen_bench.scoring.scoring_code import PLUGINS
    from ltgen_bench.source_code import doubts

    run_folders = [find_run(runs, name) for name in names]
    source = context.get_parameter_source("folder")
    if source is not None and source.name == "DEFAULT" and not folder.is_dir():
        raise UsageError(
            f"there is no {folder} in {Path.cwd()}: publish from the checkout whose leaderboards you add to, "
            f"or name a folder, also a new one: --folder {folder}"
        )
    for path, record, new in boards.publish(run_folders, folder):
        print(f"wrote {path}" if new else f"{path} exists already; left as it is")
        code = record.provenance.get("code", {}) if record is not None and new else {}
        for doubt in doubts(code, PLUGINS):
            print(f"note: {doubt}", file=sys.stderr)
