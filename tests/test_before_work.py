"""What the last stage cannot use, or the disk cannot hold, is said before the first one."""

from __future__ import annotations

import errno
import math
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ltgen_bench import run
from ltgen_bench.diffusion import model_folder
from ltgen_bench.diffusion.schedule import ddim
from ltgen_bench.diffusion.unet import build
from ltgen_bench.errors import UsageError
from ltgen_bench.launch.launcher import Resources
from ltgen_bench.planning.disk import bytes_to_write, room_warning
from ltgen_bench.planning.plan import Request, plan
from ltgen_bench.planning.training_time import rough_parameters
from ltgen_bench.runs.job import Execution, Job
from ltgen_bench.spec.specs import DiffusionSpec, NetSpec

Cli = Callable[..., Any]
RUN = ("run", "--method", "ddpm", "--dataset", "digitslt")


def jobs(runs: Path, *seeds: int) -> list[Job]:
    return plan(Request(["ddpm"], ["digitslt"], seeds, execution=Execution("cpu")), runs)


@pytest.mark.parametrize("seed", [-1, 2**32, 2**64, 1_700_000_000_000])
def test_a_seed_that_the_scorer_cannot_take_is_refused(tmp_path: Path, seed: int, cli: Cli) -> None:
    got = cli(*RUN, f"--seeds=0,{seed}", "--runs", tmp_path / "runs")
    assert (got.code, got.out) == (2, "")
    assert got.err == f"error: --seeds {seed}: a seed is a whole number from 0 to 4294967295\n"
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("--set sample.images=20", "sample.images=20: scoring needs 40 images or more of 10 classes"),
        ("--features efflite0@96000", "efflite0@96000: the size must be at most 1024"),
        ("--set train.ema=1", "train.ema must be from 0 to 0.999999999, not 1"),
        ("--set sample.images=1000000000", "sample.images must be from 1 to 100000000, not 1000000000"),
    ],
)
def test_what_the_last_stage_cannot_use_is_refused_with_the_way_out(
    tmp_path: Path, cli: Cli, words: str, reason: str
) -> None:
    got = cli(*RUN, *words.split(), "--runs", tmp_path / "runs")
    assert (got.code, got.err) == (2, f"error: {reason}\n")


def test_the_largest_seed_is_planned(tmp_path: Path) -> None:
    assert [job.run.seed for job in jobs(tmp_path, 0, 2**32 - 1)] == [0, 2**32 - 1]


@pytest.mark.parametrize("mistake", ["--launcher=slurm", "--gpus-per-run=0.5 --cpus-per-run=-1"])
def test_again_removes_nothing_for_a_command_with_a_mistake(tmp_path: Path, cli: Cli, mistake: str) -> None:
    (job,) = plan(Request(["ddpm"], ["digitslt"], on_gpu="gpus" in mistake), tmp_path)
    job.run_folder.create(job.run)
    got = cli(*RUN, "--again", *mistake.split(), "--runs", tmp_path)
    assert got.code == 2
    assert job.run_folder.spec_file.exists()


@pytest.mark.parametrize(("gpus", "cpus"), [(math.nan, None), (math.inf, None), (0, math.inf), (0, math.nan), (0, 0)])
def test_resources_that_are_no_number_are_refused(gpus: float, cpus: float | None) -> None:
    with pytest.raises(UsageError, match=r"--[gc]pus-per-run must be a"):
        Resources(gpus, cpus)


def test_a_short_noise_schedule_can_be_saved(tmp_path: Path) -> None:
    """Shorter than the 50 steps of sampling that are the default."""
    net = NetSpec(channels=(32, 64), layers=1, attention=-1)
    made = build(net, size=8, channels=1, num_classes=2, seed=0)
    model_folder.save(tmp_path / "model", made, None, ddim(DiffusionSpec(timesteps=2)), ("a", "b"), {})
    assert model_folder.load(tmp_path / "model")[1] is None
    assert "clip" not in (tmp_path / "model" / model_folder.NOTE).read_text()


def test_a_runs_folder_that_cannot_be_written_is_refused(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    got = cli(*RUN, "--runs", tmp_path)
    assert got.code == 2
    sentence = f"--runs {tmp_path} cannot be written: Read-only file system; name another folder"
    assert got.err == f"error: {sentence}\n"
    with pytest.raises(UsageError) as refused:
        run(jobs(tmp_path, 0), quiet=True)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(("net", "parameters"), [(NetSpec(), 35_746_307), (NetSpec((32, 64), 1), 0)])
def test_parameters_are_known_roughly_without_the_network(net: NetSpec, parameters: int) -> None:
    if not parameters:
        parameters = sum(p.numel() for p in build(net, size=16, channels=1, num_classes=10, seed=0).parameters())
    assert rough_parameters(net) == pytest.approx(parameters, rel=0.35)


def test_a_disk_that_is_too_small_is_said_with_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = jobs(tmp_path, 0, 1)
    needed = bytes_to_write(planned)
    assert bytes_to_write(planned[:1]) < needed < 2 * bytes_to_write(planned[:1])
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=needed))
    assert room_warning(planned, tmp_path) is None
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_500_000))
    warning = room_warning(planned, tmp_path)
    assert warning is not None
    assert warning.startswith(f"these runs write about {needed / 1e6:.1f} MB, and there are 1.5 MB free for {tmp_path}")
