"""What can be made again is made again; what cannot is named, with what to delete. Nothing beside the work fails it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from whole_runs import Finished, assert_same_result, job_of

from ltgen_bench.data.images import Images
from ltgen_bench.launch import score_stage, worker
from ltgen_bench.runs.job import Job

pytestmark = [pytest.mark.xdist_group("run"), pytest.mark.skipif(os.name != "posix", reason="needs signals")]

Cli = Callable[..., Any]


@pytest.fixture
def job(more_runs: Path) -> Job:
    """The finished run, in a folder of its own, without its result."""
    job = job_of("cm+cbdm", more_runs)
    job.run_folder.result(job.eval.eval_id).unlink()
    return job


def work(job: Job) -> worker.process.Ended:
    return worker.work(worker.Worker(job), "driver")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize("damage", ["cut", "other images"])
def test_damaged_samples_are_made_again(job: Job, finished: Finished, damage: str) -> None:
    samples = job.run_folder.samples(job.eval.sample)
    if damage == "cut":
        cut(samples)
    else:
        Images(np.zeros((120, 4, 4, 1), np.uint8), np.repeat(np.arange(10), 12)).save(samples)
    assert work(job) == (worker.DONE, "")
    assert_same_result(job, finished.job)


def test_damaged_parts_of_the_samples_are_made_again(job: Job, finished: Finished) -> None:
    """As they are after a disk had a bad day while the run was sampled."""
    samples, shards = (f(job.eval.sample) for f in (job.run_folder.samples, job.run_folder.shards))
    shards.mkdir()
    samples.rename(shards / "0000000.npz")
    cut(shards / "0000000.npz")
    assert work(job) == (worker.DONE, "")
    assert_same_result(job, finished.job)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("diffusion_pytorch_model.safetensors", cut),
        ("diffusion_pytorch_model.safetensors", Path.unlink),
        ("config.json", Path.unlink),
        ("config.json", cut),
        ("ltgen_bench.json", Path.unlink),
        ("ltgen_bench.json", lambda path: path.write_text("[]")),
    ],
)
def test_a_damaged_network_is_named_with_what_to_delete(
    job: Job, name: str, damage: Callable[[Path], None], finished: Finished, capfd: pytest.CaptureFixture[str]
) -> None:
    job.run_folder.samples(job.eval.sample).unlink()
    (job.run_folder.path / "checkpoint.pt").unlink()
    path = job.run_folder.model / name
    if name == "config.json" and damage is cut:
        path.write_text(path.read_text()[:100])
    else:
        damage(path)
    code, reason = work(job)
    assert code == worker.UNUSABLE
    assert reason.startswith(f"error: the trained network {job.run_folder.model} is damaged (")
    assert reason.endswith("); delete that folder, or give run --again, and the run is trained again")
    assert "\n" not in reason
    assert "Traceback" not in capfd.readouterr().err
    assert not job.run_folder.failed.exists()  # so that nothing needs --retry-failed once the folder is gone


def test_a_damaged_network_is_made_again_from_the_state_of_its_training(
    job: Job, finished: Finished, capsys: pytest.CaptureFixture[str]
) -> None:
    job.run_folder.samples(job.eval.sample).unlink()
    cut(job.run_folder.model / "diffusion_pytorch_model.safetensors")
    assert work(job) == (worker.DONE, "")
    said = capsys.readouterr().out
    assert "; training on from a checkpoint" in said
    assert "resuming at step 24 of 24" in said
    assert_same_result(job, finished.job)


def test_a_picture_or_a_clean_up_never_fails_a_run(
    job: Job, finished: Finished, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever drawing raises, and where NFS keeps files that somebody has open."""
    run_folder = job.run_folder
    for path in (run_folder.samples(job.eval.sample), *run_folder.path.glob("*.png")):
        path.unlink()

    def fail(*_: object, **__: object) -> None:
        raise TypeError("font2ft.set_text(): incompatible\nand more")

    monkeypatch.setattr(worker, "save_grid", fail)
    monkeypatch.setattr(score_stage, "save_extremes", fail)
    monkeypatch.setattr(os, "rmdir", lambda *_, **__: (_ for _ in ()).throw(OSError(39, "not empty")))
    assert work(job) == (worker.DONE, "")
    out = capsys.readouterr().out
    for path in (run_folder.grid(job.eval.sample), run_folder.extremes(job.eval.eval_id)):
        assert f" no picture {path.name}: TypeError: font2ft.set_text(): incompatible\n" in out
    assert run_folder.shards(job.eval.sample).exists()
    assert (job.state, run_folder.owner()) == ("done", None)
    assert_same_result(job, finished.job)


def test_an_evaluation_that_fails_is_recorded_by_itself(
    job: Job, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("no luck")

    run_folder, failure = job.run_folder, job.run_folder.failed_evaluation(job.eval.eval_id)
    with monkeypatch.context() as patch:
        patch.setattr(worker, "evaluate", fail)
        assert work(job) == (worker.FAILED, "ValueError: no luck")
    assert run_folder.failures() == [failure]
    other = dataclasses.replace(job, eval=dataclasses.replace(job.eval, features="efflite0@64"))
    assert (job.state, other.state) == ("failed", "stopped")
    assert work(other) == (worker.DONE, "")
    assert (job.state, other.state) == ("failed", "done")
    assert work(job) == (worker.DONE, "")
    assert run_folder.failures() == []
    assert_same_result(job, finished.job)


def test_finished_runs_in_a_folder_one_may_only_read_are_shown(
    finished: Finished, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("ltgen_bench.storage.atomic_files.write_text", refuse)
    got = cli(*finished.command)
    assert (got.code, got.err) == (0, "")
    assert "scored in efflite0@32" in got.out
    assert f"\nno leaderboard {finished.runs}/digitslt.md: Read-only file system\n" in got.out
