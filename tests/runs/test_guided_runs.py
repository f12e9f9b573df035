"""Runs that are sampled with guidance of their own: away from the network without its reserve, with drawn labels."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from whole_runs import Finished, job_of

from ltgen_bench.data.images import Images
from ltgen_bench.launch import worker
from ltgen_bench.runs.job import Job

pytestmark = [pytest.mark.xdist_group("run"), pytest.mark.skipif(os.name != "posix", reason="needs signals")]

Cli = Callable[..., Any]
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def job(more_runs: Path) -> Job:
    """The finished run, to be sampled away from the network without its reserve."""
    job = job_of("cm+cbdm", more_runs)
    sample = dataclasses.replace(job.eval.sample, guide="general", labels="uniform", images=203, omega=4)
    return dataclasses.replace(job, eval=dataclasses.replace(job.eval, sample=sample))


def images_of(job: Job) -> Images:
    assert worker.work(worker.Worker(job), "driver") == (worker.DONE, "")
    return Images.load(job.run_folder.samples(job.eval.sample))


def test_a_run_is_guided_away_from_its_network_without_reserve(
    job: Job, finished: Finished, capsys: pytest.CaptureFixture[str]
) -> None:
    made = images_of(job)
    assert len(made) == 203
    assert np.unique(made.labels, return_counts=True)[1].min() < 20  # drawn, and scored as they are
    record = job.run_folder.record(job.eval.eval_id)
    assert record is not None
    assert record.scores["FD-efflite0@32"]["overall"]["n_gen"] == 203

    # Away from itself is not guided at all.
    general = job.run_folder.general_model / WEIGHTS
    own = general.read_bytes()
    job.run_folder.samples(job.eval.sample).unlink()
    job.run_folder.result(job.eval.eval_id).unlink()
    shutil.copy(job.run_folder.model / WEIGHTS, general)
    plain = dataclasses.replace(job.eval.sample, guide="unconditional", omega=0)
    unguided = images_of(dataclasses.replace(job, eval=dataclasses.replace(job.eval, sample=plain)))
    assert np.array_equal(images_of(job).pixels, unguided.pixels)
    assert not np.array_equal(made.pixels, unguided.pixels)

    # A damaged one is made again from the state of the training.
    general.write_bytes(own[:1000])
    job.run_folder.samples(job.eval.sample).unlink()
    job.run_folder.result(job.eval.eval_id).unlink()
    assert np.array_equal(images_of(job).pixels, made.pixels)
    assert general.read_bytes() == own
    assert f"{job.run_folder.general_model} is damaged (" in capsys.readouterr().out


def test_a_run_without_that_network_is_refused_before_any_work(job: Job, finished: Finished, cli: Cli) -> None:
    folder = job.run_folder
    shutil.rmtree(folder.general_model)
    (folder.path / "checkpoint.pt").unlink()
    asked = ("score", folder.path, "--runs", folder.runs, "--set", "sample.guide=general")
    got = cli(*asked)
    assert (got.code, got.out) == (2, "")
    assert got.err == (
        f"error: sample.guide=general: run {folder.path.name} has no model-general/, the network without its reserve, "
        "as it was trained before that was kept; give run --again, which trains it anew\n"
    )
    for words in ((), ("--again", "--dry-run")):
        got = cli("run", "--method", "cbdm", "--dataset", "digitslt", "--set", "sample.guide=general", *words)
        assert got.code == 2
        assert got.err.startswith("error: sample.guide=general: cbdm reserves nothing, so that there is no network ")
