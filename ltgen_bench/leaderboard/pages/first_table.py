"""The table that answers at a glance: who helps the minority, at what price for the majority, and at what cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from ltgen_bench.leaderboard.board import ACCURACY, RECALL, Board
from ltgen_bench.leaderboard.pages.markdown import table
from ltgen_bench.leaderboard.rows import MISSING, Row
from ltgen_bench.leaderboard.statistics import figures_of
from ltgen_bench.scoring.metric_table import SCOPES

OWN = "◆"
"""Behind a row with results that are not published."""


def first_table(board: Board, rows: Sequence[Row], lost: Mapping[str, int] = MappingProxyType({})) -> str:
    """Of these rows of a board, in markdown; below them, configurations of which no run has a result (lost: how many
    runs of each)."""
    figures = [c for c in (*board.distances, RECALL, ACCURACY) if any(row.values(c) for row in rows)]
    leading = {column: board.leaders(column, rows) for column in figures}
    costs = [cost_text(board, row) for row in rows]
    steps = any(cost != MISSING for cost in costs)
    headers = [
        *(("method", "seeds") if board.of_runs else ("name", "sets")),
        *(column.title(board.records[0]) for column in figures),
        "memorised",
        *(["step"] if steps else []),
    ]
    body = [
        [
            named(row),
            seeds(board, row),
            *(f"**{row.cell(c)}**" if row in leading[c] else row.cell(c) for c in figures),
            memorised(row),
            *([cost] if steps else []),
        ]
        for row, cost in zip(rows, costs, strict=True)
    ]
    body += [[name, f"0 of {n}", *[MISSING] * (len(headers) - 2)] for name, n in lost.items()]
    return table(headers, body)


def named(row: Row) -> str:
    """With its marks."""
    dirty = any(r.provenance.get("dirty") for r in row.records)
    return " ".join([row.name, *(["†"] if dirty else []), *([OWN] if row.own else [])])


def seeds(board: Board, row: Row) -> str:
    """How many have a result, of how many that should; and how many of these are not published."""
    n, missing = len(row.records), len(board.missing(row))
    text = f"{n} of {n + missing}" if missing else str(n)
    return f"{text} ({len(row.own)} {OWN})" if 0 < len(row.own) < n else text


def missing_notes(board: Board) -> list[str]:
    """Of each row, the seeds without a result and why; then runs that have no row."""
    notes = []
    for row in board.all_rows:
        if missing := board.missing(row):
            notes.append(f"{row.name} without {', '.join(f'seed {seed} ({why})' for seed, why in missing.items())}.")
    return notes + [f"{one.run.label} without seed {one.run.seed} ({one.why})." for one in board.without_result]


def memorised(row: Row) -> str:
    """The groups whose images are copies of training images, at any seed."""
    found = [figures_of(record, "memorised", group) for record in row.records for group in SCOPES]
    if not any(found):
        return MISSING
    copied = [g for g in SCOPES if any("flag" in figures_of(record, "memorised", g) for record in row.records)]
    return ", ".join(copied) or "no"


def cost_text(board: Board, row: Row) -> str:
    cost = board.cost(row)
    return MISSING if cost is None else f"{cost:.2f}x"
