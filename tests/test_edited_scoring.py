"""A score is never taken for done when the metric or the extractor from outside the package was edited since."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ltgen_bench.data.long_tail import LongTail
from ltgen_bench.runs.record import read_records

METRIC = '''
from ltgen_bench.scoring.metric import Metric


class Spread(Metric):
    """Standard deviation of generated features, over that of real ones."""

    name = "spread"
    columns = ("overall",)

    def compute(self, images):
        return images.generated.features.std() / images.real.features.std()
'''
EXTRACTOR = '''
from ltgen_bench.scoring.extractor import Built, ExtractorFamily


class Corners(ExtractorFamily):
    """The corners of each channel."""

    name = "corners"
    multiple = 4

    def build(self, weights, path, size, device):
        return Built(lambda x: (x[:, :, ::size - 1, ::size - 1].flatten(1), x[:, :0, 0, 0]), 12, 4)
'''


def test_edited_code_asks_for_a_version_or_another_scoring(digits: LongTail, tmp_path: Path) -> None:
    chosen = np.concatenate([np.flatnonzero(digits.reference.labels == c)[:6] for c in range(10)])
    images = digits.reference[chosen]
    np.savez(tmp_path / "mine.npz", images=images.pixels, labels=images.labels)
    files = {"metrics/spread.py": METRIC, "extractors/corners.py": EXTRACTOR}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)

    def score(*more: str) -> subprocess.CompletedProcess[str]:
        return call("score", "--samples", "mine.npz", "--dataset", "digitslt", "--features", "corners@8", *more)

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ltgen_bench", *words],
            env=os.environ | {"LTGEN_PLUGINS": str(tmp_path)},
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )

    def kept() -> dict[str, Any]:
        """Of the only result: the code that it is by, and a figure."""
        (record,), _ = read_records(tmp_path / "runs", "*/*/*/result-*.json")
        return record.provenance["code"] | {"value": record.scores["spread-corners@8"]["overall"]["value"]}

    assert score().returncode == 0
    before = kept()
    assert before.keys() == {"metric spread", "extractor corners", "value"}
    metric, extractor = (tmp_path / name for name in files)
    metric.write_text(METRIC.replace("return ", "return 2 * "))
    extractor.write_text(EXTRACTOR.replace("x[", "1e30 * x["))
    got = score()
    assert got.returncode == 2
    assert got.stderr.startswith("error: extractor corners and metric spread: the code has been edited since ")
    assert "raise its `version`, which makes this another score, or give `score` --again, " in got.stderr
    got = score("--again")
    assert got.returncode == 2
    assert got.stderr.endswith("; it must be a finite number or a text\n")
    assert kept() == before  # nothing is lost by either
    extractor.write_text(EXTRACTOR.replace("[:, :, ::size - 1,", "[:, :, 1 :: size - 2,"))
    got = score("--again")
    assert got.returncode == 0, got.stderr
    now = kept()
    assert [key for key in before if now[key] == before[key]] == []
    assert now["value"] != pytest.approx(2 * before["value"], rel=1e-4)  # not of the features that were kept
    extractor.write_text(extractor.read_text().replace("    name", "    # a comment\n    name"))
    assert score().returncode == 0
    (folder,) = (tmp_path / "runs").glob("*/*/*/")
    got = call("publish", folder.name, "--folder", "boards")
    assert got.returncode == 0
    nobody = "is in no package and no commit: nobody else can make this result again"
    assert [
        f"note: {kind} ({path}) {nobody}" in got.stderr
        for kind, path in (("metric spread", metric), ("extractor corners", extractor))
    ] == [True, True]
