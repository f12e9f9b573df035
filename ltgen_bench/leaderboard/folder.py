"""A leaderboards folder: the published records, what papers report, and the pages made of both."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ltgen_bench.errors import UsageError
from ltgen_bench.leaderboard.beside import Beside
from ltgen_bench.leaderboard.pages import build
from ltgen_bench.leaderboard.published import read
from ltgen_bench.leaderboard.published_page import published_page
from ltgen_bench.leaderboard.unfinished import Unfinished, publish_failed
from ltgen_bench.runs.record import BadRecord, Record, read_records
from ltgen_bench.runs.run_folder import RunFolder
from ltgen_bench.storage.atomic_files import atomic_write


@dataclass(frozen=True)
class Page:
    """A page: where it belongs, and what is made of its source."""

    path: Path
    text: str
    source: str = "the records"

    @property
    def current(self) -> bool:
        """Whether the file holds that text."""
        return self.path.exists() and self.path.read_bytes() == self.text.encode()

    def write(self) -> None:
        with atomic_write(self.path) as file:
            file.write(self.text.encode())


def pages(records: Iterable[Record], folder: Path, unfinished: Sequence[Unfinished] = ()) -> list[Page]:
    """The pages of all records, one per dataset; nothing is written. unfinished: runs without a result."""
    built = build(records, unfinished=unfinished)
    return [Page(folder / f"{dataset}.md", text) for dataset, text in built.items()]


def pages_beside(found: Beside, runs: Path) -> list[Page]:
    """The pages of datasets that unpublished runs are of, published records beside them: RUNS/leaderboard/NAME.md."""
    records = [record for record in found.records if record.run.dataset.name in found.datasets]
    unfinished = [one for one in found.unfinished if one.run.dataset.name in found.datasets]
    built = build(records, found.own, unfinished)
    return [Page(runs / "leaderboard" / f"{dataset}.md", text) for dataset, text in built.items()]


def reported(folder: Path, records: Iterable[Record]) -> tuple[list[Page], list[str]]:
    """The page of what papers report, with those of the records that may stand beside it, and what is wrong with its
    table; neither when the folder has no such table."""
    table = folder / "published.csv"
    if not table.exists():
        return [], []
    figures, problems = read(table)
    return [] if problems else [
        Page(folder / "published.md", published_page(figures, records), f"the lines of {table}")
    ], problems


def published(folder: Path, dataset: str = "") -> tuple[list[Record], list[str]]:
    """The records of a leaderboards folder, of all datasets or one, and what is wrong with the files left out."""
    return read_records(folder / "results" / dataset, "**/*.json")


def publish(run_folders: Iterable[RunFolder], folder: Path) -> Iterator[tuple[Path, Record | None, bool]]:
    """Copy the results of runs into a leaderboards folder: each file, and whether it is new, as none is overwritten.

    Of a run that failed why it did, in place of a record. Raises UsageError, before anything is written, when a run has
    neither, or a damaged result.
    """
    found: list[Record] = []
    failed: list[RunFolder] = []
    for run_folder in run_folders:
        records, problems = run_folder.results()
        if problems:
            raise UsageError(f"nothing published: {problems[0]}")
        if not records and run_folder.state() != "failed":
            raise UsageError(f"run {run_folder.path.name} has no result yet")
        found += records
        failed += [] if records else [run_folder]
    return _copies(found, failed, folder)


def _copies(
    records: Iterable[Record], failed: Iterable[RunFolder], folder: Path
) -> Iterator[tuple[Path, Record | None, bool]]:
    for run_folder in failed:
        if written := publish_failed(run_folder, folder):
            yield written[0], None, written[1]
    for record in records:
        run = record.run
        path = folder / "results" / run.dataset.name / run.method / f"{record.run_id}-{record.eval_id}.json"
        if new := not path.exists():
            record.write(path)
        yield path, record, new


def find_published(folder: Path, name: str) -> list[tuple[Path, Record]]:
    """The results of the one run whose id starts with `name`, with their files; empty when there is none.

    Raises UsageError when there are several runs, or a file cannot be trusted.
    """
    paths = sorted(folder.glob(f"results/*/*/{glob.escape(name)}*-*.json")) if name else []
    if len(ids := {path.name.partition("-")[0] for path in paths}) > 1:
        raise UsageError(f"{name!r} fits {len(ids)} published runs: {', '.join(sorted(ids)[:5])}; give more of the id")
    try:
        return [(path, Record.read(path)) for path in paths]
    except BadRecord as error:
        raise UsageError(str(error)) from None
