"""Does the gap between groups close with width, and is a method's gain largest where capacity is scarcest?

CM's claim is that the minority lacks capacity because the majority takes it. Then a wider network should close the gap
between the two, and a method that keeps capacity for the minority should help most in a narrow one.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ltgen_bench.leaderboard.board import ranked_by
from ltgen_bench.leaderboard.captions import title
from ltgen_bench.leaderboard.noise import Noise
from ltgen_bench.leaderboard.paired import SEEDS, Paired
from ltgen_bench.leaderboard.rows import Row, run_of
from ltgen_bench.leaderboard.statistics import Column, figure_name
from ltgen_bench.runs.record import Record
from ltgen_bench.spec.specs import RunSpec

GROUPS = ("majority", "minority")
NOISE = Noise(None)
BySeed = dict[int, float]
Counter = Callable[[RunSpec], int]
"""How many parameters the network of a run has."""


@dataclass(frozen=True)
class Cell:
    """One method at one width: a figure of each group by seed."""

    method: str
    channels: tuple[int, ...]
    parameters: int
    row: Row
    distance: str

    def of(self, group: str) -> BySeed:
        """The distance by seed."""
        return self.row.by_seed(Column(self.distance, group))

    @property
    def gap(self) -> BySeed:
        """The minority's distance less the majority's, by seed."""
        majority, minority = map(self.of, GROUPS)
        return {seed: minority[seed] - majority[seed] for seed in sorted(majority.keys() & minority.keys())}

    @property
    def ratio(self) -> BySeed:
        """The minority's distance over the majority's, by seed, where that is above 0 (some KIDs are not)."""
        majority = self.of("majority")
        return {seed: 1 + gap / majority[seed] for seed, gap in self.gap.items() if majority[seed] > 0}


@dataclass(frozen=True)
class Widths:
    """Comparable runs over widths: cells of each method, narrowest first; the first method is the baseline."""

    records: tuple[Record, ...]
    distance: str
    methods: Mapping[str, tuple[Cell, ...]]

    @classmethod
    def of(cls, records: Sequence[Record], methods: Sequence[str], count: Counter) -> Widths:
        """records: of two widths or more, otherwise alike. methods: labels, the baseline first."""
        distance = ranked_by(records)
        found: dict[tuple[str, tuple[int, ...]], list[Record]] = defaultdict(list)
        for record in records:
            run, _ = run_of(record)
            found[run.label, run.net.channels].append(record)
        cells = {
            (label, channels): Cell(
                label, channels, count(run_of(its[0])[0]), Row(label, tuple(sorted(its, key=_seed))), distance
            )
            for (label, channels), its in sorted(found.items(), key=lambda item: item[0][1])
        }
        by_method = {m: tuple(cell for (label, _), cell in cells.items() if label == m) for m in methods}
        return cls(tuple(records), distance, {m: its for m, its in by_method.items() if its})

    @property
    def name(self) -> str:
        """Of the distance: `FD64-efflite0@96`."""
        return figure_name(self.records[0], self.distance)

    @property
    def decimals(self) -> int:
        return Column(self.distance, GROUPS[0]).info.decimals

    @property
    def base(self) -> str:
        return next(iter(self.methods))

    @functools.cached_property
    def cells(self) -> list[Cell]:
        """Narrowest first, the baseline before the others."""
        return sorted((c for its in self.methods.values() for c in its), key=lambda cell: cell.parameters)

    def beside_base(self, cell: Cell, group: str) -> Paired | None:
        """A cell's distance and the baseline's of the same width, seed by seed; None where there is nothing to pair."""
        base = next((c for c in self.methods[self.base] if c.channels == cell.channels), None)
        if base is None or base is cell:
            return None
        return NOISE.paired(cell.row, base.row, Column(self.distance, group))

    def over_width(self, method: str, figure: Callable[[Cell], BySeed]) -> Paired | None:
        """A figure of the widest network and of the narrowest: "better" where it falls with width."""
        cells = self.methods[method]
        return Paired.at_common_seeds(figure(cells[-1]), figure(cells[0]), "lower") if len(cells) > 1 else None

    def gain_over_width(self, method: str, group: str) -> Paired | None:
        """The difference to the baseline in the narrowest network, and in the widest: "better" where it helps more in
        the narrowest."""
        found = [pair for cell in self.methods[method] if (pair := self.beside_base(cell, group))]
        return Paired.at_common_seeds(found[0].differences, found[-1].differences, "lower") if len(found) > 1 else None

    @property
    def answers(self) -> list[str]:
        """What the two questions come to, for each method. Distances fall with width, and a gap with them: a ratio need
        not."""
        found = []
        for m in self.methods:
            gap, ratio = self.over_width(m, lambda cell: cell.gap), self.over_width(m, lambda cell: cell.ratio)
            found.append(_answer(m, gap, self.decimals, "the gap closes with width", "the gap widens with width"))
            falls, rises = (
                f"the minority's distance over the majority's {how} with width" for how in ("falls", "rises")
            )
            found.append(_answer(m, ratio, 2, falls, rises))
        for m in self.methods:
            if m != self.base:
                gain, more = self.gain_over_width(m, "minority"), "it helps the minority more in the {} network"
                found.append(_answer(m, gain, self.decimals, more.format("narrowest"), more.format("widest")))
        return found

    def to_json(self) -> dict[str, Any]:
        """Every figure by seed: nobody has to read a rounded mean."""
        first = self.records[0]
        groups = ("overall", *first.eval.groups)
        return {
            "dataset": first.run.dataset.name,
            "settings": title(first),
            "distance": self.name,
            "baseline": self.base,
            "cells": [
                {
                    "method": cell.method,
                    "channels": list(cell.channels),
                    "parameters": cell.parameters,
                    "runs": [record.run_id for record in cell.row.records],
                    "trained_on": [record.trained_on for record in cell.row.records],
                    "distances": {group: {str(s): v for s, v in cell.of(group).items()} for group in groups},
                }
                for cell in self.cells
            ],
            "answers": self.answers,
        }


def _seed(record: Record) -> int:
    return record.run.seed


def _between(interval: tuple[float, float] | None, decimals: int) -> str:
    """The interval of a change with the other sign."""
    return "" if interval is None else f" [{-interval[1]:+.{decimals}f}, {-interval[0]:+.{decimals}f}]"


def _answer(method: str, found: Paired | None, decimals: int, better: str, worse: str) -> str:
    if found is None:
        return f"{method}: it cannot be told whether {better}, as no seed has results of two widths"
    change = f"{-found.mean:+.{decimals}f}{_between(found.interval, decimals)}"
    if found.verdict != "not resolved":
        return f"{method}: {better if found.verdict == 'better' else worse} (narrowest less widest {change})"
    why = f"{found.n} of the {SEEDS} seeds that it takes" if found.n < SEEDS else "the interval holds 0"
    return f"{method}: not resolved whether {better} (narrowest less widest {change}; {why})"
