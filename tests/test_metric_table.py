"""Metrics are found in their files, built in or not, and shown by what stands there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ltgen_bench.scoring.metric_table import SCOPES, load_metric, metric_name, metric_table, plugin_metrics, shown

SPREAD = '''
import torch

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
from ltgen_bench.spec.specs import ScoreSpec

labels = np.repeat(np.arange(2), 20)
draw = lambda seed: Images(np.random.default_rng(seed).integers(0, 256, (40, 4, 4, 1), np.uint8), labels)
network = lambda x: (x.mean((1, 2)), x[:, :0, 0, 0])
extractor = Extractor("rows", "0" * 64, 4, 4, 8, torch.device("cpu"), network)
scores = Scoring(draw(0), RealImages(draw(1), Groups.from_counts([2, 1])), extractor).scores()
spec = ScoreSpec("rows", "0" * 64, "0" * 64, {}, 1, metrics=plugin_metrics())
plain = ScoreSpec("rows", "0" * 64, "0" * 64, {}, 1)
found = {"scores": scores.get("spread-rows"), "shown": list(shown()), "plugins": plugin_metrics()}
print(json.dumps(found | {"same id": spec.eval_id == plain.eval_id}))
"""


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
    assert found["shown"] == ["FD", "IS", "recall", "precision", "spread"]
    assert (found["plugins"], found["same id"]) == ({"spread": 3}, False)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("images.generated.features.std() / images.real.features.std()", "float('nan')", "spread overall is nan"),
        ('"higher"', '"up"', '''better must be "lower", "higher" or None, not 'up\''''),
        ('("overall",)', '("tail",)', "columns may be overall, majority, medium, minority, not 'tail'"),
        ('"spread"', '"KID"', "two metrics are named 'KID'"),
        ("import torch", "import tourch", "cannot be imported: ModuleNotFoundError"),
        ("(Metric)", "", "is no subclass of ltgen_bench.scoring.metric.Metric"),
    ],
)  # fmt: skip
def test_a_metric_that_cannot_be_used_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "spread.py").write_text(SPREAD.replace(old, new))
    result = in_folder(tmp_path, SCORE.replace("scores = ", "plugin_metrics()\nscores = "))
    assert result.returncode == 1
    assert message in result.stderr.splitlines()[-1]
    assert "UsageError" in result.stderr.splitlines()[-1]


def test_the_table_is_read_without_torch() -> None:
    program = "import sys; from ltgen_bench.scoring.metric_table import shown; shown(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"


def test_the_table_says_what_the_classes_say() -> None:
    for name, info in metric_table().items():
        metric = load_metric(name)
        for attribute in ("name", "better", "decimals", "columns", "of_features", "version"):
            assert getattr(info, attribute) == getattr(metric, attribute), (name, attribute)
        assert info.built_in
    assert plugin_metrics() == {}
    for info in shown().values():
        assert info.better
        assert set(info.columns) <= set(SCOPES)


def test_names_are_those_of_the_literature_in_inceptions_features_alone() -> None:
    assert [metric_name(name, "inception") for name in ("FD", "IS", "recall")] == ["FID", "IS", "recall"]
    assert metric_name("FD", "efflite0@96") == "FD-efflite0@96"
    assert metric_name("duplicates", "efflite0@96") == metric_name("duplicates", "inception") == "duplicates"
    assert metric_table()["FD"].title("inception") == "FID ↓"
