"""Leaderboards: markdown as a pure function of result records. Unlike results never share a table."""

from __future__ import annotations

import shlex
from collections.abc import Container, Iterable, Mapping, Sequence
from types import MappingProxyType

from ltgen_bench.leaderboard import versions
from ltgen_bench.leaderboard.board import ACCURACY, RECALL, Board
from ltgen_bench.leaderboard.captions import caption, given_caption, ranking_line
from ltgen_bench.leaderboard.cells import OWN, missing_notes
from ltgen_bench.leaderboard.dataset_page import DatasetPage, dataset_pages
from ltgen_bench.leaderboard.notes import notes_below
from ltgen_bench.leaderboard.pages.differences import differences
from ltgen_bench.leaderboard.pages.first_table import first_table
from ltgen_bench.leaderboard.pages.markdown import folded, table
from ltgen_bench.leaderboard.pages.reading import how_to_read
from ltgen_bench.leaderboard.pages.sweep_tables import omega_tables, steps_tables
from ltgen_bench.leaderboard.pages.wide_tables import wide_tables
from ltgen_bench.leaderboard.rows import Key, Row, is_newest, newest_versions
from ltgen_bench.leaderboard.sweeps import Section
from ltgen_bench.leaderboard.unfinished import Unfinished
from ltgen_bench.runs.record import Record
from ltgen_bench.runs.reproduce import command_of_row


def build(records: Iterable[Record], own: Container[Key] = (), unfinished: Sequence[Unfinished] = ()) -> dict[str, str]:
    """{dataset: markdown page} of all records; the same records give the same text. Arguments: see `dataset_pages`."""
    return {page.dataset: page_text(page) for page in dataset_pages(records, own, unfinished)}


def page_text(
    page: DatasetPage, pictures: Mapping[str, Sequence[str]] = MappingProxyType({}), own_words: str = ""
) -> str:
    """In markdown. pictures: lines that show them, by the title of the board that they belong to. own_words: what
    somebody makes of the results, if anybody does."""
    parts = [f"# {page.dataset}", *([own_words] if own_words else []), how_to_read()]
    if len(page.sections) > 1:
        parts.append("Results that differ in data, training or evaluation are in tables of their own.")
    for section in page.sections:
        parts += _section(section, pictures.get(section.board.title, ()))
    if page.without_result:
        parts += ["## Runs without a result", "\n".join(map(_left, page.without_result))]
    if page.elsewhere:
        parts += ["## Images made elsewhere", _GIVEN_NOTE]
    for board in page.elsewhere:
        parts += _given(board)
    if page.earlier:
        records = [record for board in page.earlier for record in board.records]
        parts += ["## Results of earlier versions", _EARLIER_NOTE, _reasons(records)]
    for board in page.earlier:
        parts += _board(board, "###") if board.of_runs else _given(board)
    return "\n\n".join(parts) + "\n"


_EARLIER_NOTE = "Made by versions of the suite that gave other numbers: not comparable with any other table."
_GIVEN_NOTE = (
    "How these images were made, and from which training data, is not known to the suite: not comparable with the "
    "tables of its own runs."
)


def _section(section: Section, pictures: Sequence[str]) -> list[str]:
    parts = _board(section.board, "##", pictures=pictures)
    if section.omega:
        parts += omega_tables(section.omega, "###")
    if section.steps:
        parts += steps_tables(section.steps, "###")
    for board in section.others:
        parts.append(folded(board.title, *_board(board, "###", deep=False)))
    return parts


def _board(board: Board, heading: str, *, deep: bool = True, pictures: Sequence[str] = ()) -> list[str]:
    """deep: with differences, every metric and each class."""
    parts = [f"{heading} {board.title}"] if deep else []
    parts.append(f"{caption(board.records)}\n{ranking_line(board.records[0], board.distance)}")
    if board.rows:
        parts.append(first_table(board, board.rows, board.lost(plain=True)))
    if board.apart or board.lost(plain=False):
        apart = first_table(board, board.apart, board.lost(plain=False))
        parts += [f"{heading}# Other hyper-parameters and earlier versions", apart]
    parts.append("\n".join([*notes_below(board.all_rows, [*board.distances, RECALL, ACCURACY]), *_notes(board)]))
    parts += pictures
    if deep:
        parts += [*differences(board, f"{heading}#"), *wide_tables(board)]
    return parts + _commands(board.all_rows, newest_versions(board.records))


def _reasons(records: Iterable[Record]) -> str:
    """A table of what is other in these results, a line per version."""
    texts = {f"protocol {n}": text for n, text in versions.PROTOCOLS.items()}
    texts |= {f"score version {n}": text for n, text in versions.SCORES.items()}
    found = {version for record in records for version in versions.outdated(record)}
    lines = [(version, text) for version, text in texts.items() if version in found]
    return table(("version", "why its results stand apart"), lines)


def _given(board: Board) -> list[str]:
    parts = [f"### {board.title}", f"{given_caption(board.records)}\n{ranking_line(board.records[0], board.distance)}"]
    notes = notes_below(board.rows, [*board.distances, RECALL, ACCURACY])
    return [*parts, first_table(board, board.rows), "\n".join(notes), *wide_tables(board), *_commands(board.rows, {})]


def _notes(board: Board) -> list[str]:
    """On what is peculiar to tables of runs."""
    notes = missing_notes(board)
    if any(row.own for row in board.all_rows):
        notes.append(f"{OWN} not published.")
    return [f"- {note}" for note in notes]


def _left(one: Unfinished) -> str:
    return f"- {one.run.label} seed {one.run.seed}, {one.run.train.steps:,} steps: {one.why}"


def _commands(rows: Sequence[Row], newest: Mapping[str, int]) -> list[str]:
    """What gives each row again, folded away; not for results that today's suite does not give."""
    repeatable = [row for row in rows if not versions.outdated(row.records[0]) and is_newest(row, newest)]
    lines = [f"- {row.name}: `{shlex.join(command_of_row(row.records))}`" for row in repeatable]
    return [folded("The command of each row", "\n".join(lines))] if lines else []
