"""Rows of tables: all seeds of a configuration, and their order."""

from __future__ import annotations

import functools
import statistics
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ltgen_bench.leaderboard.notes import mark
from ltgen_bench.leaderboard.statistics import Column, figure_name, mean_and_spread
from ltgen_bench.runs.record import Record
from ltgen_bench.spec.specs import EvalSpec, ExternalSpec, RunSpec

MISSING = "–"

Key = tuple[str, str]
"""Ids of a run and of an evaluation."""


def key_of(record: Record) -> Key:
    return record.run_id, record.eval_id


@dataclass(frozen=True)
class Row:
    """All seeds of one configuration. own: the run ids of those that are not published."""

    name: str
    records: tuple[Record, ...]
    own: frozenset[str] = frozenset()

    @property
    def seeds(self) -> list[int]:
        return [r.run.seed for r in self.records]

    @property
    def methods(self) -> frozenset[str]:
        return frozenset(m.name for m in self.records[0].run.methods)

    def _figures(self, column: Column) -> list[Mapping[str, Any]]:
        """Of each record, looked up once: a page asks for each of them many times."""
        if column not in self._found:
            names = {figure_name(record, column.info) for record in self.records[:1]}  # all were scored alike
            self._found[column] = [r.scores.get(n, {}).get(column.group, {}) for n in names for r in self.records]
        return self._found[column]

    @functools.cached_property
    def _found(self) -> dict[Column, list[Mapping[str, Any]]]:
        return {}

    @functools.cached_property
    def _flags(self) -> dict[Column, set[str]]:
        return {}

    def by_seed(self, column: Column) -> dict[int, float]:
        """The value of each seed that has the figure."""
        return {r.run.seed: f["value"] for r, f in zip(self.records, self._figures(column), strict=True) if f}

    def values(self, column: Column) -> list[float]:
        """Of all seeds, or sets."""
        return [f["value"] for f in self._figures(column) if f]

    def mean(self, column: Column) -> float | None:
        """Over all seeds; None when one lacks the figure."""
        values = self.values(column)
        return statistics.fmean(values) if len(values) == len(self.records) else None

    def flags(self, column: Column) -> set[str]:
        if column not in self._flags:
            figures = (*self._figures(column), *self._figures(Column("memorised", column.group)))
            self._flags[column] = {str(found["flag"]) for found in figures if "flag" in found}
        return self._flags[column]

    def cell(self, column: Column) -> str:
        """Mean ± standard deviation, and the marks."""
        if self.mean(column) is None:
            return MISSING
        return mean_and_spread(self.values(column), f".{column.info.decimals}f") + mark(self.flags(column))


def ordered(records: Iterable[Record]) -> list[Record]:
    """In an order that depends on nothing but what they are."""
    return sorted(records, key=lambda r: (r.run.method, r.run.config_id, r.run.seed, r.run_id, r.eval_id))


def run_of(record: Record) -> tuple[RunSpec, EvalSpec]:
    """Specs of a record that is of a run, not of images made elsewhere."""
    assert isinstance(record.run, RunSpec)
    assert isinstance(record.eval, EvalSpec)
    return record.run, record.eval


def make_rows(records: Sequence[Record], by: Sequence[Column], own: Container[Key] = ()) -> list[Row]:
    """Records of one table as rows, the smallest first, by the first of these columns that both rows have.

    own: those that are not published.
    """
    configs: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        configs[record.run.config_id].append(record)
    rows = [
        Row(found[0].run.label, tuple(found), frozenset(r.run_id for r in found if key_of(r) in own))
        for found in configs.values()
    ]

    def order(row: Row) -> tuple[object, ...]:
        means = [row.mean(column) for column in by]
        return (*(mean if mean is not None else float("inf") for mean in means), row.name)

    return sorted(rows, key=order)


def newest_versions(records: Iterable[Record]) -> dict[str, int]:
    """Of each method of a table."""
    newest: dict[str, int] = {}
    for method in (m for r in records for m in run_of(r)[0].methods):
        newest[method.name] = max(method.version, newest.get(method.name, 0))
    return newest


def is_plain(row: Row, newest: Mapping[str, int]) -> bool:
    """Whether a row belongs in the main table: defaults throughout, the newest version of each method."""
    return are_plain(run_of(row.records[0])[0], newest)


def are_plain(run: RunSpec, newest: Mapping[str, int]) -> bool:
    """The same of the methods of a run, of which newest need not know all."""
    return all(m.version >= newest.get(m.name, 0) and not m.changed for m in run.methods)


def is_newest(row: Row, newest: Mapping[str, int]) -> bool:
    """Whether a row is of the newest version of each method; images made elsewhere have none."""
    run = row.records[0].run
    return isinstance(run, ExternalSpec) or all(m.version == newest[m.name] for m in run.methods)
