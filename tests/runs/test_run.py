"""A whole run on the digits by the command: what it says, what it leaves, and what can be done with that."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from whole_runs import (
    Finished,
    assert_same_result,
    command_of,
    contents,
    job_of,
    training_log,
)

from ltgen_bench.data.images import Images
from ltgen_bench.diffusion import model_folder
from ltgen_bench.leaderboard.pages.of_dataset import build
from ltgen_bench.storage import lock

pytestmark = [pytest.mark.xdist_group("run"), pytest.mark.skipif(os.name != "posix", reason="needs signals")]

Cli = Callable[..., Any]


def test_the_command_says_what_it_does_and_where_it_lies(finished: Finished) -> None:
    run_folder, out = finished.job.run_folder, finished.out
    assert out.startswith(f"[1/1] digitslt cm+cbdm seed 0: {run_folder.path}\n")
    assert re.search(r"^  training \d+/24", out, re.MULTILINE)
    assert "\n  done\n" in out
    assert f"\ndigitslt cm+cbdm seed 0 ({finished.job.run.run_id}), scored in efflite0@32\n" in out
    assert f"\nsamples: {run_folder.grid(finished.job.eval.sample)}\n" in out
    page, preset, then = out.splitlines()[-3:]
    assert page == f"leaderboard: {finished.runs}/digitslt.md"
    assert preset.startswith("preset smoke: a first look")
    assert (
        then
        == "next: the same command with --preset mini --seeds 0,1,2 and without --set train.steps, for a comparison"
    )
    assert "\x1b" not in out  # piped output is plain


def test_a_run_leaves_its_model_images_log_and_scores(finished: Finished) -> None:
    run_folder, sample = finished.job.run_folder, finished.job.eval.sample
    assert sorted(p.name for p in run_folder.path.iterdir()) == [
        "checkpoint.pt",
        "code.json",
        "log.txt",
        "model",
        "model-general",
        "progress.json",
        run_folder.result(finished.job.eval.eval_id).name,
        run_folder.extremes(finished.job.eval.eval_id).name,
        run_folder.samples(sample).name,
        run_folder.grid(sample).name,
        "spec.json",
        "train.jsonl",
    ]
    images = Images.load(run_folder.samples(sample))
    assert images.pixels.shape == (120, 8, 8, 1)
    assert np.bincount(images.labels).tolist() == [12] * 10
    with Image.open(run_folder.grid(sample)) as grid:
        assert grid.format == "PNG"
        assert np.asarray(grid.convert("L")).std() > 10
    log = training_log(run_folder)
    assert {"step", "loss", "denoise", "denoise/minority", "cm/capacity", "cbdm/balance", "grad_norm"} <= {*log.columns}
    assert np.isfinite(log["loss"]).all()


def test_the_record_holds_every_figure_of_every_group(finished: Finished) -> None:
    record = finished.record
    for metric in ("FD", "IS", "recall", "precision"):
        groups = record.scores[f"{metric}-efflite0@32"]
        assert {group: figures["n_gen"] for group, figures in groups.items()} == {
            "overall": 120,
            "majority": 36,
            "medium": 36,
            "minority": 48,
        }
        assert all(np.isfinite(figures["value"]) for figures in groups.values())
    assert record.training["parameters_trained"] > 0
    assert record.provenance["device"].startswith("cpu")
    assert torch.__version__.startswith(record.provenance["versions"]["torch"])
    assert "cm" in record.deviations


def test_the_page_holds_the_runs_of_the_folder(finished: Finished) -> None:
    assert (finished.runs / "digitslt.md").read_text(encoding="utf-8") == build([finished.record])["digitslt"]


def test_the_same_command_again_does_nothing_and_says_so(finished: Finished, cli: Cli) -> None:
    before = contents(finished.runs)
    again = cli(*finished.command)
    assert again.code == 0
    assert again.out.startswith("nothing to do: every run is done already\n\ndigitslt cm+cbdm seed 0 (")
    assert contents(finished.runs) == before


@pytest.mark.usefixtures("warm_workers")
def test_a_damaged_result_is_made_again_from_the_samples(finished: Finished, cli: Cli, more_runs: Path) -> None:
    job = job_of("cm+cbdm", more_runs)
    result = job.run_folder.result(job.eval.eval_id)
    result.write_text(result.read_text()[:-100])
    other = result.with_name("result-000000000000.json")
    other.write_text("{}")
    got = cli(*command_of(job))
    assert got.out.startswith(f"{result} is damaged and will be made again\n")
    assert job.run_folder.record(job.eval.eval_id) is not None
    assert (got.code, got.err) == (1, f"left out: {other} is not a result file of schema 1\n")
    assert_same_result(job, finished.job)


@pytest.mark.usefixtures("warm_workers")
def test_scoring_with_other_guidance_trains_nothing(finished: Finished, cli: Cli, more_runs: Path) -> None:
    job = job_of("cm+cbdm", more_runs)
    before = contents(job.run_folder.path)
    command = ["score", job.run.run_id[:6], "--set", "sample.omega=0", "--runs", more_runs]
    got = cli(*command)
    assert got.code == 0, got.out
    records, problems = job.run_folder.results()
    assert problems == []
    assert sorted(r.eval.sample.omega for r in records) == [0.0, 1.5]
    (unguided,) = (r for r in records if r.eval.sample.omega == 0)
    assert unguided.eval.sample.images == 120  # what is not named stays as in the first score
    assert unguided.eval.features == "efflite0@32"
    assert unguided.run == job.run
    changed = {name for name, content in contents(job.run_folder.path).items() if before.get(name) != content}
    grid = job.run_folder.grid(unguided.eval.sample)
    result = job.run_folder.result(unguided.eval_id)
    extremes, samples = job.run_folder.extremes(unguided.eval_id), grid.with_suffix(".npz")
    assert changed == {"log.txt", "progress.json", grid.name, samples.name, result.name, extremes.name}
    page = (more_runs / "digitslt.md").read_text(encoding="utf-8")
    assert "\n### Over guidance\n" in page  # the same training at both omegas
    assert cli(*command).code == 0  # and again: nothing to do
    old = json.loads(result.read_text())
    del old["scores"]["FD64-efflite0@32"]  # as of a version that did not have it
    result.write_text(json.dumps(old))
    assert cli(*command).code == 0
    assert "FD64-efflite0@32" not in job.run_folder.record(unguided.eval_id).scores
    before = contents(job.run_folder.path)
    assert cli(*command, "--again").code == 0
    assert job.run_folder.record(unguided.eval_id).scores == unguided.scores
    changed = {name for name, content in contents(job.run_folder.path).items() if before.get(name) != content}
    assert changed <= {"log.txt", "progress.json", result.name, extremes.name}
    assert len(job.run_folder.results()[0]) == 2
    before = contents(job.run_folder.path)
    with lock.hold(job.run_folder.lock):
        got = cli(*command, "--again")
    assert got.code == 1
    assert "FD64" not in got.out  # an old score is not shown as a new one
    assert result.read_bytes() == before[result.name]  # nor is it lost


def test_exporting_gives_a_folder_that_plain_diffusers_loads(finished: Finished, cli: Cli, tmp_path: Path) -> None:
    from diffusers import DDIMScheduler, UNet2DModel

    arguments = ("export", finished.job.run.run_id[:6], tmp_path / "exported", "--runs", finished.runs)
    got = cli(*arguments)
    assert (got.code, got.err) == (0, "")
    plain = UNet2DModel.from_pretrained(tmp_path / "exported").eval()
    ours, _ = model_folder.load(finished.job.run_folder.model)
    x, t, y = torch.randn(4, 1, 8, 8), torch.tensor([0, 10, 500, 999]), torch.tensor([0, 3, 9, 10])  # 10: no label
    with torch.no_grad():
        torch.testing.assert_close(plain(x, t, y).sample, ours(x, t, y), atol=1e-5, rtol=0)
    assert DDIMScheduler.from_pretrained(tmp_path / "exported").config.clip_sample  # as the preset's sampler does
    note = json.loads((tmp_path / "exported" / "ltgen_bench.json").read_text())
    assert note["images"].endswith("give the scheduler's step use_clipped_model_output=True")
    again = cli(*arguments)
    assert (again.code, again.err) == (2, f"error: {tmp_path / 'exported'} exists already; name a new folder\n")
