"""How far seeds alone move a score, and differences between rows that have to be beyond it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from ltgen_bench.leaderboard.paired import Paired, deviation
from ltgen_bench.leaderboard.rows import Row
from ltgen_bench.leaderboard.statistics import Column
from ltgen_bench.scoring.headline import DISTANCES
from ltgen_bench.spec.specs import ExternalSpec

MEASURED_FROM = 10
"""Seeds of a row that its spread is taken for the seed noise from."""

LITERATURE = 0.013
"""Standard deviation of FID over training seeds, as a share of FID, where nothing better is known: SiT on ImageNet-256
(Dufour, Efros and Pérez 2026, "The FID Lottery", arXiv 2606.20536)."""


@dataclass(frozen=True)
class Noise:
    """cell: the row of the same table that it was measured with; None where no row has enough seeds."""

    cell: Row | None

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Noise:
        """Of the row with the most seeds; the first of several."""
        return cls(
            max(
                (row for row in rows if len(row.records) >= MEASURED_FROM),
                key=lambda row: len(row.records),
                default=None,
            )
        )

    def threshold(self, column: Column, base: float) -> float:
        """Of a figure whose mean is `base`: one standard deviation over seeds; 0 where that is not known."""
        if self.cell is not None and len(values := self.cell.values(column)) >= MEASURED_FROM:
            return deviation(values)
        return LITERATURE * abs(base) if column.metric in DISTANCES else 0.0

    def paired(self, row: Row, base: Row, column: Column) -> Paired | None:
        """The figures of two rows at the seeds that both have; None when there is none.

        Nor is there one of images made elsewhere, whose seed is the scorer's alone.
        """
        if any(isinstance(each.records[0].run, ExternalSpec) for each in (row, base)):
            return None
        found = Paired.at_common_seeds(row.by_seed(column), base.by_seed(column), column.info.better)
        return found and dataclasses.replace(found, noise=self.threshold(column, found.base))

    @property
    def sentence(self) -> str:
        """What the threshold is, for the page."""
        if self.cell is not None:
            return f"the standard deviation over the {len(self.cell.records)} seeds of {self.cell.name}"
        return (
            f"{100 * LITERATURE:g} % of a distance: what FID varies by over training seeds in the literature (SiT on "
            f"ImageNet-256, arXiv 2606.20536), as no row here has the {MEASURED_FROM} seeds to measure it"
        )
