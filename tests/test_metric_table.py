"""Metrics are found in their files, built in or not, and shown by what stands there."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ltgen_bench.errors import UsageError
from ltgen_bench.leaderboard.pages.of_dataset import build
from ltgen_bench.leaderboard.tables import tables
from ltgen_bench.leaderboard.text import score_text
from ltgen_bench.runs.record import Record
from ltgen_bench.scoring.feature_sets import Figures
from ltgen_bench.scoring.metric_table import (
    SCOPES,
    load_metric,
    metric_name,
    metric_table,
    metric_title,
    plugin_metrics,
    shown,
)
from ltgen_bench.scoring.scorer import checked
from ltgen_bench.spec.serialise import from_json
from ltgen_bench.spec.specs import MetricSpec

SPREAD = '''
import math

from ltgen_bench.scoring.metric import Metric


class Spread(Metric):
    """Standard deviation of generated features, over that of real ones."""

    name = "spread"
    better = "higher"
    decimals = 1
    columns = ("overall",)
    version = 3

    def compute(self, images):
        return images.generated.features.std() / images.real.features.std()
'''

SCORE = """
import json, sys
import numpy as np, torch
from ltgen_bench.data.groups import Groups
from ltgen_bench.data.images import Images
from ltgen_bench.scoring.extractors import Extractor
from ltgen_bench.scoring.metric_table import plugin_metrics, shown
from ltgen_bench.scoring.scorer import RealImages, Scoring
from ltgen_bench.spec.serialise import from_json, to_json
from ltgen_bench.spec.specs import ScoreSpec

labels = np.repeat(np.arange(2), 20)
draw = lambda seed: Images(np.random.default_rng(seed).integers(0, 256, (40, 4, 4, 1), np.uint8), labels)
network = lambda x: (x.mean((1, 2)), x[:, :0, 0, 0])
extractor = Extractor("rows", "0" * 64, 4, 4, 8, torch.device("cpu"), network)
scores = Scoring(draw(0), RealImages(draw(1), Groups.from_counts([2, 1])), extractor).scores()
spec = ScoreSpec("rows", "0" * 64, "0" * 64, {}, 1, metrics=plugin_metrics())
plain = ScoreSpec("rows", "0" * 64, "0" * 64, {}, 1)
assert from_json(ScoreSpec, json.loads(json.dumps(to_json(spec)))).eval_id == spec.eval_id
found = {"scores": scores.get("spread-rows"), "plugins": to_json(spec)["metrics"]}
found["shown"] = list(shown(spec.metrics))
print(json.dumps(found | {"same id": spec.eval_id == plain.eval_id}))
"""

CHECK = "from ltgen_bench.scoring.metric_table import plugin_metrics; plugin_metrics()"


def in_folder(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    """Run a program that finds the plugins of a folder."""
    environment = os.environ | {"LTGEN_PLUGINS": str(folder)}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, cwd=folder)


def test_a_metric_in_a_file_outside_the_package_is_in_records_tables_and_identity(tmp_path: Path) -> None:
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "spread.py").write_text(SPREAD)
    found = json.loads(in_folder(tmp_path, SCORE).stdout)
    assert list(found["scores"]) == ["overall", "majority", "minority"]
    assert found["scores"]["overall"]["value"] == pytest.approx(1, abs=0.2)
    assert (found["scores"]["minority"]["n_real"], found["scores"]["minority"]["n_gen"]) == (20, 20)
    assert found["shown"] == ["FD", "IS", "recall", "precision", "F1/8", "F8", "precision-all", "recall-all", "spread"]
    (spread,) = found["plugins"]
    assert spread == {
        "name": "spread", "version": 3, "better": "higher", "decimals": 1, "columns": ["overall"], "of_features": True
    }  # fmt: skip
    assert not found["same id"]
    # Where it is not installed, its record still says how to show it, and tables are the same.
    spec = from_json(MetricSpec, spread)
    assert list(shown([spec])) == [*shown(), "spread"]
    assert (metric_name(spec, "rows"), metric_title(spec, "rows")) == ("spread-rows", "spread-rows ↑")


def test_a_metric_of_an_installed_package_is_found_by_its_entry_point(tmp_path: Path) -> None:
    (tmp_path / "spreads.py").write_text(SPREAD)
    installed = tmp_path / "spreads-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: spreads\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[ltgen_bench.metrics]\nspread = spreads:Spread\n")
    found = json.loads(in_folder(tmp_path, SCORE).stdout)
    assert found["scores"]["overall"]["value"] == pytest.approx(1, abs=0.2)
    assert (found["plugins"][0]["version"], found["plugins"][0]["columns"]) == (3, ["overall"])
    (tmp_path / "spreads.py").unlink()
    assert "metric 'spread' (package spreads) cannot be imported" in in_folder(tmp_path, CHECK).stderr
    reading = in_folder(tmp_path, "from ltgen_bench.scoring.metric_table import shown; print(len(shown()))")
    assert reading.stdout == "8\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"higher"', '"up"', "MetricSpec.better"),
        ('("overall",)', '("tail",)', "columns may be overall, majority, medium, minority, not 'tail'"),
        ('"spread"', '"KID"', "two metrics are named 'KID'"),
        ("import math", "import maths", "cannot be imported: ModuleNotFoundError"),
        ("(Metric)", "", "is no subclass of ltgen_bench.scoring.metric.Metric"),
    ],
)  # fmt: skip
def test_a_metric_that_cannot_be_used_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "spread.py").write_text(SPREAD.replace(old, new))
    result = in_folder(tmp_path, CHECK)
    assert result.returncode == 1
    assert message in result.stderr.splitlines()[-1]
    assert "UsageError" in result.stderr.splitlines()[-1]


def test_tables_show_a_metric_that_is_in_the_records_and_not_installed(make_record: Callable[..., Record]) -> None:
    record = make_record()
    plain = build([record])["digitslt"]
    spread = MetricSpec("spread", 3, "higher", 1, ("overall",), True)
    scores = {**record.scores, "spread-efflite0@96": {"overall": {"value": 0.75, "n_real": 9, "n_gen": 9}}}
    brought = dataclasses.replace(record, eval=dataclasses.replace(record.eval, metrics=(spread,)), scores=scores)
    page = build([brought])["digitslt"]
    assert "\n**spread ↑**\n" in page
    assert "0.8" in page
    assert "spread" not in plain
    assert "spread ↑" in score_text(brought)
    in_three_decimals = dataclasses.replace(brought.eval, metrics=(dataclasses.replace(spread, decimals=3),))
    assert in_three_decimals.eval_id == brought.eval_id != record.eval_id
    (one,) = tables([brought, dataclasses.replace(brought, eval=in_three_decimals)])
    assert len(one.records) == 2
    newer = dataclasses.replace(brought.eval, metrics=(dataclasses.replace(spread, version=4),))
    titles = [table.title for table in tables([record, brought, dataclasses.replace(brought, eval=newer)])]
    assert {title.rpartition(", ")[2] for title in titles} == {f"metrics.spread {n}" for n in ("none", 3, 4)}


@pytest.mark.parametrize("value", [math.nan, math.inf, None, [1.0], "1.0"])
def test_a_figure_that_no_record_may_hold_is_refused(value: Any) -> None:
    good: Figures = {"value": np.float32(0.5), "n_gen": np.int64(3), "flag": "n<d"}  # type: ignore[dict-item]
    plain = checked("spread", {"overall": good})["overall"]
    assert json.loads(json.dumps(plain)) == {"value": 0.5, "n_gen": 3, "flag": "n<d"}
    with pytest.raises(UsageError, match="spread"):
        checked("spread", {"overall": good, "majority": {"value": value}})


def test_the_table_is_read_without_torch() -> None:
    program = "import sys; from ltgen_bench.scoring.metric_table import shown; shown(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"


def test_the_table_says_what_the_classes_say() -> None:
    for name, info in metric_table().items():
        for attribute, value in vars(info).items():
            assert getattr(load_metric(name), attribute) == value, (name, attribute)
    assert plugin_metrics() == ()
    for info in shown().values():
        assert info.better
        assert set(info.columns) <= set(SCOPES)


def test_names_are_those_of_the_literature_in_inceptions_features_alone() -> None:
    assert [metric_name(name, "inception") for name in ("FD", "IS", "recall")] == ["FID", "IS", "recall"]
    assert metric_name("FD", "efflite0@96") == "FD-efflite0@96"
    assert metric_name("duplicates", "efflite0@96") == metric_name("duplicates", "inception") == "duplicates"
    assert metric_title("FD", "inception") == "FID ↓"
