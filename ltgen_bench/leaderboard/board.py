"""A table of comparable results, worked out: what pages, pictures and exports are made of.

Records become boards (this module and `sweeps`), boards become text; nothing goes back. Every figure is there seed by
seed (`Row.by_seed`, `Paired.pairs`), so that nobody has to read a rounded mean.
"""

from __future__ import annotations

import functools
import statistics
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ltgen_bench.leaderboard.claims import Claim, Evidence, judge
from ltgen_bench.leaderboard.cost import relative_cost
from ltgen_bench.leaderboard.noise import Noise
from ltgen_bench.leaderboard.notes import UNRANKED
from ltgen_bench.leaderboard.paired import SEEDS, Paired, Verdict, deviation
from ltgen_bench.leaderboard.rows import Key, Row, are_plain, is_plain, make_rows, newest_versions
from ltgen_bench.leaderboard.statistics import Column
from ltgen_bench.leaderboard.tables import Table
from ltgen_bench.leaderboard.unfinished import Unfinished
from ltgen_bench.runs.record import Record
from ltgen_bench.scoring.headline import headline
from ltgen_bench.spec.specs import ExternalSpec

BASELINE = "ddpm"
"""What all rows are compared with: the shared recipe without a method."""

RECALL, ACCURACY = Column("recall", "minority"), Column("accuracy", "minority")
"""Of the first table, beside the distances."""


NEAR = 2
"""Standard deviations over seeds (the median row's) that a row of the leading group may be from the best: one whose own
seeds differ widely is resolved from nothing, however far it is."""

LEADING = f"all not resolved from it and within {NEAR} standard deviations (the median row's) of it"
"""Beside the best row."""


@dataclass(frozen=True)
class Versus:
    """A row beside one of its baselines, seed by seed."""

    row: Row
    base: Row
    noise: Noise
    claim: Claim

    def paired(self, column: Column) -> Paired | None:
        """The difference in a figure; None when no seed has it of both."""
        return self.noise.paired(self.row, self.base, column)

    def flags(self, column: Column) -> set[str]:
        """Of both."""
        return self.row.flags(column) | self.base.flags(column)

    def verdict(self, column: Column) -> Verdict | Literal["not ranked"] | None:
        """Of the row; "not ranked" where figures do not say what they seem to, None when no seed has it of both."""
        if (found := self.paired(column)) is None:
            return None
        return "not ranked" if self.flags(column) & UNRANKED else found.verdict

    def is_resolved(self, column: Column) -> bool:
        """Whether it is better or worse."""
        return self.verdict(column) in ("better", "worse")


@dataclass(frozen=True)
class Board:
    """One table.

    distance: the metric that rows are ranked by: "FD", "FD64" or "KID". rows: methods at their defaults and newest
    versions, the minority's smallest distance first; apart: all others, in the same order. unfinished: runs that would
    stand here, had they a result.
    """

    title: str
    records: tuple[Record, ...]
    distance: str
    rows: tuple[Row, ...]
    apart: tuple[Row, ...]
    noise: Noise
    unfinished: tuple[Unfinished, ...] = ()

    @property
    def of_runs(self) -> bool:
        """Whether these are the suite's own runs, not images made elsewhere."""
        return not isinstance(self.records[0].run, ExternalSpec)

    @property
    def all_rows(self) -> tuple[Row, ...]:
        return self.rows + self.apart

    @property
    def distances(self) -> tuple[Column, ...]:
        """The columns of the distance that rows are ranked by: overall, then of the groups that tables show."""
        return distance_columns(self.distance, self.records[0])

    @property
    def minority(self) -> Column:
        return Column(self.distance, "minority")

    @property
    def majority(self) -> Column:
        return Column(self.distance, "majority")

    @functools.cached_property
    def baseline(self) -> Row | None:
        return self._plain(frozenset({BASELINE}))

    @functools.cached_property
    def versus(self) -> tuple[Versus, ...]:
        """Each row beside the baseline, in the order of the rows."""
        base = self.baseline
        return tuple(self.beside(row, base) for row in self.all_rows if row is not base) if base else ()

    @functools.cached_property
    def additions(self) -> tuple[Versus, ...]:
        """Each combination beside itself less one method; each row with other hyper-parameters beside its defaults."""
        found: list[Versus] = []
        for row in self.all_rows:
            bases = [self._plain(row.methods - {added}) for added in sorted(row.methods)]
            if row in self.apart:
                bases.append(self._plain(row.methods))
            found += [self.beside(row, base) for base in bases if base is not None and base is not row]
        return tuple(found)

    def beside(self, row: Row, base: Row) -> Versus:
        """Any two rows."""
        unpaired = sorted({*self.missing(row), *self.missing(base)})
        flags = {flag for each in (row, base) for c in (self.minority, self.majority) for flag in each.flags(c)}
        evidence = Evidence(
            minority=self.noise.paired(row, base, self.minority),
            majority=self.noise.paired(row, base, self.majority),
            recall=self.noise.paired(row, base, RECALL),
            accuracy=self.noise.paired(row, base, ACCURACY),
            unpaired=tuple(unpaired),
            memorised="memorised" in row.flags(self.minority),
            base_memorised="memorised" in base.flags(self.minority),
            biased="n<d" in flags,
        )
        return Versus(row, base, self.noise, judge(evidence))

    def leaders(self, column: Column) -> list[Row]:
        """The best row and all that are not resolved from it and near it (NEAR); they need SEEDS seeds, and figures
        that rank."""
        if column.info.better is None:
            return []
        sign = 1 if column.info.better == "lower" else -1
        ranked = [
            (sign * mean, row)
            for row in self.all_rows
            if (mean := row.mean(column)) is not None and len(row.records) >= SEEDS and not row.flags(column) & UNRANKED
        ]
        if not ranked:
            return []
        least, best = min(ranked, key=lambda pair: pair[0])
        near = least + NEAR * statistics.median(deviation(row.values(column)) for _, row in ranked)

        def leads(value: float, row: Row) -> bool:
            found = self.noise.paired(row, best, column)
            return value == least or (value <= near and found is not None and found.verdict == "not resolved")

        return [row for value, row in ranked if leads(value, row)]

    def cost(self, row: Row) -> float | None:
        """Of a training step, beside the baseline's; None where they were not timed on the same device."""
        return relative_cost(row, self.baseline) if self.baseline else None

    @functools.cached_property
    def expected(self) -> frozenset[int]:
        """The seeds that at least half of the rows have: what a row lacks of them was meant to be there."""
        counts = Counter(seed for row in self.rows for seed in row.seeds)
        return frozenset(seed for seed, n in counts.items() if 2 * n >= len(self.rows))

    def missing(self, row: Row) -> dict[int, str]:
        """Why a row has no result of a seed that it should have one of, by seed."""
        of_row = {u.run.seed: u.why for u in self.unfinished if u.run.config_id == row.records[0].run.config_id}
        expected = self.expected if self.of_runs else ()
        return {seed: of_row.get(seed, "no result") for seed in sorted({*expected, *of_row} - {*row.seeds})}

    @property
    def without_result(self) -> list[Unfinished]:
        """Runs of configurations that have no row."""
        known = {row.records[0].run.config_id for row in self.all_rows}
        return [u for u in self.unfinished if u.run.config_id not in known]

    def lost(self, *, plain: bool) -> Counter[str]:
        """How many runs without a result each configuration without a row has, of the main table or of all others."""
        newest = newest_versions(self.records) if self.of_runs else {}
        return Counter(one.run.label for one in self.without_result if are_plain(one.run, newest) == plain)

    def _plain(self, methods: frozenset[str]) -> Row | None:
        return next((row for row in self.rows if row.methods == methods), None)


def make_board(table: Table, own: Container[Key] = (), unfinished: Iterable[Unfinished] = ()) -> Board:
    """own: what is not published. unfinished: of this table or others."""
    records = table.records
    distance = ranked_by(records)
    rows = make_rows(records, distance_columns(distance, records[0])[::-1], own)
    if isinstance(records[0].run, ExternalSpec):
        return Board(table.title, records, distance, tuple(rows), (), Noise(None))
    newest = newest_versions(records)
    plain = tuple(row for row in rows if is_plain(row, newest))
    apart = tuple(row for row in rows if row not in plain)
    left = tuple(one for one in unfinished if one.belongs_to(records[0].run))
    return Board(table.title, records, distance, plain, apart, Noise.of(plain), left)


def ranked_by(records: Sequence[Record]) -> str:
    """The distance that rows of these records are ranked by."""
    first = records[0]
    groups = [column.group for column in distance_columns("FD", first)]
    return headline((record.scores for record in records), first.eval.features, *groups)


def distance_columns(metric: str, record: Record) -> tuple[Column, ...]:
    """Overall, majority and minority, of the groups that the data set has."""
    groups = [group for group in ("majority", "minority") if group in record.eval.groups]
    return tuple(Column(metric, group) for group in ("overall", *groups))
