"""Every figure of many records as a table to work with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ltgen_bench.leaderboard.rows import ordered
from ltgen_bench.leaderboard.tables import eval_settings, flat
from ltgen_bench.runs.record import Record
from ltgen_bench.spec.serialise import to_json

if TYPE_CHECKING:
    import pandas as pd


def figures(records: Iterable[Record]) -> pd.DataFrame:
    """Every figure of all records: one row per record, metric and group (or class), with all that identifies them.

    Columns are named as `--set` names the settings: `train.steps`, `sample.omega`, `cm.w_div`. A table of distances:
    `frame[frame.metric.str.startswith("FD-")].pivot_table("value", ["method", "train.steps"], "group")`.
    """
    import pandas as pd

    return pd.DataFrame(
        {**_identity(record), "metric": metric, "group": group, **found}
        for record in ordered(records)
        for metric, groups in record.scores.items()
        for group, found in groups.items()
    )


def _identity(record: Record) -> dict[str, Any]:
    run = to_json(record.run)
    methods = {m["name"]: m["params"] | {"version": m["version"]} for m in run.pop("methods", ())}
    return {
        "dataset": record.run.dataset.name,
        "method": record.run.method,
        "name": record.run.label,
        "seed": record.run.seed,
        "run_id": record.run_id,
        "config_id": record.run.config_id,
        "eval_id": record.eval_id,
        **dict(flat(run | methods | eval_settings(record))),
        **{name: record.provenance.get(name) for name in ("commit", "dirty", "finished")},
    }
