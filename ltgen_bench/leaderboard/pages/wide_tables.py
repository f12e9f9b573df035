"""Every metric by group, and the distance of each class: what stands folded below the first table."""

from __future__ import annotations

import statistics

from ltgen_bench.leaderboard.board import Board
from ltgen_bench.leaderboard.cells import class_flags, class_metric, class_names, named
from ltgen_bench.leaderboard.notes import flag_notes, mark
from ltgen_bench.leaderboard.other_forms import FORMS, how_computed, other_form
from ltgen_bench.leaderboard.pages.markdown import folded, table
from ltgen_bench.leaderboard.rows import MISSING, Row
from ltgen_bench.leaderboard.statistics import Column, short_name, shown_metrics
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
    leading = {column: board.leaders(column) for column in columns}
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


def _class_cell(row: Row, metric: str, c: int) -> str:
    column = Column(metric, str(c))
    if not (values := row.values(column)):
        return MISSING
    return f"{statistics.fmean(values):.{column.info.decimals}f}{mark(row.flags(column))}"
