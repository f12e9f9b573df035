"""Where a single result stands among others that were made alike."""

from __future__ import annotations

from collections.abc import Iterable

from ltgen_bench.leaderboard.board import make_board
from ltgen_bench.leaderboard.rows import Row, key_of, ordered
from ltgen_bench.leaderboard.statistics import figure_name
from ltgen_bench.leaderboard.tables import tables
from ltgen_bench.runs.record import Record


def standing(record: Record, others: Iterable[Record]) -> str:
    """A sentence; empty where no other configuration has a result that may share its table.

    Other seeds of its own configuration count for nothing.
    """
    alike = [r for r in others if r.eval_id == record.eval_id and r.run.config_id != record.run.config_id]
    once = {key_of(r): r for r in [*alike, record]}  # what is published and here
    board = next(make_board(table) for table in tables(ordered(once.values())) if record in table.records)
    ranked = [row for row in board.all_rows if row.mean(board.minority) is not None]
    place = next((i for i, row in enumerate(ranked) if record in row.records), None)
    if place is None or len(ranked) == 1:
        return ""

    def told(row: Row) -> str:
        return f"{row.name} ({row.mean(board.minority):.{board.minority.info.decimals}f})"

    beside = [f"after {told(row)}" for row in ranked[:place][-1:]]
    beside += [f"before {told(row)}" for row in ranked[place + 1 :][:1]]
    return (
        f"by {figure_name(record, board.distance)} of the minority, place {place + 1} of the {len(ranked)} rows that "
        f"were made alike, {' and '.join(beside)}; a single seed says little"
    )
