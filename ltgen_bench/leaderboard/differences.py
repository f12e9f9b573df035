"""Rows beside their baselines, seed by seed, and what may be claimed of them: in markdown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from ltgen_bench.leaderboard.board import ACCURACY, RECALL, Board, Versus
from ltgen_bench.leaderboard.claims import CLAIM, RULE
from ltgen_bench.leaderboard.first_table import named
from ltgen_bench.leaderboard.markdown import table
from ltgen_bench.leaderboard.notes import mark
from ltgen_bench.leaderboard.paired import LEVEL, SEEDS, Paired
from ltgen_bench.leaderboard.rows import MISSING
from ltgen_bench.leaderboard.statistics import Column


def differences(board: Board, heading: str) -> list[str]:
    """The parts of a page: against the baseline, what may be claimed, and what adding a method changes."""
    parts = []
    if board.versus:
        name = board.versus[0].base.name
        parts += [f"{heading} Against {name}, seed by seed", _note(board), _table(board, board.versus, against=False)]
        claims = table(
            ("method", "answer", "why not yes", "label accuracy of the minority"), [*map(_claim, board.versus)]
        )
        parts += [f"{heading} {CLAIM[0].upper()}{CLAIM[1:]}?", RULE, claims]
    if more := [each for each in board.additions if each.base is not board.baseline]:
        parts += [f"{heading} What adding a method, or changing it, does", _table(board, more, against=True)]
    return parts


def _note(board: Board) -> str:
    return (
        "Cells: mean over the seeds that both have of the difference at that seed; its "
        f"{100 * LEVEL:.0f} % interval (Student's t, n - 1); in % of the other's mean; seeds at which it is better / "
        f"pairs. **Bold**: resolved, which takes {SEEDS} pairs, an interval without 0, and a difference not below the "
        f"seed noise, here {board.noise.sentence}. All else is not resolved: nothing is known of its sign. Nothing is "
        "corrected for the number of differences: of twenty that are none, one is called resolved by chance."
    )


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
    flags = versus.row.flags(column) | versus.base.flags(column)
    return (f"**{text}**" if found.verdict != "not resolved" else text) + mark(flags)


def difference(found: Paired, column: Column) -> str:
    """`-3.67 [-6.53, -0.80], -28 %, 3/3`."""
    form = f"+.{column.info.decimals}f"
    text = f"{found.mean:{form}}"
    if found.interval:
        text += f" [{', '.join(f'{end:{form}}' for end in found.interval)}]"
    if column.info.better == "lower" and found.relative is not None:
        text += f", {100 * found.relative:+.0f} %"
    return f"{text}, {found.wins}/{found.n}"


def _claim(versus: Versus) -> list[str]:
    """The line of a table."""
    claim, accuracy = versus.claim, versus.paired(ACCURACY)
    said = MISSING
    if accuracy is not None:
        mine, its = map(statistics.fmean, zip(*accuracy.pairs.values(), strict=True))
        said = f"{mine:.2f} against {its:.2f}: {accuracy.verdict}"
    return [named(versus.row), f"**{claim.answer}**", "; ".join(claim.why), said]
