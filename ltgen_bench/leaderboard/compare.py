"""Two runs, methods or folders beside each other, seed by seed; only what was trained and scored alike."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ltgen_bench.errors import UsageError
from ltgen_bench.leaderboard.board import Board, Versus, make_board
from ltgen_bench.leaderboard.paired import Paired
from ltgen_bench.leaderboard.rows import Row, key_of, ordered
from ltgen_bench.leaderboard.sides import Side
from ltgen_bench.leaderboard.statistics import Column, figure_name, shown_metrics
from ltgen_bench.leaderboard.tables import flat, settings, short_value, tables
from ltgen_bench.runs.record import Record
from ltgen_bench.scoring.metric_table import SCOPES

NAMED = 4
"""Settings that a refusal names."""


@dataclass(frozen=True)
class Comparison:
    """One configuration beside another in one table: `versus.row` is of the first name, `versus.base` of the second."""

    board: Board
    versus: Versus

    def figures(self) -> Iterator[tuple[Column, Paired]]:
        """Every metric and group that both have, the distance that ranks first."""
        metrics = shown_metrics(self.board.records)
        for metric in sorted(metrics, key=lambda metric: metric.name != self.board.distance):
            for group in SCOPES:
                column = Column(metric.name, group, metric)
                if (found := self.versus.paired(column)) is not None:
                    yield column, found

    def as_json(self) -> dict[str, Any]:
        """Plain values; the figures of each seed are there."""
        record = self.board.records[0]
        return {
            "dataset": record.run.dataset.name,
            "settings": self.board.title,
            "row_a": self.versus.row.name,
            "row_b": self.versus.base.name,
            "claim": {"answer": self.versus.claim.answer, "why_not_yes": list(self.versus.claim.why)},
            "figures": [_plain(figure_name(record, c.info), c, found) for c, found in self.figures()],
        }


def _plain(metric: str, column: Column, found: Paired) -> dict[str, Any]:
    low, high = found.interval or (None, None)
    firsts, seconds = zip(*found.pairs.values(), strict=True)
    return {
        "metric": metric,
        "group": column.group,
        "seeds": list(found.pairs),
        "a": list(firsts),
        "b": list(seconds),
        "difference": found.mean,
        "low": low,
        "high": high,
        "relative": found.relative,
        "better": found.wins,
        "noise": found.noise,
        "verdict": found.verdict,
    }


def compare(a: Side, b: Side) -> list[Comparison]:
    """One comparison for each table that both have rows in. Raises UsageError where there is none, and says why."""
    first, second = _by_table(a), _by_table(b)
    if not first.keys() & second.keys():
        raise UsageError(f"{a.name} and {b.name} cannot be compared: {_what_differs(a.records, b.records)}")
    return [
        Comparison(board, board.beside(*rows))
        for key, board in _boards([*a.others, *b.others, *a.records, *b.records])
        if key in first and key in second
        for rows in _row_pairs(a, b, first[key], second[key])
    ]


def _row_pairs(a: Side, b: Side, first: Sequence[Record], second: Sequence[Record]) -> Iterator[tuple[Row, Row]]:
    """The rows of one table that are to be compared."""
    mine, its = _by_config(first), _by_config(second)
    same = mine.keys() & its.keys()
    if len(mine) == len(its) == 1:
        pairs = [(next(iter(mine.values())), next(iter(its.values())))]
    elif same:
        pairs = [(mine[config], its[config]) for config in mine if config in same]
    else:
        labels = [", ".join(sorted({r.run.label for r in records})) for records in (first, second)]
        raise UsageError(f"{a.name} holds {labels[0]} and {b.name} {labels[1]}, none of them both: name two methods")
    for one, other in pairs:
        seeds = [sorted({record.run.seed for record in records}) for records in (one, other)]
        if one == other:
            raise UsageError(f"{a.name} and {b.name} are the same results")
        if not set(seeds[0]) & set(seeds[1]):
            have = [", ".join(map(str, each)) for each in seeds]
            raise UsageError(f"{a.name} and {b.name} have no seed in common: {have[0]} and {have[1]}")
        yield Row(one[0].run.label, tuple(one)), Row(other[0].run.label, tuple(other))


def _by_table(side: Side) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = defaultdict(list)
    for record in ordered(side.records):
        found[_key(record)].append(record)
    return found


def _key(record: Record) -> str:
    return json.dumps(settings(record), sort_keys=True)


def _by_config(records: Sequence[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        found[record.run.config_id].append(record)
    return found


def _boards(records: Sequence[Record]) -> Iterator[tuple[str, Board]]:
    """Of each table, the most images first."""
    once = {key_of(record): record for record in reversed(records)}
    for table in tables(ordered(once.values())):
        yield _key(table.records[0]), make_board(table)


def _what_differs(first: Sequence[Record], second: Sequence[Record]) -> str:
    """Of the two results that are most alike."""
    mine, its = ([dict(flat(json.loads(key))) for key in sorted(set(map(_key, some)))] for some in (first, second))
    one, other = min(itertools.product(mine, its), key=lambda pair: len(_unlike(*pair)))
    names = sorted(_unlike(one, other), key=lambda name: name.endswith("sha256"))
    told = [f"{name} is {short_value(one.get(name))} and {short_value(other.get(name))}" for name in names[:NAMED]]
    return "; ".join(told) + (f"; and {len(names) - NAMED} more settings differ" if len(names) > NAMED else "")


def _unlike(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The settings that differ."""
    return [name for name in {**one, **other} if one.get(name) != other.get(name)]
