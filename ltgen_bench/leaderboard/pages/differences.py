"""Rows beside their baselines, seed by seed, and what may be claimed of them: in markdown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from ltgen_bench.leaderboard.board import ACCURACY, RECALL, Board, Versus
from ltgen_bench.leaderboard.cells import difference, named
from ltgen_bench.leaderboard.claims import CLAIM
from ltgen_bench.leaderboard.noise import MEASURED_FROM
from ltgen_bench.leaderboard.notes import mark
from ltgen_bench.leaderboard.pages.markdown import table
from ltgen_bench.leaderboard.paired import deviation
from ltgen_bench.leaderboard.rows import MISSING, Row
from ltgen_bench.leaderboard.statistics import Column
from ltgen_bench.scoring.headline import DISTANCES


def differences(board: Board, heading: str) -> list[str]:
    """The parts of a page: against the baseline, what may be claimed, and what adding a method changes."""
    parts = []
    if board.versus:
        against = f"{heading} Against {board.versus[0].base.name}, seed by seed"
        parts += [against, f"Seed noise: {board.noise.sentence}.", _table(board, board.versus, against=False)]
        parts += _measured_noise(board)
        headers = ("method", "answer", "why not yes", "label accuracy of the minority")
        parts += [f"{heading} {CLAIM[0].upper()}{CLAIM[1:]}?", table(headers, [_claim(each) for each in board.versus])]
    if more := [each for each in board.additions if each.base is not board.baseline]:
        parts += [f"{heading} What adding a method, or changing it, does", _table(board, more, against=True)]
    return parts


def _measured_noise(board: Board) -> list[str]:
    """By group, of each row with enough seeds: nobody else has published it for long-tailed data."""
    rows = [row for row in board.rows if len(row.records) >= MEASURED_FROM]
    if not rows:
        return []
    columns = (*board.distances, RECALL, ACCURACY)
    headers = ["seed noise", "seeds", *(column.title(board.records[0]) for column in columns)]
    body = [[named(row), len(row.records), *(_spread(row, column) for column in columns)] for row in rows]
    return [
        "Standard deviation over the seeds of a row, distances in % of their mean:",
        table(headers, body),
    ]


def _spread(row: Row, column: Column) -> str:
    values, mean = row.values(column), row.mean(column)
    if mean is None:
        return MISSING
    if column.metric in DISTANCES:
        return f"{100 * deviation(values) / mean:.1f} %" if mean > 0 else MISSING
    return f"{deviation(values):.{column.info.decimals}f}"


def _table(board: Board, versus: Sequence[Versus], *, against: bool) -> str:
    columns = [c for c in (*board.distances[::-1], RECALL, ACCURACY) if any(v.paired(c) for v in versus)]
    headers = ["method", *(["against"] if against else []), *(c.title(board.records[0]) for c in columns)]
    return table(
        headers, [[named(v.row), *([v.base.name] if against else []), *(_cell(v, c) for c in columns)] for v in versus]
    )


def _cell(versus: Versus, column: Column) -> str:
    found = versus.paired(column)
    if found is None:
        return MISSING
    text = difference(found, column)
    return (f"**{text}**" if versus.is_resolved(column) else text) + mark(versus.flags(column))


def _claim(versus: Versus) -> list[str]:
    """The line of a table."""
    claim, accuracy = versus.claim, versus.paired(ACCURACY)
    said = MISSING
    if accuracy is not None:
        mine, its = map(statistics.fmean, zip(*accuracy.pairs.values(), strict=True))
        said = f"{mine:.2f} against {its:.2f}: {versus.verdict(ACCURACY)}"
    return [named(versus.row), f"**{claim.answer}**", "; ".join(claim.why), said]
