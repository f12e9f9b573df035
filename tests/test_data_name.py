"""Two folders of the user's own images do not share a page when they have names."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from image_files import animals, noise, plugin, png, tree

from ltgen_bench.errors import UsageError
from ltgen_bench.planning.plan import Request, plan
from ltgen_bench.runs.job import DataOptions
from ltgen_bench.runs.reproduce import command_line

pytestmark = pytest.mark.usefixtures("folder")
Cli = Callable[..., Any]
SMALL = {f"{c}/{i}.png": png(noise(i + 100 * n)) for n, c in enumerate("abc") for i in range(20)}
SETTINGS = ("train.steps=2", "sample.steps=1", "sample.images=30")


def test_the_name_is_part_of_the_spec_and_of_the_paths(tmp_path: Path) -> None:
    path = str(tree(tmp_path / "t", SMALL))
    plain = DataOptions(None, data=path).load("imagefolder")
    named = DataOptions(None, data=path, data_name="birds").load("imagefolder")
    assert (plain.spec.name, named.spec.name) == ("imagefolder", "imagefolder-birds")
    assert DataOptions(None, data=path).load("imagefolder-birds").spec == named.spec
    for dataset, data_name in (("imagefolder", "birds"), ("imagefolder-birds", None)):
        options = DataOptions(None, data=path, data_name=data_name)
        (job,) = plan(Request(["ddpm"], [dataset], preset="smoke", settings=SETTINGS, data=options), tmp_path / "runs")
        assert job.run_folder.path.parent == tmp_path / "runs" / "imagefolder-birds" / "ddpm"
        assert type(job).from_json(json.loads(json.dumps(job.to_json()))) == job
        words = command_line(job.run, job.eval)
        assert "--dataset imagefolder --data PATH --data-name birds " in shlex.join(words)


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a b", "a|b", "é", "x" * 41, "a-", "a\n"])
def test_names_that_no_path_should_have_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"--data-name '.*': give 1 to 40 of the letters"):
        plugin("imagefolder")(data_name=name)


def test_only_ones_own_images_have_a_name() -> None:
    with pytest.raises(UsageError, match="digitslt has its own images and its own name: leave out --data-name"):
        plugin("digitslt")(data_name="mine")
    with pytest.raises(UsageError, match="--data-name cats: the dataset is called birds already, leave it out"):
        DataOptions(data_name="cats").load("imagefolder-birds")


def test_run_prepare_and_score_take_it(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tree(tmp_path / "t", SMALL)
    data = ("--data", path, "--data-name", "birds")
    got = cli("prepare", "imagefolder", *data)
    assert (got.code, got.err) == (0, "")
    assert got.out.splitlines()[1:] == [
        "60 images of 8x8 RGB",
        "3 classes, id: name (images): 0: a (20), 1: b (20), 2: c (20)",
    ]
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    run = (
        "run",
        "--method",
        "ddpm",
        "--dataset",
        "imagefolder",
        *data,
        "--imbalance",
        4,
        "--preset",
        "smoke",
        *settings,
    )
    got = cli(*run, "--dry-run")
    assert (got.code, got.err) == (0, "")
    assert got.out.startswith("imagefolder-birds ddpm seed 0 (")
    assert got.out.endswith(
        "imagefolder-birds: 35 training images of 8x8 RGB, 60 to score against\n"
        "3 classes, id: name (images): 0: a (20), 1: b (10), 2: c (5)\n"
    )
    assert cli("score", "3f2a", "--data-name", "x").err.startswith("error: --data-name goes with --samples")
    score = ("score", "--samples", path, "--dataset", "imagefolder", *data, "--imbalance", "none", "--device", "cpu")
    got = cli(*score, "--features", "efflite0@32")
    assert (got.code, got.err) == (0, "")
    assert got.out.lstrip().startswith("imagefolder-birds t made elsewhere (")
    (spec,) = tmp_path.glob("runs/imagefolder-birds/elsewhere/*/spec.json")
    again = cli("score", spec.parent.name, "--data", path, "--features", "efflite0@64", "--device", "cpu")
    assert (again.code, again.err) == (0, "")
    assert "--data-name birds" in cli("show", "run", spec.parent.name).out


def test_images_without_a_name_stay_where_they_are(tmp_path: Path) -> None:
    data = plugin("imagefolder")(data=tree(tmp_path / "t", animals()), imbalance=None).load()
    assert data.spec.name == "imagefolder"
