"""Rows of tables: all seeds of a configuration, their order, the best of them, and what a method adds."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ltgen_bench.leaderboard.notes import UNRANKED, mark
from ltgen_bench.leaderboard.statistics import BOLD_FROM, DISTANCE, Column, mean_and_spread
from ltgen_bench.runs.record import Record
from ltgen_bench.spec.specs import EvalSpec, ExternalSpec, RunSpec

MISSING = "–"


@dataclass(frozen=True)
class Row:
    """All seeds of one configuration."""

    name: str
    records: tuple[Record, ...]

    def values(self, column: Column) -> list[float]:
        return [f["value"] for r in self.records if (f := column.figures(r))]

    def mean(self, column: Column) -> float | None:
        """Over all seeds; None when one lacks the figure."""
        values = self.values(column)
        return statistics.fmean(values) if len(values) == len(self.records) else None

    def flags(self, column: Column) -> set[str]:
        return {flag for r in self.records for flag in column.flags(r)}

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


def make_rows(records: Sequence[Record]) -> list[Row]:
    """Records of one table as rows, the smallest distance first."""
    configs: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        configs[record.run.config_id].append(record)
    rows = [Row(found[0].run.label, tuple(found)) for found in configs.values()]
    return sorted(rows, key=lambda row: (mean if (mean := row.mean(DISTANCE)) is not None else float("inf"), row.name))


def best_rows(rows: Sequence[Row], column: Column) -> list[Row]:
    """The best of the rows that may be called so: enough seeds, and figures that can be ranked."""
    sign = 1 if column.info.better == "lower" else -1
    ranked = [
        (sign * mean, row)
        for row in rows
        if (mean := row.mean(column)) is not None and len(row.records) >= BOLD_FROM and not row.flags(column) & UNRANKED
    ]
    return [row for value, row in ranked if value == min(ranked, key=lambda pair: pair[0])[0]]


def newest_versions(records: Iterable[Record]) -> dict[str, int]:
    """Of each method of a table."""
    newest: dict[str, int] = {}
    for method in (m for r in records for m in run_of(r)[0].methods):
        newest[method.name] = max(method.version, newest.get(method.name, 0))
    return newest


def is_plain(row: Row, newest: Mapping[str, int]) -> bool:
    """Whether a row belongs in the main table: defaults throughout, the newest version of each method."""
    return is_newest(row, newest) and not any(m.changed for m in run_of(row.records[0])[0].methods)


def is_newest(row: Row, newest: Mapping[str, int]) -> bool:
    """Whether a row is of the newest version of each method; images made elsewhere have none."""
    run = row.records[0].run
    return isinstance(run, ExternalSpec) or all(m.version == newest[m.name] for m in run.methods)


def difference(pairs: Sequence[tuple[Record, Record]], column: Column) -> str:
    """Of pairs that share a seed: mean ± standard deviation of the first less the second, and the marks."""
    known = [(a, b) for r, s in pairs if (a := column.figures(r)) and (b := column.figures(s))]
    if len(known) < len(pairs):
        return MISSING
    flags = {flag for pair in pairs for record in pair for flag in column.flags(record)}
    return mean_and_spread([a["value"] - b["value"] for a, b in known], f"+.{column.info.decimals}f") + mark(flags)
