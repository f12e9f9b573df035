"""What a table shows of a record: its columns, the figures behind them, their mean and spread."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ltgen_bench.runs.record import Record

METRICS = {"FD": ("lower", 2), "IS": ("higher", 2), "recall": ("higher", 3), "precision": ("higher", 3)}
"""Metric (without the name of its features): which way is better, and decimals."""

BOLD_FROM = 3
"""Seeds a row needs before it can be marked best."""

SCOPES = ("overall", "majority", "medium", "minority")

ARROWS = {"lower": "↓", "higher": "↑"}


@dataclass(frozen=True)
class Column:
    """A column of the main table."""

    metric: str
    group: str

    @property
    def better(self) -> str:
        return METRICS[self.metric][0]

    @property
    def digits(self) -> int:
        return METRICS[self.metric][1]

    def title(self, record: Record) -> str:
        return f"{metric_name(record, self.metric)} {self.group} {ARROWS[self.better]}"

    def figures(self, record: Record) -> dict[str, Any]:
        return figures_of(record, self.metric, self.group)

    def flags(self, record: Record) -> set[str]:
        """What the scorer warns of: "n<4d" (biased), "n<d" (too biased to rank), "memorised"."""
        of_group = (self.figures(record), figures_of(record, "memorised", self.group))
        return {str(figures["flag"]) for figures in of_group if "flag" in figures}


COLUMNS = (
    *(Column(metric, group) for metric in ("FD", "IS", "recall") for group in ("overall", "majority", "minority")),
    Column("precision", "overall"),
)


def figures_of(record: Record, metric: str, group: str) -> dict[str, Any]:
    """What a record knows of a metric and group; empty when it has none."""
    return dict(record.scores.get(metric_name(record, metric), {}).get(group, {}))


def metric_name(record: Record, metric: str) -> str:
    """As the scorer names it: `FID`, `IS`, `recall` in Inception's features, else with the features' name."""
    features = record.eval.features
    if features == "inception":
        return {"FD": "FID"}.get(metric, metric)
    return f"{metric}-{features}"


def mean_and_spread(values: Sequence[float], form: str) -> str:
    """mean ± sample standard deviation (n - 1); one value has no spread."""
    spread = f" ± {statistics.stdev(values):{form.lstrip('+')}}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):{form}}{spread}"
