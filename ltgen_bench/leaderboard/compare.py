"""Two runs, methods or folders beside each other, seed by seed; only what was trained and scored alike."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ltgen_bench.errors import UsageError
from ltgen_bench.leaderboard.board import Board, Versus
from ltgen_bench.leaderboard.dataset_page import dataset_pages
from ltgen_bench.leaderboard.notes import device_notes
from ltgen_bench.leaderboard.paired import Paired
from ltgen_bench.leaderboard.rows import Row, key_of, ordered
from ltgen_bench.leaderboard.sides import Side
from ltgen_bench.leaderboard.statistics import Column, figure_name, shown_metrics
from ltgen_bench.leaderboard.tables import flat, settings, short_value
from ltgen_bench.runs.record import Record
from ltgen_bench.scoring.metric_table import SCOPES

NAMED = 4
"""Settings that a refusal names."""


@dataclass(frozen=True)
class Comparison:
    """One configuration beside another in one table: `versus.row` is of the first name, `versus.base` of the second."""

    board: Board
    versus: Versus

    @property
    def records(self) -> list[Record]:
        return [*self.versus.row.records, *self.versus.base.records]

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
            "notes": device_notes([self.versus.row, self.versus.base]),
            "claim": {"answer": self.versus.claim.answer, "why_not_yes": list(self.versus.claim.why)},
            "figures": [
                _plain(figure_name(record, c.info), c, found) | {"verdict": self.versus.verdict(c)}
                for c, found in self.figures()
            ],
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
    }


def compare(a: Side, b: Side) -> list[Comparison]:
    """One comparison for each row, or pair of rows, of each table that both have rows in: those with results that are
    not published first, then in the order of pages.

    Raises UsageError where there is nothing to compare, and says why.
    """
    first, second = _by_table(a), _by_table(b)
    if not first.keys() & second.keys():
        raise UsageError(f"{a.name} and {b.name} cannot be compared: {_what_differs(a.records, b.records)}")
    found, problems = [], []
    for key, board in _boards([*a.others, *b.others, *a.records, *b.records]):
        for one, other in _row_pairs(first.get(key, []), second.get(key, [])):
            if problem := _problem(one, other):
                problems.append(problem)
            else:
                found.append(Comparison(board, board.beside(_row(one), _row(other))))
    if found:
        own = a.own | b.own
        return sorted(found, key=lambda each: own.isdisjoint(map(key_of, each.records)))
    if problems:
        raise UsageError(f"{a.name} and {b.name} {problems[0]}")
    labels = [", ".join(sorted({record.run.label for record in side.records})) for side in (a, b)]
    raise UsageError(f"{a.name} holds {labels[0]} and {b.name} holds {labels[1]}: name the two to compare")


def _row_pairs(first: Sequence[Record], second: Sequence[Record]) -> list[tuple[list[Record], list[Record]]]:
    """What is to be compared in one table: the only row of each side, else the rows that both have."""
    mine, its = _by_config(first), _by_config(second)
    if len(mine) == len(its) == 1:
        return list(zip(mine.values(), its.values(), strict=True))
    return [(mine[config], its[config]) for config in mine if config in its]


def _problem(one: Sequence[Record], other: Sequence[Record]) -> str:
    """What keeps two rows from being compared."""
    seeds = [sorted({record.run.seed for record in records}) for records in (one, other)]
    if one == other:
        return "are the same results"
    if set(seeds[0]).isdisjoint(seeds[1]):
        return f"have no seed in common: {' and '.join(', '.join(map(str, each)) for each in seeds)}"
    return ""


def _row(records: Sequence[Record]) -> Row:
    return Row(records[0].run.label, tuple(records))


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
    """Of each table, in the order of pages."""
    once = {key_of(record): record for record in reversed(records)}
    for page in dataset_pages(once.values()):
        for board in (*page.boards, *page.elsewhere, *page.earlier):
            yield _key(board.records[0]), board


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
