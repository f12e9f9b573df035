"""`export`, `publish` and `leaderboard`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ltgen_bench.cli.app import app
from ltgen_bench.cli.options import (
    BOARDS,
    RUNS,
    Boards,
    CsvFile,
    NewFolder,
    RunsDir,
)
from ltgen_bench.cli.paths import path_option
from ltgen_bench.cli.results import write_text
from ltgen_bench.errors import UsageError

if TYPE_CHECKING:
    from ltgen_bench.leaderboard.unfinished import Unfinished
    from ltgen_bench.runs.record import Record


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
    """Copy the results of runs to the leaderboards' records; of a run that failed, why."""
    import sys

    from ltgen_bench.leaderboard import folder as boards
    from ltgen_bench.runs.run_folder import find_run
    from ltgen_bench.source_code import doubts
    from ltgen_bench.spec.specs import EvalSpec

    run_folders = [find_run(runs, name) for name in names]
    source = context.get_parameter_source("folder")
    if source is not None and source.name == "DEFAULT" and not folder.is_dir():
        raise UsageError(
            f"there is no {folder} in {Path.cwd()}: publish from the checkout whose leaderboards you add to, "
            f"or name a folder, also a new one: --folder {folder}"
        )
    for path, record, new in boards.publish(run_folders, folder):
        print(f"wrote {path}" if new else f"{path} exists already; left as it is")
        if record is None or not new or not isinstance(record.eval, EvalSpec):
            continue
        run, code = record.run, record.provenance.get("code", {})
        for doubt in doubts((m.name for m in run.methods), run.dataset.name, record.eval.sample.sampler, code):
            print(f"note: {doubt}", file=sys.stderr)


@app.command(
    epilog="""Examples:

`ltgen-bench leaderboard`

`ltgen-bench leaderboard --check`

`ltgen-bench leaderboard --csv all.csv`

`ltgen-bench leaderboard --runs runs`"""
)
def leaderboard(
    check: Annotated[bool, typer.Option("--check", help="Write no page; exit 1 when one is out of date.")] = False,
    csv: CsvFile = None,
    folder: Boards = BOARDS,
    runs: Annotated[
        Path | None,
        path_option(
            "--runs",
            "Instead, show the results of these runs, marked, beside the published ones: in RUNS/leaderboard.",
            holds="folder",
        ),
    ] = None,
) -> None:
    """Rebuild the leaderboard pages from their records, and published.md from published.csv.

    With --runs nothing is published: the pages are in the folder of the runs.
    """
    from ltgen_bench.cli.show import complain
    from ltgen_bench.leaderboard import folder as boards
    from ltgen_bench.leaderboard.frame import figures
    from ltgen_bench.leaderboard.unfinished import published_failures

    records, problems = boards.published(folder)
    failed, damaged = published_failures(folder, {record.run_id for record in records})
    problems += damaged
    if runs is not None:
        if check:
            raise UsageError("--check is of the published pages: leave out --runs")
        _beside(records, failed, problems, runs, csv)
        return
    if not records:
        print(f"no results in {folder / 'results'}")
    reported, bad_lines = boards.reported(folder, records)
    problems += bad_lines
    outdated = False
    for page in [*boards.pages(records, folder, failed), *reported]:
        current = page.current
        outdated |= not current
        if check:
            said = "is up to date" if current else f"is not what {page.source} give; run ltgen-bench leaderboard"
            print(f"{page.path} {said}")
        elif not current:
            page.write()
            print(f"wrote {page.path}")
    if csv is not None:
        write_text(csv, figures(records).to_csv(index=False))
        print(f"wrote {csv}")
    complain(problems)
    if problems or (check and outdated):
        raise typer.Exit(1)


def _beside(
    published: list[Record], failed: list[Unfinished], problems: list[str], runs: Path, csv: Path | None
) -> None:
    """Write the pages of unpublished results beside published ones, and print their tables."""
    from ltgen_bench.cli.show import complain
    from ltgen_bench.leaderboard.beside import beside
    from ltgen_bench.leaderboard.folder import pages_beside
    from ltgen_bench.leaderboard.frame import figures
    from ltgen_bench.leaderboard.text import table_text

    if not runs.is_dir():
        raise UsageError(f"--runs {runs}: no such folder")
    found = beside(published, runs, failed)
    if not found.own and not found.unfinished:
        print(f"nothing in {runs} that is not published")
    if found.own:
        print(table_text(found.records, {run_id for run_id, _ in found.own}, found.own, found.unfinished))
    for page in pages_beside(found, runs):
        page.write()
        print(f"wrote {page.path}")
    if csv is not None:
        write_text(csv, figures(found.records).to_csv(index=False))
        print(f"wrote {csv}")
    complain(problems + found.problems)
    if problems or found.problems:
        raise typer.Exit(1)
