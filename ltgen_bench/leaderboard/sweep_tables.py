"""Distances over guidance or over training steps, a line per configuration: in markdown."""

from __future__ import annotations

from ltgen_bench.leaderboard.markdown import table
from ltgen_bench.leaderboard.rows import MISSING
from ltgen_bench.leaderboard.statistics import Column, short_name
from ltgen_bench.leaderboard.sweeps import Sweep

_OMEGA = (
    "The table above has the same omega for all. Here each row is sampled at several, from the same trainings. The "
    "best is that with the smallest distance overall, of the same grid for all; a row that lacks a value has none. "
    "Choosing on the score favours long grids, and rows that vary more by chance: it shows what tuning can give."
)


def omega_tables(sweep: Sweep, heading: str) -> list[str]:
    return [f"{heading} Over guidance", _OMEGA, *_tables(sweep, "omega", best=True)]


def steps_tables(sweep: Sweep, heading: str) -> list[str]:
    note = "Runs that are alike but for the number of their training steps."
    return [f"{heading} Over training steps", note, *_tables(sweep, "steps", best=False)]


def _tables(sweep: Sweep, what: str, *, best: bool) -> list[str]:
    record = next(iter(sweep.boards.values())).records[0]
    name = short_name(record, sweep.distance)
    parts = []
    for group in ("overall", "majority", "minority"):
        column = Column(sweep.distance, group)
        if not any(row.values(column) for rows in sweep.rows.values() for row in rows.values()):
            continue
        headers = [f"{name} {group} ↓", *(f"{what} {value:,g}" for value in sweep.values)]
        body = [
            [row_name, *(rows[value].cell(column) if value in rows else MISSING for value in sweep.values)]
            for row_name, rows in sweep.rows.items()
        ]
        if best:
            headers.append("at the best")
            for line in body:
                chosen = sweep.best(line[0])
                at = sweep.rows[line[0]].get(chosen) if chosen is not None else None
                line.append(f"{at.cell(column)} ({what} {chosen:g})" if at else MISSING)
        parts.append(table(headers, body))
    return parts
