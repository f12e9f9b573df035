"""`leaderboard`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ltgen_bench.cli.app import app
from ltgen_bench.cli.options import BOARDS, Boards, CsvFile
from ltgen_bench.cli.page_files import write_or_check
from ltgen_bench.cli.paths import path_option
from ltgen_bench.errors import UsageError, unknown

if TYPE_CHECKING:
    from ltgen_bench.leaderboard.beside import Beside
    from ltgen_bench.leaderboard.unfinished import Unfinished
    from ltgen_bench.runs.record import Record

RunsBeside = Annotated[
    Path | None,
    path_option(
        "--runs",
        "Instead, show the results of these runs, marked, beside the published ones: in RUNS/leaderboard.",
        holds="folder",
    ),
]


Format = Annotated[
    str | None,
    typer.Option(
        metavar="csv|json|latex|html",
        help="Print instead: every figure (csv, json), tables for a paper (latex), a page that sorts (html).",
    ),
]


OutputFile = Annotated[
    Path | None,
    path_option("--output", "File for --format, in place of the terminal.", holds="file", metavar="FILE"),
]


@app.command(
    epilog="""Examples:

`ltgen-bench leaderboard`

`ltgen-bench leaderboard --check`

`ltgen-bench leaderboard --csv all.csv`

`ltgen-bench leaderboard --runs runs`

`ltgen-bench leaderboard --format html --output leaderboards.html`"""
)
def leaderboard(
    check: Annotated[bool, typer.Option("--check", help="Write no page; exit 1 when one is out of date.")] = False,
    csv: CsvFile = None,
    folder: Boards = BOARDS,
    runs: RunsBeside = None,
    format: Format = None,
    output: OutputFile = None,
) -> None:
    """Rebuild the leaderboard pages, pictures and index from the records, published.md from published.csv, and the page
    of claims from its probes.

    With --runs nothing is published: the pages are in the folder of the runs. With --format there are no pages: their
    content is printed, or written to a file.
    """
    from ltgen_bench.cli.show import complain
    from ltgen_bench.leaderboard import folder as boards
    from ltgen_bench.leaderboard.beside import beside
    from ltgen_bench.leaderboard.unfinished import published_failures

    if check and (runs or format):
        raise UsageError(f"--check is of the published pages: leave out {'--runs' if runs else '--format'}")
    if runs is not None and not runs.is_dir():
        raise UsageError(f"--runs {runs}: no such folder")
    _check_format(format, output, csv)
    records, problems = boards.published(folder)
    failed, damaged = published_failures(folder, {record.run_id for record in records})
    problems += damaged
    found = beside(records, runs, failed) if runs is not None else None
    if format is not None:
        if not (found.records if found else records):
            complain(problems + (found.problems if found else []))
            beside_them = f" and {runs}" if runs else ""
            raise UsageError(f"no results in {folder / 'results'}{beside_them}: nothing to give as {format}")
        _give(format, output, found or (records, failed))
        _end(problems + (found.problems if found else []))
    elif found is not None and runs is not None:
        _beside(found, problems, folder, runs, csv)
    else:
        _published(records, failed, problems, folder, csv, check=check)


def _published(
    records: list[Record],
    failed: list[Unfinished],
    problems: list[str],
    folder: Path,
    csv: Path | None,
    *,
    check: bool,
) -> None:
    """Write the pages, or say which are not what the records give."""
    from ltgen_bench.leaderboard import folder as boards
    from ltgen_bench.leaderboard.pictures.of_page import FOLDER
    from ltgen_bench.leaderboard.pictures.picture import left_over
    from ltgen_bench.probes import claims_page, claims_records

    if not records:
        print(f"no results in {folder / 'results'}")
    claims = folder / claims_records.FOLDER
    of_claims = claims_page.pages(claims) if claims_page.has_content(claims) else []
    for line in claims_records.left_out(claims):
        print(line)
    made, more = boards.all_pages(records, folder, failed, of_claims)
    left = [*left_over(made, folder / FOLDER), *claims_page.left_over(of_claims, claims)]
    outdated = write_or_check(made, left, check=check)
    _write_csv(records, csv)
    _end(problems + more, failed=check and outdated)


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
    _write_csv(found.records, csv)
    _end(problems + found.problems + kept.problems)


def _check_format(format: str | None, output: Path | None, csv: Path | None) -> None:
    """Raises UsageError for what does not go together, before any work."""
    from ltgen_bench.leaderboard.exports.formats import FORMATS

    if format is None and output is not None:
        raise UsageError(f"--output {output}: say in which format, with --format {', '.join(FORMATS)}")
    if format is not None and format not in FORMATS:
        raise unknown("format", format, FORMATS, "--format")
    if format is not None and csv is not None:
        raise UsageError("--csv comes with the pages, which --format does not make: --format csv --output FILE")


def _give(format: str, output: Path | None, found: Beside | tuple[list[Record], list[Unfinished]]) -> None:
    """Print or write what the records, and runs without a result, show in this format."""
    from ltgen_bench.leaderboard.exports.formats import export
    from ltgen_bench.storage.atomic_files import write_text

    if isinstance(found, tuple):
        text = export(format, found[0], unfinished=found[1])
    else:
        text = export(format, found.records, found.own, found.unfinished)
    if output is None:
        print(text, end="")
    else:
        write_text(output, text)
        print(f"wrote {output}")


def _write_csv(records: list[Record], csv: Path | None) -> None:
    from ltgen_bench.leaderboard.frame import figures
    from ltgen_bench.storage.atomic_files import write_text

    if csv is not None:
        write_text(csv, figures(records).to_csv(index=False))
        print(f"wrote {csv}")


def _end(problems: list[str], *, failed: bool = False) -> None:
    from ltgen_bench.cli.show import complain

    complain(problems)
    if problems or failed:
        raise typer.Exit(1)
