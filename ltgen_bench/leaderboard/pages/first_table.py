"""The table that answers at a glance: who helps the minority, at what price for the majority, and at what cost."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from ltgen_bench.leaderboard.board import ACCURACY, RECALL, Board
from ltgen_bench.leaderboard.cells import cost_text, memorised, named, seeds
from ltgen_bench.leaderboard.pages.markdown import table
from ltgen_bench.leaderboard.rows import MISSING, Row
from ltgen_bench.leaderboard.statistics import Column, figures_of


def first_table(board: Board, rows: Sequence[Row], lost: Mapping[str, int] = MappingProxyType({})) -> str:
    """Of these rows of a board, in markdown; below them, configurations of which no run has a result (lost: how many
    runs of each)."""
    figures = [c for c in (*board.distances, RECALL, ACCURACY) if any(row.values(c) for row in rows)]
    leading = {column: board.leaders(column) for column in figures}
    costs = [cost_text(board, row) for row in rows]
    steps = any(cost != MISSING for cost in costs)
    helps = {versus.row.name: versus.claim.answer for versus in board.versus}
    headers = [
        *(("method", "seeds") if board.of_runs else ("name", "sets")),
        *(column.title(board.records[0]) for column in figures),
        "memorised",
        *(["step"] if steps else []),
        *(["helps?"] if helps else []),
    ]
    body = [
        [
            named(row),
            seeds(board, row),
            *(f"**{row.cell(c)}**" if row in leading[c] else row.cell(c) for c in figures),
            memorised(row),
            *([cost] if steps else []),
            *([helps.get(row.name, MISSING)] if helps else []),
        ]
        for row, cost in zip(rows, costs, strict=True)
    ]
    body += [[name, f"0 of {n}", *[MISSING] * (len(headers) - 2)] for name, n in lost.items()]
    if any(row is board.baseline for row in rows) and any(real := [_real(board.rows, c) for c in figures]):
        known = [
            MISSING if value is None else f"{value:.{c.info.decimals}f}" for value, c in zip(real, figures, strict=True)
        ]
        body.append(["*real images*", MISSING, *known, *[MISSING] * (len(headers) - 2 - len(figures))])
    return table(headers, body)


def _real(rows: Sequence[Row], column: Column) -> float | None:
    """What nothing but chance makes of real images: of a distance the floor, of a share the ceiling; the mean over all
    records that know it."""
    found = [figures_of(record, column.info, column.group) for row in rows for record in row.records]
    values = [each[name] for each in found for name in ("floor", "ceiling") if name in each]
    return statistics.fmean(values) if values else None
