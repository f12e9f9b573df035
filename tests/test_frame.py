"""Every figure as a table: complete, and made in a time that grows with the figures alone."""

from __future__ import annotations

import subprocess
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from ltgen_bench.leaderboard import frame
from ltgen_bench.leaderboard.frame import figures
from ltgen_bench.runs.record import Record, read_records
from ltgen_bench.spec import serialise

MakeRecord = Callable[..., Record]


def test_what_identifies_a_record_is_made_once_not_once_for_each_figure(make_record: MakeRecord) -> None:
    records = [make_record("cm", 9.0), make_record("ddpm", 12.0)]
    with mock.patch.object(frame, "identity", wraps=frame.identity) as made:
        assert len(figures(records)) == sum(len(groups) for r in records for groups in r.scores.values())
    assert made.call_count == len(records)


def test_reading_looks_up_no_types_again_and_makes_no_message(make_record: MakeRecord, tmp_path: Path) -> None:
    for seed in range(3):
        make_record(seed=seed).write(tmp_path / f"{seed}.json")
    Record.read(tmp_path / "0.json")
    with (
        mock.patch.object(typing, "get_type_hints", wraps=typing.get_type_hints) as types,
        mock.patch.object(serialise, "unknown", wraps=serialise.unknown) as messages,
    ):
        records, problems = read_records(tmp_path, "*.json")
    assert (len(records), problems) == (3, [])
    assert (types.call_count, messages.call_count) == (0, 0)


def test_a_figure_named_as_a_setting_keeps_both(make_record: MakeRecord) -> None:
    record = make_record(seed=3)
    record.scores["depth-efflite0@96"] = {"overall": {"value": 1.0, "seed": 7, "group": 2}}  # type: ignore[index]
    table = figures([record])
    (row,) = table[table.metric == "depth-efflite0@96"].to_dict("records")
    assert (row["seed"], row["figure.seed"], row["group"], row["figure.group"]) == (3, 7, "overall", 2)


def test_no_records_give_an_empty_table() -> None:
    assert figures([]).empty


def test_results_are_loaded_without_torch() -> None:
    """Which takes seconds, and half a gigabyte."""
    command = "import sys, ltgen_bench; ltgen_bench.load_results('.'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", command], check=True)
