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
    import numpy as np
    import pandas as pd

    records = ordered(records)
    # What identifies a record is the same in all its rows: made once for each, not once for each figure.
    scores = [record.scores for record in records]
    rows = np.repeat(np.arange(len(records)), [sum(map(len, found.values())) for found in scores])
    same = pd.DataFrame([identity(record) for record in records]).take(rows).reset_index(drop=True)
    # Lists of what is there already: a new object for each of a million figures has the collector go through them all.
    same["metric"] = [metric for found in scores for metric, groups in found.items() for _ in groups]
    same["group"] = [group for found in scores for groups in found.values() for group in groups]
    values = pd.DataFrame([values for found in scores for groups in found.values() for values in groups.values()])
    return pd.concat([same, values.rename(columns={name: f"figure.{name}" for name in same})], axis=1)


def identity(record: Record) -> dict[str, Any]:
    """What identifies a record, and when it was made: settings by the names that `--set` has."""
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
        "trained_on": record.trained_on,
    }
