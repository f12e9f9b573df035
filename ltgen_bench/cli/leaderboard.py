"""`leaderboard`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ltgen_bench.cli.app import app
from ltgen_bench.cli.options import BOARDS, Boards, CsvFile
from ltgen_bench.cli.paths import path_option
from ltgen_bench.cli.results import write_text
from ltgen_bench.errors import UsageError

if TYPE_CHECKING:
    from ltgen_bench.leaderboard.beside import Beside
    from ltgen_bench.runs.record import Record

RunsBeside = Annotated[
    Path | None,
    path_option(
        "--runs",
        "Instead, show the results of these runs, marked, beside the published ones: in RUNS/leaderboard.",
        holds="folder",
    ),
]


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
    runs: RunsBeside = None,
) -> None:
    """Rebuild the leaderboard pages and their pictures from the records, and published.md from published.csv.

    With --runs nothing is published: the pages are in the folder of the runs.
    """
    from ltgen_bench.leaderboard import folder as boards
    from ltgen_bench.leaderboard.beside import beside
    from ltgen_bench.leaderboard.unfinished import published_failures

    records, problems = boards.published(folder)
    failed, damaged = published_failures(folder, {record.run_id for record in records})
    problems += damaged
    if runs is not None:
        if check:
            raise UsageError("--check is of the published pages: leave out --runs")
        if not runs.is_dir():
            raise UsageError(f"--runs {runs}: no such folder")
        _beside(beside(records, runs, failed), problems, folder, runs, csv)
        return
    if not records:
        print(f"no results in {folder / 'results'}")
    made, more = boards.all_pages(records, folder, failed)
    problems += more
    outdated = False
    for page in made:
        current = page.current
        outdated |= not current
        if check:
            said = "is up to date" if current else f"is not what {page.source} give; run ltgen-bench leaderboard"
            print(f"{page.path} {said}")
        elif not current:
            page.write()
            print(f"wrote {page.path}")
    for path in boards.left_over(made, folder):
        outdated = True
        if check:
            print(f"{path} belongs to no page; run ltgen-bench leaderboard")
        else:
            path.unlink()
            print(f"removed {path}, which belongs to no page")
    _end(records, csv, problems, failed=check and outdated)


def _beside(found: Beside, problems: list[str], folder: Path, runs: Path, csv: Path | None) -> None:
    """Write the pages of unpublished results beside published ones, and print their tables."""
    from ltgen_bench.leaderboard import folder as boards
    from ltgen_bench.leaderboard.kept import Kept
    from ltgen_bench.leaderboard.text import table_text

    if not found.own and not found.unfinished:
        print(f"nothing in {runs} that is not published")
    if found.own:
        print(table_text(found.records, {run_id for run_id, _ in found.own}, found.own, found.unfinished))
    kept = Kept(folder, runs)
    for page in boards.pages_beside(found, runs, kept):
        if not page.current:
            page.write()
        print(f"wrote {page.path}")
    _end(found.records, csv, problems + found.problems + kept.problems)


def _end(records: list[Record], csv: Path | None, problems: list[str], *, failed: bool = False) -> None:
    from ltgen_bench.cli.show import complain
    from ltgen_bench.leaderboard.frame import figures

    if csv is not None:
        write_text(csv, figures(records).to_csv(index=False))
        print(f"wrote {csv}")
    complain(problems)
    if problems or failed:
        raise typer.Exit(1)
