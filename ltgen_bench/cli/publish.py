"""`export`, `publish` and `leaderboard`."""

from __future__ import annotations

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
from ltgen_bench.cli.results import write_text
from ltgen_bench.errors import UsageError

if TYPE_CHECKING:
    from ltgen_bench.runs.record import Record


@app.command(epilog="Example:\n\n`ltgen-bench export 3f2a my-model`")
def export(
    name: Annotated[str, typer.Argument(metavar="RUN", help="A trained run: the start of its id, or its folder.")],
    folder: NewFolder,
    runs: RunsDir = RUNS,
) -> None:
    """Write a trained network as a folder that plain diffusers loads: UNet2DModel.from_pretrained(FOLDER)."""
    import shutil

    from ltgen_bench.runs.run_folder import find_run

    found = find_run(runs, name)
    if not found.model.exists():
        raise UsageError(f"{found.path.name} has no trained network")
    if folder.exists():
        raise UsageError(f"{folder} exists already; name a new folder")
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of an export that was interrupted
    shutil.copytree(found.model, part)
    part.replace(folder)
    print(f"wrote {folder}: diffusers.UNet2DModel.from_pretrained({str(folder)!r})")


@app.command(epilog="Example:\n\n`ltgen-bench publish 3f2a 90c1 && ltgen-bench leaderboard`")
def publish(
    names: Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs: the start of their ids, or folders.")],
    runs: RunsDir = RUNS,
    folder: Boards = BOARDS,
) -> None:
    """Copy the results of runs to the leaderboards' records."""
    from ltgen_bench.runs.run_folder import find_run

    found: list[Record] = []
    for run_folder in [find_run(runs, name) for name in names]:
        records, problems = run_folder.results()
        if problems:
            raise UsageError(f"nothing published: {problems[0]}")
        if not records:
            raise UsageError(f"run {run_folder.path.name} has no result yet")
        found += records
    for record in found:
        run = record.run
        target = folder / "results" / run.dataset.name / run.method / f"{record.run_id}-{record.eval_id}.json"
        if target.exists():
            print(f"{target} exists already; left as it is")
            continue
        record.write(target)
        print(f"wrote {target}")


@app.command(
    epilog="""Examples:

`ltgen-bench leaderboard`

`ltgen-bench leaderboard --check`

`ltgen-bench leaderboard --csv all.csv`"""
)
def leaderboard(
    check: Annotated[bool, typer.Option("--check", help="Write no page; exit 1 when one is out of date.")] = False,
    csv: CsvFile = None,
    folder: Boards = BOARDS,
) -> None:
    """Rebuild the leaderboard pages from their records."""
    from ltgen_bench.cli.show import complain
    from ltgen_bench.leaderboard.pages import build, figures
    from ltgen_bench.runs.record import read_records

    records, problems = read_records(folder / "results", "**/*.json")
    if not records:
        print(f"no results in {folder / 'results'}")
    outdated = False
    for dataset, text in build(records).items():
        path = folder / f"{dataset}.md"
        same = path.exists() and path.read_bytes() == text.encode()
        outdated |= not same
        if check:
            print(f"{path} {'is up to date' if same else 'is not what the records give; run ltgen-bench leaderboard'}")
        elif not same:
            write_text(path, text)
            print(f"wrote {path}")
    if csv is not None:
        write_text(csv, figures(records).to_csv(index=False))
        print(f"wrote {csv}")
    complain(problems)
    if problems or (check and outdated):
        raise typer.Exit(1)
