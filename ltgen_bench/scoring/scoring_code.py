"""Which code from outside the package figures come from."""

from __future__ import annotations

from collections.abc import Mapping

from ltgen_bench.scoring import extractors, metric_table
from ltgen_bench.source_code import LOADERS, Loader

PLUGINS: Mapping[str, Loader] = {
    **LOADERS,
    "metric": metric_table.load_metric,
    "extractor": extractors.load_family,
}
"""By kind, of all plugins that a result comes from."""


def scoring_code(features: str) -> dict[str, str]:
    """{"metric mine": fingerprint, "extractor own": ...} of what scores in these features; the suite's own code has
    versions instead. Raises UsageError for what cannot be imported."""
    return metric_table.plugin_code() | extractors.plugin_code(features)
