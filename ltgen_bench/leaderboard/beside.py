"""Results that are not published, beside those that are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ltgen_bench.leaderboard.rows import Key, key_of
from ltgen_bench.leaderboard.unfinished import Unfinished, unfinished_runs
from ltgen_bench.runs.record import Record, read_records

OF_RUNS = "*/*/*/result-*.json"
"""Where results lie below a folder of runs."""


@dataclass(frozen=True)
class Beside:
    """records: published ones, and those of a folder of runs that are not; own: the latter. unfinished: runs without a
    result, of both. datasets: those that the folder of runs adds something to. problems: what is wrong with files that
    are left out."""

    records: list[Record]
    own: frozenset[Key]
    unfinished: list[Unfinished]
    datasets: frozenset[str]
    problems: list[str]


def beside(published: Iterable[Record], runs: Path, failed: Iterable[Unfinished] = ()) -> Beside:
    """Of a result that is published already, the published file counts. failed: published without a result."""
    records = {key_of(record): record for record in published}
    mine, problems = read_records(runs, OF_RUNS)
    own = frozenset(map(key_of, mine)) - records.keys()
    records |= {key_of(record): record for record in mine if key_of(record) in own}
    with_result = {run_id for run_id, _ in records}
    here = unfinished_runs(runs, with_result)
    left = {one.run.run_id: one for one in [*failed, *here] if one.run.run_id not in with_result}
    datasets = {records[key].run.dataset.name for key in own} | {one.run.dataset.name for one in here}
    return Beside(list(records.values()), own, list(left.values()), frozenset(datasets), problems)
