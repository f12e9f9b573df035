"""`probe width`, from the first step to the page."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.xdist_group("run"), pytest.mark.skipif(os.name != "posix", reason="needs signals")]

SETTINGS = [
    *("net.layers=1", "train.steps=4", "train.batch=8", "train.warmup=2", "train.ema=0.5"),
    *("sample.images=120", "sample.steps=1"),
]


def test_a_grid_makes_its_page_and_goes_on_with_the_same_command(
    cli: Callable[..., Any], runs: Path, warm_workers: None
) -> None:
    command = ["probe", "width", "--method", "ddpm", "--dataset", "digitslt", "--widths", "4,8", "--device", "cpu"]
    command += ["--features", "efflite0@32", "--launcher", "local", "--runs", str(runs)]
    command += [word for setting in SETTINGS for word in ("--set", setting)]
    done = cli(*command)
    assert done.code == 0, done.err
    made = [Path(line) for line in done.out.splitlines()[-3:]]
    assert [path.suffix for path in made] == [".json", ".md", ".png"]
    cells = json.loads(made[0].read_text())["cells"]
    assert [cell["parameters"] for cell in cells] == [5_053, 18_873]
    before = [path.read_bytes() for path in made]

    results = sorted(runs.glob("digitslt/ddpm/*/result-*.json"))
    assert {path.parent.name for path in results} == {run for cell in cells for run in cell["runs"]}
    results[0].unlink()
    done = cli(*command)
    assert done.code == 0, done.err
    assert "1/1" in done.out  # the other one is done
    assert [path.read_bytes() for path in made] == before
