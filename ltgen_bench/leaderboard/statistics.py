"""What a table shows of a record: its columns, the figures behind them, their mean and spread."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ltgen_bench.leaderboard.paired import deviation
from ltgen_bench.runs.record import Record
from ltgen_bench.scoring.headline import DISTANCES
from ltgen_bench.scoring.metric_table import ARROWS, metric_name, metric_table, shown
from ltgen_bench.spec.specs import MetricSpec


@dataclass(frozen=True)
class Column:
    """A column of the main table."""

    metric: str
    group: str
    brought: MetricSpec | None = None  # by the record, for a metric that need not be installed here

    @property
    def info(self) -> MetricSpec:
        return self.brought or metric_table()[self.metric]

    def title(self, record: Record) -> str:
        """`FD64 minority ↓`: the features stand once above a table."""
        return f"{short_name(record, self.info)} {self.group} {ARROWS[self.info.better]}".rstrip()

    def figures(self, record: Record) -> Mapping[str, Any]:
        return figures_of(record, self.info, self.group)

    def flags(self, record: Record) -> set[str]:
        """What the scorer warns of: "n<4d" (biased), "n<d" (too biased to rank), "memorised"."""
        of_group = (self.figures(record), figures_of(record, "memorised", self.group))
        return {str(figures["flag"]) for figures in of_group if "flag" in figures}


def columns(metrics: Iterable[MetricSpec] = (), groups: Sequence[str] | None = None) -> list[Column]:
    """Those of tables, in their order; of a metric from outside the package where records bring it with them.

    groups: in place of each metric's own.
    """
    brought = {spec.name: spec for spec in metrics}
    return [
        Column(name, group, brought.get(name))
        for name, spec in shown(brought.values()).items()
        for group in groups or spec.columns
    ]


def shown_metrics(records: Iterable[Record]) -> list[MetricSpec]:
    """What is shown of a table: distances, then all that have columns, then label accuracy."""
    brought = {spec.name: spec for record in records for spec in record.eval.metrics}
    known = {**metric_table(), **brought}
    return [known[name] for name in dict.fromkeys([*DISTANCES, *shown(brought.values()), "accuracy"])]


def figures_of(record: Record, metric: str | MetricSpec, group: str) -> Mapping[str, Any]:
    """What a record knows of a metric and group; empty when it has none."""
    return record.scores.get(figure_name(record, metric), {}).get(group, {})


def figure_name(record: Record, metric: str | MetricSpec) -> str:
    """What a metric is called in this record."""
    return metric_name(metric, record.eval.features)


def short_name(record: Record, metric: str | MetricSpec) -> str:
    """The same without the features: `FD64`, or `FID` in Inception's; `label accuracy`, which says of what."""
    name = figure_name(record, metric).removesuffix(f"-{record.eval.features}")
    return "label accuracy" if name == "accuracy" else name


def mean_and_spread(values: Sequence[float], form: str) -> str:
    """mean ± sample standard deviation (n - 1); one value has no spread."""
    spread = f" ± {deviation(values):{form.lstrip('+')}}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):{form}}{spread}"
