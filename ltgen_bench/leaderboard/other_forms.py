"""The forms of a figure that papers print beside the suite's own, and how many images it is from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ltgen_bench.leaderboard.statistics import figures_of, mean_and_spread
from ltgen_bench.runs.record import Record
from ltgen_bench.spec.specs import MetricSpec


class Form(NamedTuple):
    """usual: what the value is. other: what another figure of the record is, by its name there."""

    usual: str
    figure: str
    other: str


_K = Form("k = 5", "k3", "k = 3")
FORMS = {
    "IS": Form("of all images", "split_mean", "mean of ten splits"),
    "KID": Form("of all pairs", "subsets_mean", "mean of 100 subsets"),
    **dict.fromkeys(("recall", "precision", "recall-all", "precision-all"), _K),
}
"""By metric."""

_COUNTED = FORMS.keys() - {"IS"} | {"F8", "F1/8"}  # of as many real as generated images, which need not be all


def other_form(records: Sequence[Record], metric: MetricSpec) -> str:
    """Mean and spread over all classes of what stands beside the value; empty where a record lacks it."""
    form = FORMS.get(metric.name)
    found = [figures_of(record, metric, "overall").get(form.figure) for record in records] if form else []
    values = [value for value in found if value is not None]
    return mean_and_spread(values, f".{metric.decimals}f") if values and len(values) == len(found) else ""


def how_computed(records: Sequence[Record], metric: MetricSpec) -> str:
    """`k = 5, 10,000 real v 10,000 generated`, of all classes; empty where there is nothing to say."""
    overall = [found for record in records if (found := figures_of(record, metric, "overall"))]
    said = []
    if (form := FORMS.get(metric.name)) and any(form.figure in found for found in overall):
        said.append(form.usual)
    if metric.name in _COUNTED and overall and all("n_real" in found and "n_gen" in found for found in overall):
        real, generated = ({found[n] for found in overall} for n in ("n_real", "n_gen"))
        said.append(f"{_number(real)} real v {_number(generated)} generated")
    return ", ".join(said)


def _number(sizes: set[int]) -> str:
    return " to ".join(f"{n:,}" for n in sorted({min(sizes), max(sizes)}))
