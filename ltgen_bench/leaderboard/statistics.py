"""What a table shows of a record: its columns, the figures behind them, their mean and spread."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ltgen_bench.runs.record import Record
from ltgen_bench.scoring.metric_table import ARROWS, MetricInfo, metric_name, metric_table, shown

BOLD_FROM = 3
"""Seeds a row needs before it can be marked best."""


@dataclass(frozen=True)
class Column:
    """A column of the main table."""

    metric: str
    group: str

    @property
    def info(self) -> MetricInfo:
        return metric_table()[self.metric]

    def title(self, record: Record) -> str:
        """`FD-efflite0@96 minority ↓`."""
        return f"{figure_name(record, self.metric)} {self.group} {ARROWS[self.info.better]}"

    def figures(self, record: Record) -> dict[str, Any]:
        return figures_of(record, self.metric, self.group)

    def flags(self, record: Record) -> set[str]:
        """What the scorer warns of: "n<4d" (biased), "n<d" (too biased to rank), "memorised"."""
        of_group = (self.figures(record), figures_of(record, "memorised", self.group))
        return {str(figures["flag"]) for figures in of_group if "flag" in figures}


DISTANCE = Column("FD", "overall")
"""What rows are sorted by."""


def columns(metric: str | None = None) -> list[Column]:
    """Those of all metrics, or of one, in the order of tables."""
    return [Column(n, group) for n, info in shown().items() if metric in (None, n) for group in info.columns]


def figures_of(record: Record, metric: str, group: str) -> dict[str, Any]:
    """What a record knows of a metric and group; empty when it has none."""
    return dict(record.scores.get(figure_name(record, metric), {}).get(group, {}))


def figure_name(record: Record, metric: str) -> str:
    """What a metric is called in this record."""
    return metric_name(metric, record.eval.features)


def mean_and_spread(values: Sequence[float], form: str) -> str:
    """mean ± sample standard deviation (n - 1); one value has no spread."""
    spread = f" ± {statistics.stdev(values):{form.lstrip('+')}}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):{form}}{spread}"
