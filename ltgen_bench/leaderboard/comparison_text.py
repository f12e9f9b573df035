"""Comparisons for the terminal."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from tabulate import tabulate

from ltgen_bench.leaderboard.board import Board
from ltgen_bench.leaderboard.cells import difference, interval
from ltgen_bench.leaderboard.claims import CLAIM
from ltgen_bench.leaderboard.compare import Comparison
from ltgen_bench.leaderboard.notes import device_notes, flag_notes, mark, memorised_notes
from ltgen_bench.leaderboard.paired import LEVEL, SEEDS, Paired
from ltgen_bench.leaderboard.rows import MISSING
from ltgen_bench.leaderboard.statistics import Column, short_name
from ltgen_bench.scoring.metric_table import ARROWS


def comparisons_text(found: Sequence[Comparison], names: Sequence[str]) -> str:
    """In full of the first table of each dataset, as pages have them; of each other one a line.

    names: of both sides, as they were typed.
    """
    main: dict[str, Board] = {}
    for comparison in found:
        main.setdefault(comparison.board.records[0].run.dataset.name, comparison.board)
    whole = [each for each in found if any(each.board is board for board in main.values())]
    parts = [_in_full(comparison, names) for comparison in whole]
    if others := [_in_a_line(each) for each in found if each not in whole]:
        parts.append("\n".join(["Other tables, A - B (--json has all of their figures):", *others]))
    return "\n\n".join(parts)


def _in_a_line(comparison: Comparison) -> str:
    """What the claim is about, and the claim."""
    versus, board = comparison.versus, comparison.board
    name = short_name(board.records[0], board.distance)
    told = [
        f"{name} {column.group} {difference(found, column)}: {versus.verdict(column)}{mark(versus.flags(column))}"
        for column in (board.minority, board.majority)
        if (found := versus.paired(column)) is not None
    ]
    names = " and ".join(dict.fromkeys((versus.row.name, versus.base.name)))
    dataset = board.records[0].run.dataset.name
    return f"- {dataset}, {board.title}, {names}: {'; '.join([*told, f'claim: {versus.claim.answer}'])}"


def _in_full(comparison: Comparison, names: Sequence[str]) -> str:
    versus, board = comparison.versus, comparison.board
    record = board.records[0]
    labels = [
        name if name == row.name else f"{name} ({row.name})"
        for name, row in zip(names, (versus.row, versus.base), strict=True)
    ]
    seeds = sorted({*versus.row.seeds} & {*versus.base.seeds})
    heading = f"{record.run.dataset.name}, {board.title}\nA: {labels[0]}\nB: {labels[1]}\npaired at seed "
    body: list[list[str]] = []
    metric = None
    for column, found in comparison.figures():
        if column.metric != metric:
            metric = column.metric
            body.append([f"{short_name(record, column.info)} {ARROWS[column.info.better]}".rstrip()])
        body.append([*_line(column, found), f"{versus.verdict(column)}{mark(versus.flags(column))}"])
    headers = ["", "A", "B", "A - B", f"{100 * LEVEL:.0f} % interval", "", "A better", "A is"]
    align = ["left", *["right"] * 6, "left"]
    table = tabulate(body, headers, tablefmt="simple", disable_numparse=True, colalign=align)
    columns = [column for column, _ in comparison.figures()]
    notes = [
        f"interval: Student's t, n - 1. Resolved takes {SEEDS} pairs, an interval without 0, and a difference not "
        f"below the seed noise, here {board.noise.sentence}.",
        *flag_notes({flag for column in columns for flag in versus.flags(column)}),
        *memorised_notes([versus.row, versus.base]),
        *device_notes([versus.row, versus.base]),
    ]
    why = f": {'; '.join(versus.claim.why)}" if versus.claim.why else ""
    claim = f"A {CLAIM}, beside B: {versus.claim.answer}{why}."
    return "\n".join([heading + ", ".join(map(str, seeds)), "", table, "", *notes, claim])


def _line(column: Column, found: Paired) -> list[str]:
    form = f".{column.info.decimals}f"
    first, second = map(statistics.fmean, zip(*found.pairs.values(), strict=True))
    ends = interval(found, column) or MISSING
    share = f"{100 * found.relative:+.0f} %" if found.relative is not None else ""
    wins = f"{found.wins} of {found.n}" if column.info.better else ""
    return [f"  {column.group}", f"{first:{form}}", f"{second:{form}}", f"{found.mean:+{form}}", ends, share, wins]
