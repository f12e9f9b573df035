"""All that a page of a dataset shows, as data."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from ltgen_bench.leaderboard.board import Board, make_board
from ltgen_bench.leaderboard.rows import Key, ordered
from ltgen_bench.leaderboard.sweeps import Section, sections
from ltgen_bench.leaderboard.tables import tables
from ltgen_bench.leaderboard.unfinished import Unfinished
from ltgen_bench.leaderboard.versions import outdated
from ltgen_bench.runs.record import Record
from ltgen_bench.spec.specs import RunSpec


@dataclass(frozen=True)
class DatasetPage:
    """sections: of the suite's own runs; elsewhere: images made elsewhere; earlier: both, of earlier versions.

    without_result: runs that belong into no table, as nothing of their settings has a result yet.
    """

    dataset: str
    sections: tuple[Section, ...]
    elsewhere: tuple[Board, ...]
    earlier: tuple[Board, ...]
    without_result: tuple[Unfinished, ...] = ()

    @property
    def boards(self) -> list[Board]:
        """Of today's versions and the suite's own runs, in the order of the page."""
        return [board for section in self.sections for board in (section.board, *section.others)]


def dataset_pages(
    records: Iterable[Record], own: Container[Key] = (), unfinished: Sequence[Unfinished] = ()
) -> list[DatasetPage]:
    """Of all records, by dataset; the same records in any order give the same pages.

    own: what is not published, which pages mark. unfinished: runs without a result.
    """
    by_dataset: dict[str, list[Record]] = {one.run.dataset.name: [] for one in unfinished}
    for record in ordered(records):
        by_dataset.setdefault(record.run.dataset.name, []).append(record)
    return [_page(name, found, own, unfinished) for name, found in sorted(by_dataset.items())]


def _page(
    dataset: str, records: Sequence[Record], own: Container[Key], unfinished: Sequence[Unfinished]
) -> DatasetPage:
    def boards(some: Iterable[Record], left: Sequence[Unfinished] = ()) -> list[Board]:
        return [make_board(table, own, left) for table in tables(some)]

    earlier = [record for record in records if outdated(record)]
    today = [record for record in records if not outdated(record)]
    runs = boards(_of_runs(today), unfinished)
    left = (one for one in unfinished if one.run.dataset.name == dataset)
    return DatasetPage(
        dataset,
        tuple(sections(runs)),
        tuple(boards(_of_others(today))),
        tuple(boards(_of_runs(earlier)) + boards(_of_others(earlier))),
        tuple(one for one in left if not any(one.belongs_to(board.records[0].run) for board in runs)),
    )


def _of_runs(records: Iterable[Record]) -> list[Record]:
    return [record for record in records if isinstance(record.run, RunSpec)]


def _of_others(records: Iterable[Record]) -> list[Record]:
    return [record for record in records if not isinstance(record.run, RunSpec)]
