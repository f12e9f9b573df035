"""The table that answers at a glance: who helps the minority, at what price for the majority, and at what cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from ltgen_bench.leaderboard.board import ACCURACY, RECALL, Board
from ltgen_bench.leaderboard.cells import cost_text, memorised, named, seeds
from ltgen_bench.leaderboard.pages.markdown import table
from ltgen_bench.leaderboard.rows import MISSING, Row


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
    return table(headers, body)
