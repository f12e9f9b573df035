"""All metrics and how they are shown: read from their files, without torch."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import ltgen_bench.scoring.metrics
from ltgen_bench.errors import UsageError
from ltgen_bench.registry import Entry, Registry
from ltgen_bench.scoring.metric import Metric

SCOPES = ("overall", "majority", "medium", "minority")
"""What tables may have columns and lines for."""

ARROWS = {"lower": "↓", "higher": "↑", None: ""}

_FIRST = ("FD", "IS", "recall", "precision")  # in tables, before all others


@dataclass(frozen=True)
class MetricInfo:
    """The attributes of a `Metric`, and whether it comes with the package."""

    name: str
    better: Literal["lower", "higher"] | None
    decimals: int
    columns: tuple[str, ...]
    of_features: bool
    version: int
    built_in: bool

    def title(self, features: str) -> str:
        """For a heading: `FID ↓`, `recall-efflite0@96 ↑`."""
        return f"{metric_name(self.name, features)} {ARROWS[self.better]}".rstrip()


@functools.cache
def metric_table() -> dict[str, MetricInfo]:
    """All metrics by name, in the order of tables. Raises UsageError when two have the same name."""
    found = {name: _info(entry) for name, entry in metrics().entries().items()}
    first = [name for name in _FIRST if name in found]
    return {name: found[name] for name in (*first, *sorted(found.keys() - set(first)))}


def shown() -> dict[str, MetricInfo]:
    """Those that tables have columns for."""
    return {name: info for name, info in metric_table().items() if info.columns}


def metric_name(metric: str, features: str) -> str:
    """What a metric is called in records and tables: `FD-efflite0@96`.

    In Inception's features it is the figure of the literature, with its name: `FID`, `IS`, `recall`.
    """
    info = metric_table().get(metric)
    if info and not info.of_features:
        return metric
    if features == "inception":
        return "FID" if metric == "FD" else metric
    return f"{metric}-{features}"


def plugin_metrics() -> dict[str, int]:
    """Name and version of each metric from outside the package, all of which are in use.

    Raises UsageError for one that cannot be imported or whose attributes make no sense.
    """
    return {name: _checked(name).version for name, info in metric_table().items() if not info.built_in}


def load_metric(name: str) -> Metric:
    """Raises UsageError for an unknown name or a file that cannot be imported."""
    return metrics().load(name)()


def metrics() -> Registry[Metric]:
    return Registry("metric", ltgen_bench.scoring.metrics.__path__, ltgen_bench.scoring.metrics.__name__)


def _info(entry: Entry) -> MetricInfo:
    values: dict[str, Any] = dict(entry.constants)
    if ":" in entry.module:  # of an installed package: its file is not known before it is imported
        kind = metrics().load(entry.name)
        values = {name: getattr(kind, name) for name in MetricInfo.__dataclass_fields__ if hasattr(kind, name)}
    defaults = {name: values.get(name, getattr(Metric, name)) for name in _DEFAULTS}
    built_in = Path(entry.origin).parent == ltgen_bench.scoring.metrics.BUILT_IN
    return MetricInfo(entry.name, **defaults, built_in=built_in)


_DEFAULTS = ("better", "decimals", "columns", "of_features", "version")


def _checked(name: str) -> type[Metric]:
    kind, where = metrics().load(name), f"metric {name!r} ({metrics().entries()[name].origin})"
    if not issubclass(kind, Metric):
        raise UsageError(f"{where} is no subclass of ltgen_bench.scoring.metric.Metric")
    if kind.better not in ARROWS:
        raise UsageError(f'{where}: better must be "lower", "higher" or None, not {kind.better!r}')
    if unknown := [scope for scope in kind.columns if scope not in SCOPES]:
        raise UsageError(f"{where}: columns may be {', '.join(SCOPES)}, not {unknown[0]!r}")
    for attribute in ("decimals", "version"):
        if not isinstance(value := getattr(kind, attribute), int) or value < 0:
            raise UsageError(f"{where}: {attribute} must be a whole number, not {value!r}")
    return kind
