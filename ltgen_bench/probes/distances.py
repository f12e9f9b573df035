"""Distances of changed networks from real images, with the errors and marks that they have on leaderboards."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ltgen_bench.leaderboard.notes import flag_notes, mark
from ltgen_bench.probes.probe_file import ProbeFile
from ltgen_bench.scoring.headline import DISTANCES
from ltgen_bench.scoring.metric_table import metric_name, metric_table
from ltgen_bench.spec.specs import EvalSpec

if TYPE_CHECKING:
    from ltgen_bench.probes.variants import Scores

RANDOM = "random"
Cell = tuple[float | None, float | None]
"""A value and what follows ±; None for what is not known."""


def metrics(found: ProbeFile) -> dict[str, str]:
    """{distance: its name in the features} of those that the changed networks have."""
    if "scores" not in found.result:
        return {}
    names = {metric: metric_name(metric, evaluation(found).features) for metric in DISTANCES}
    return {metric: name for metric, name in names.items() if name in found.result["scores"]["trained"]}


def evaluation(found: ProbeFile) -> EvalSpec:
    """How the changed networks were scored."""
    spec = found.spec.eval  # type: ignore[attr-defined]
    assert isinstance(spec, EvalSpec)
    return spec


def table(found: ProbeFile, metric: str) -> dict[str, dict[str, str]]:
    """A distance ± standard error and marks, {variant: {scope: ...}}; several random ones as one, their mean ± the
    standard deviation between them."""
    scores: Mapping[str, Scores] = found.result["scores"]
    name, decimals = metrics(found)[metric], metric_table()[metric].decimals
    random = [variant for variant in scores if variant.startswith(RANDOM)]
    rows = {variant: [variant] for variant in scores if variant not in random} | ({RANDOM: random} if random else {})

    def shown(variants: Sequence[str], scope: str) -> str:
        of = [scores[variant][name][scope] for variant in variants]
        value, error = spread([f["value"] for f in of]) if variants == random else (of[0]["value"], of[0].get("se"))
        text = f"{value:.{decimals}f}" + ("" if error is None else f" ± {error:.{decimals}f}")
        return text + mark(set().union(*(_flags(scores[variant], name, scope) for variant in variants)))

    return {row: {scope: shown(of, scope) for scope in scores[of[0]][name]} for row, of in rows.items()}


def flags(found: ProbeFile, *of: str) -> set[str]:
    """What the scorer warns of in these distances of any of the networks."""
    names = [metrics(found)[metric] for metric in of]
    scores: Mapping[str, Scores] = found.result.get("scores", {})
    return {
        flag for one in scores.values() for name in names for scope in one[name] for flag in _flags(one, name, scope)
    }


def notes(marked: set[str]) -> list[str]:
    """What the marks of these flags mean."""
    copies = f"{mark({'memorised'}).strip()} memorised: many of these images are copies of training images, and copies "
    return flag_notes(marked) + ([copies + "win every score."] if "memorised" in marked else [])


def spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean, and standard deviation of two and more."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def _flags(scores: Scores, name: str, scope: str) -> set[str]:
    """Of the figure itself, and of copies among the images."""
    of = (scores.get(metric, {}).get(scope, {}) for metric in (name, "memorised"))
    return {figures["flag"] for figures in of if "flag" in figures}
