"""Which code from outside the package figures come from."""

from __future__ import annotations

from ltgen_bench.scoring import extractors, metric_table


def scoring_code(features: str) -> dict[str, str]:
    """{"metric mine": fingerprint, "extractor own": ...} of what scores in these features; the suite's own code has
    versions instead. Raises UsageError for what cannot be imported."""
    return metric_table.plugin_code() | extractors.plugin_code(features)
