"""Distances over guidance or over training steps, a line per configuration: in markdown."""

from __future__ import annotations

from ltgen_bench.leaderboard.board import distance_columns
from ltgen_bench.leaderboard.pages.markdown import table
from ltgen_bench.leaderboard.rows import MISSING
from ltgen_bench.leaderboard.statistics import Column, short_name
from ltgen_bench.leaderboard.sweeps import Sweep

_OMEGA = (
    "The tables above have the same omega for all. Here each row is sampled at several, from the same trainings; of "
    "each row, the seeds that all of its values have. The best is that with the smallest distance overall, of the same "
    "grid for all; a row that lacks a value has none. Choosing on the score favours long grids, and rows that vary "
    "more by chance: it shows what tuning can give."
)

_STEPS = "Runs that are alike but for the number of their training steps."


def omega_tables(sweep: Sweep, heading: str) -> list[str]:
    """A heading, what it is about, and a table for each group; nothing where no row has several values."""
    return [f"{heading} Over guidance", _OMEGA, *_tables(sweep, "omega", best=True)] if sweep.rows else []


def steps_tables(sweep: Sweep, heading: str) -> list[str]:
    """The same over training steps, without a best."""
    return [f"{heading} Over training steps", _STEPS, *_tables(sweep, "steps", best=False)] if sweep.rows else []


def _tables(sweep: Sweep, what: str, *, best: bool) -> list[str]:
    record = next(iter(sweep.boards.values())).records[0]
    return [
        _table(sweep, column, f"{short_name(record, column.metric)} {column.group} ↓", what, best=best)
        for column in distance_columns(sweep.distance, record)
    ]


def _table(sweep: Sweep, column: Column, title: str, what: str, *, best: bool) -> str:
    shown = {value: f"{what} {value:,}" if isinstance(value, int) else f"{what} {value:g}" for value in sweep.values}
    body = []
    for name, rows in sweep.rows.items():
        seeds = len(next(iter(rows.values())).records)
        line = [name, str(seeds), *(rows[value].cell(column) if value in rows else MISSING for value in shown)]
        if best:
            chosen = sweep.best(name)
            line.append(MISSING if chosen is None else f"{rows[chosen].cell(column)} ({shown[chosen]})")
        body.append(line)
    return table([title, "seeds", *shown.values(), *(["at the best"] if best else [])], body)
