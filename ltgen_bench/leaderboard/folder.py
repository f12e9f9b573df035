"""A leaderboards folder: the published records, what papers report, and the pages made of both."""

from __future__ import annotations

import glob
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ltgen_bench.errors import UsageError
from ltgen_bench.leaderboard.beside import Beside
from ltgen_bench.leaderboard.dataset_page import DatasetPage, dataset_pages
from ltgen_bench.leaderboard.kept import Kept, keep, record_path
from ltgen_bench.leaderboard.pages.index import heading_of, index_text, other_pages
from ltgen_bench.leaderboard.pages.of_dataset import page_text
from ltgen_bench.leaderboard.pages.of_papers import published_page
from ltgen_bench.leaderboard.pages.page_file import PageFile, own_words
from ltgen_bench.leaderboard.pictures.of_page import FOLDER, pictures_of
from ltgen_bench.leaderboard.pictures.picture import PictureFile
from ltgen_bench.leaderboard.published import read
from ltgen_bench.leaderboard.unfinished import Unfinished, publish_failed
from ltgen_bench.runs.record import BadRecord, Record, read_records
from ltgen_bench.runs.run_folder import RunFolder


def _with_pictures(
    found: Sequence[DatasetPage], kept: Kept, folder: Path, others: Mapping[str, str]
) -> list[PageFile | PictureFile]:
    """Pages, their pictures, and the index. others: see `index_text`.

    Words of one's own for a page stand in reading-NAME.md of the folder.
    """
    made: list[PageFile | PictureFile] = []
    first: dict[str, str] = {}
    for page in found:
        pictures = pictures_of(page, kept)
        lines = {title: [picture.line(f"{FOLDER}/") for picture in each] for title, each in pictures.items()}
        made.append(PageFile(folder / f"{page.dataset}.md", page_text(page, lines, own_words(folder, page.dataset))))
        drawn = list(itertools.chain(*pictures.values()))
        made += [PictureFile(folder / FOLDER / f"{picture.name}.png", picture) for picture in drawn]
        if drawn:
            first[page.dataset] = drawn[0].line(f"{FOLDER}/")
    if (text := index_text(folder / "README.md", found, first, others)) is not None:
        made.append(PageFile(folder / "README.md", text))
    return made


def all_pages(
    records: Iterable[Record],
    folder: Path,
    unfinished: Sequence[Unfinished] = (),
    more: Sequence[PageFile | PictureFile] = (),
) -> tuple[list[PageFile | PictureFile], list[str]]:
    """All that is made of a leaderboards folder, and what is wrong with files that are left out.

    unfinished: runs without a result. more: what else is made in the folder, for the index.
    """
    kept = Kept(folder)
    reports, problems = reported(folder, records)
    written = [page for page in (*reports, *more) if isinstance(page, PageFile)]
    others = {page.path.relative_to(folder).as_posix(): heading_of(page.text) for page in written}
    found = dataset_pages(records, unfinished=unfinished)
    made = _with_pictures(found, kept, folder, other_pages(folder) | others)
    return [*reports, *made, *more], kept.problems + problems


def pages_beside(found: Beside, runs: Path, kept: Kept) -> list[PageFile | PictureFile]:
    """The pages of datasets that unpublished runs are of, published records beside them: RUNS/leaderboard/NAME.md."""
    records = [record for record in found.records if record.run.dataset.name in found.datasets]
    unfinished = [one for one in found.unfinished if one.run.dataset.name in found.datasets]
    built = dataset_pages(records, found.own, unfinished)
    return _with_pictures(built, kept, runs / "leaderboard", {})


def reported(folder: Path, records: Iterable[Record]) -> tuple[list[PageFile], list[str]]:
    """The page of what papers report, with those of the records that may stand beside it, and what is wrong with its
    table; neither when the folder has no such table."""
    table = folder / "published.csv"
    if not table.exists():
        return [], []
    figures, problems = read(table)
    return [] if problems else [
        PageFile(folder / "published.md", published_page(figures, records), f"the lines of {table}")
    ], problems


def published(folder: Path, dataset: str = "") -> tuple[list[Record], list[str]]:
    """The records of a leaderboards folder, of all datasets or one, and what is wrong with the files left out."""
    return read_records(folder / "results" / dataset, "**/*.json")


def publish(run_folders: Iterable[RunFolder], folder: Path) -> Iterator[tuple[Path, Record | None, bool]]:
    """Copy the results of runs into a leaderboards folder: each file, and whether it is new, as none is overwritten.

    Beside them a few images and the losses are kept, for pictures. Of a run that failed why it did, in place of a
    record. Raises UsageError, before anything is written, when a run has neither, or a damaged result.
    """
    found: list[tuple[RunFolder, Record]] = []
    failed: list[RunFolder] = []
    for run_folder in run_folders:
        records, problems = run_folder.results()
        if problems:
            raise UsageError(f"nothing published: {problems[0]}")
        if not records and run_folder.state() != "failed":
            raise UsageError(f"run {run_folder.path.name} has no result yet")
        found += [(run_folder, record) for record in records]
        failed += [] if records else [run_folder]
    return _copies(found, failed, folder)


def _copies(
    found: Iterable[tuple[RunFolder, Record]], failed: Iterable[RunFolder], folder: Path
) -> Iterator[tuple[Path, Record | None, bool]]:
    for run_folder in failed:
        if written := publish_failed(run_folder, folder):
            yield written[0], None, written[1]
    for run_folder, record in found:
        path = record_path(folder, record)
        if new := not path.exists():
            record.write(path)
        keep(run_folder, record, folder)
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
