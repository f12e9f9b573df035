"""Every metric by group, and the distance of each class: what stands folded below the first table."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from ltgen_bench.leaderboard.board import Board
from ltgen_bench.leaderboard.notes import flag_notes, mark
from ltgen_bench.leaderboard.other_forms import FORMS, how_computed, other_form
from ltgen_bench.leaderboard.pages.first_table import named
from ltgen_bench.leaderboard.pages.markdown import folded, table
from ltgen_bench.leaderboard.rows import MISSING, Row
from ltgen_bench.leaderboard.statistics import Column, figure_name, figures_of, short_name, shown_metrics
from ltgen_bench.scoring.metric_table import ARROWS, SCOPES, metric_table
from ltgen_bench.spec.specs import MetricSpec


def wide_tables(board: Board) -> list[str]:
    """Folded parts of a page."""
    by_group = [text for metric in shown_metrics(board.records) for text in _by_group(board, metric)]
    parts = [folded("All scores by group", *by_group)] if by_group else []
    if per_class := _per_class(board):
        parts.append(folded("Each class", *per_class))
    return parts


def _by_group(board: Board, metric: MetricSpec) -> list[str]:
    """A heading and a table; nothing where no row has the metric."""
    columns = [Column(metric.name, group, metric) for group in SCOPES]
    columns = [c for c in columns if any(row.values(c) for row in board.all_rows)]
    if not columns:
        return []
    leading = {column: board.leaders(column, board.rows) for column in columns}
    headers = ["method" if board.of_runs else "name", *(column.group for column in columns)]
    body = [
        [named(row), *(f"**{row.cell(c)}**" if row in leading[c] else row.cell(c) for c in columns)]
        for row in board.all_rows
    ]
    others = [other_form(row.records, metric) for row in board.all_rows]
    if any(others):
        headers.append(f"overall, {FORMS[metric.name].other}")
        body = [[*cells, other or MISSING] for cells, other in zip(body, others, strict=True)]
    title = f"**{short_name(board.records[0], metric)} {ARROWS[metric.better]}**".rstrip()
    how = how_computed(board.records, metric)
    return [title, *([f"Overall: {how}."] if how else []), table(headers, body)]


def _per_class(board: Board) -> list[str]:
    """A line per class, the largest first: its distance, a column per method."""
    metric = class_metric(board)
    if metric is None:
        return []
    counts = board.records[0].run.dataset.class_counts
    names = class_names(board)
    order = sorted(range(len(counts)), key=lambda c: (-counts[c], c))
    body = [
        [names.get(c, str(c)), f"{counts[c]:,}", *(_class_cell(row, metric, c) for row in board.rows)] for c in order
    ]
    title = f"{short_name(board.records[0], metric)} {ARROWS[metric_table()[metric].better]}"
    parts = [f"**{title}**, mean over seeds", table(["class", "images", *(row.name for row in board.rows)], body)]
    notes = flag_notes(class_flags(board.rows, metric))
    return [*parts, "\n".join(f"- {note}" for note in notes)] if notes else parts


def class_metric(board: Board) -> str | None:
    """The distance that is known of each class of all records, if any: one that few images do not bias, where there
    is a choice."""
    known = [m for m in ("class-FD64", "class-KID") if all(figures_of(record, m, "0") for record in board.records)]
    return min(known, key=lambda metric: bool(class_flags(board.all_rows, metric)), default=None)


def class_flags(rows: Iterable[Row], metric: str) -> set[str]:
    """What the scorer warns of at any class."""
    found = [record.scores.get(figure_name(record, metric), {}) for row in rows for record in row.records]
    return {str(figures["flag"]) for by_class in found for figures in by_class.values() if "flag" in figures}


def class_names(board: Board) -> dict[int, str]:
    """By class id, where a record has them."""
    for record in board.records:
        pulls = {g: f for m, groups in record.scores.items() if m.startswith("class-pull") for g, f in groups.items()}
        if pulls:
            return {int(c): str(figures["class"]) for c, figures in pulls.items()}
    return {}


def _class_cell(row: Row, metric: str, c: int) -> str:
    column = Column(metric, str(c))
    if not (values := row.values(column)):
        return MISSING
    return f"{statistics.fmean(values):.{column.info.decimals}f}{mark(row.flags(column))}"
