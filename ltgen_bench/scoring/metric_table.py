"""All metrics and how they are shown: read from their files, without torch."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import ltgen_bench.scoring.metrics
from ltgen_bench.errors import UsageError, unknown
from ltgen_bench.registry import Entry, Registry
from ltgen_bench.scoring.metric import Metric
from ltgen_bench.source_code import fingerprint
from ltgen_bench.spec.serialise import canonical
from ltgen_bench.spec.specs import DECIMALS, MetricSpec

SCOPES = ("overall", "majority", "medium", "minority")
"""What tables may have columns and lines for."""

ARROWS = {"lower": "↓", "higher": "↑", None: ""}

REMARKS = {
    "labels?": "a classifier of real images takes {value:.2f} of these for what they are labelled, no more than by "
    "guessing, and {ceiling:.2f} of real ones: the labels count the classes in another order than the dataset, or the "
    "images do not show their classes",
}
"""What to say beside the scores where a figure of all classes has this flag."""

_INCEPTION = {"inception": "", "inception-legacy": "-legacy"}
"""Extractors in which the distance is FID, and what is added to the names of their metrics."""

_FIRST = ("FD", "IS", "recall", "precision")  # in tables, before all others


@functools.cache
def metric_table() -> dict[str, MetricSpec]:
    """All metrics by name, in the order of tables. Raises UsageError when two have the same name."""
    found = {name: _spec(entry) for name, entry in _entries().items()}
    first = [name for name in _FIRST if name in found]
    return {name: found[name] for name in (*first, *sorted(found.keys() - set(first)))}


def shown(metrics: Iterable[MetricSpec] = ()) -> dict[str, MetricSpec]:
    """Those that tables have columns for: of the built-in ones, and of `metrics`, which a record brings with it."""
    built_in = (spec for name, spec in metric_table().items() if _built_in(name))
    return {spec.name: spec for spec in (*built_in, *metrics) if spec.columns}


def metric_name(metric: str | MetricSpec, features: str) -> str:
    """What a metric is called in records and tables: `FD-efflite0@96`.

    In Inception's features it is the figure of the literature, with its name: `FID`, `IS`, `recall`; where their input
    is the long-tail papers', `FID-legacy`, `IS-legacy`, `recall-legacy`.
    """
    spec = metric_table().get(metric) if isinstance(metric, str) else metric
    name = metric if isinstance(metric, str) else metric.name
    if spec and not spec.of_features:
        return name
    if features in _INCEPTION:
        return ("FID" if name == "FD" else name) + _INCEPTION[features]
    return f"{name}-{features}"


def metric_title(metric: str | MetricSpec, features: str) -> str:
    """For a heading: `FID ↓`, `recall-efflite0@96 ↑`."""
    spec = metric_table().get(metric) if isinstance(metric, str) else metric
    return f"{metric_name(metric, features)} {ARROWS[spec.better if spec else None]}".rstrip()


def remarks(scores: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """What the figures of a record ask to be said beside them, in sentences without a full stop."""
    overall = (groups.get("overall", {}) for _, groups in sorted(scores.items()))
    return [REMARKS[flag].format(**found) for found in overall if (flag := str(found.get("flag"))) in REMARKS]


def plugin_metrics() -> tuple[MetricSpec, ...]:
    """The metrics from outside the package, all of which are in use, by name.

    Raises UsageError for one that cannot be imported or whose attributes make no sense.
    """
    return tuple(_checked(name) for name in sorted(metric_table()) if not _built_in(name))


def plugin_code() -> dict[str, str]:
    """{"metric mine": fingerprint} of the metrics from outside the package. Raises UsageError as `plugin_metrics`."""
    return {f"metric {spec.name}": fingerprint(load_metric(spec.name)) for spec in plugin_metrics()}


def load_metric(name: str) -> type[Metric]:
    """Raises UsageError for an unknown metric, and for a file that cannot be imported."""
    if name not in _entries():
        raise unknown("metric", name, _entries())
    return _REGISTRY.import_entry(_entries()[name])


_REGISTRY: Registry[Metric] = Registry(
    "metric", ltgen_bench.scoring.metrics.__path__, ltgen_bench.scoring.metrics.__name__
)


@functools.cache
def _entries() -> dict[str, Entry]:
    return _REGISTRY.entries()


def _built_in(name: str) -> bool:
    return Path(_entries()[name].origin).parent == ltgen_bench.scoring.metrics.BUILT_IN


def _spec(entry: Entry) -> MetricSpec:
    values: Mapping[str, Any] = entry.constants
    if ":" in entry.module:  # of an installed package: its file is not known before it is imported
        with contextlib.suppress(UsageError):  # for who plans with it, not for who reads a table
            kind = _REGISTRY.import_entry(entry)
            values = {name: getattr(kind, name) for name in _SHOWN if hasattr(kind, name)}
    return MetricSpec(entry.name, **{name: values.get(name, getattr(Metric, name)) for name in _SHOWN})


_SHOWN = ("version", "better", "decimals", "columns", "of_features")


def _checked(name: str) -> MetricSpec:
    where = f"metric {name!r} ({_entries()[name].origin})"
    _REGISTRY.import_entry(_entries()[name])
    try:
        spec = canonical(metric_table()[name])
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
    if unknown := [scope for scope in spec.columns if scope not in SCOPES]:
        raise UsageError(f"{where}: columns may be {', '.join(SCOPES)}, not {unknown[0]!r}")
    if not 0 <= spec.decimals <= DECIMALS:
        raise UsageError(f"{where}: decimals must be from 0 to {DECIMALS}, not {spec.decimals}")
    return spec
