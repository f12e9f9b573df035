"""Several evaluations of one run, and snapshots of it: what is planned, what it is called, and what is refused."""

from __future__ import annotations

import dataclasses
import itertools
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import ltgen_bench
from ltgen_bench.data.long_tail import LongTail
from ltgen_bench.errors import UsageError
from ltgen_bench.planning.disk import bytes_to_write
from ltgen_bench.planning.evaluations import Evaluation, sweep
from ltgen_bench.planning.plan import Request, plan, rescore
from ltgen_bench.runs.job import DataOptions, Execution, Job
from ltgen_bench.runs.record import Record
from ltgen_bench.runs.reproduce import command_line
from ltgen_bench.spec.specs import DiffusionSpec, RunSpec
from ltgen_bench.training.method_contract import NET, TRAIN
from ltgen_bench.training.stack import describe, parse_methods
from ltgen_bench.training.trainer import Trainer

Cli = Callable[..., Any]
RUN = ("run", "--method", "ddpm", "--dataset", "digitslt", "--dry-run")
CPU = Execution("cpu")


def planned(runs: Path, **options: Any) -> list[Job]:
    return plan(Request(**{"methods": ["ddpm"], "datasets": ["digitslt"], "execution": CPU} | options), runs)


def test_a_sweep_is_an_evaluation_at_each_omega_of_the_same_runs(tmp_path: Path) -> None:
    jobs = planned(tmp_path, seeds=[0, 1], evaluations=sweep(["0", "0.5", "1"]))
    assert [job.title for job in jobs] == [
        f"digitslt ddpm seed {seed}, omega {omega}" for seed in (0, 1) for omega in ("0", "0.5", "1")
    ]
    assert len({job.run.run_id for job in jobs}) == 2
    each = [planned(tmp_path, seeds=[0, 1], settings=[f"sample.omega={omega}"]) for omega in (0, 0.5, 1)]
    assert {job.key for job in jobs} == {job.key for one in each for job in one}
    assert {job.title for job in each[0]} == {"digitslt ddpm seed 0", "digitslt ddpm seed 1"}


def test_evaluations_differ_in_anything_and_share_the_rest(tmp_path: Path) -> None:
    asked = [
        Evaluation(),
        Evaluation({"sampler": "ddpm", "images": "1000"}),
        Evaluation(features="efflite0@32"),
        Evaluation({"omega": "1.50"}),  # the preset's
    ]
    jobs = planned(tmp_path, settings=["sample.clip=false"], evaluations=asked)
    assert [job.details for job in jobs] == [
        ("features efflite0@96", "images 500", "sampler ddim", "sampling steps 20"),
        ("features efflite0@96", "images 1,000", "sampler ddpm", "sampling steps 1,000"),
        ("features efflite0@32", "images 500", "sampler ddim", "sampling steps 20"),
    ]
    assert {job.eval.sample.clip for job in jobs} == {False}
    assert Job.from_json(jobs[1].to_json()) == jobs[1]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--omega 0,x", "--omega x: write numbers with commas, for example 0,0.5,1,1.5,2"),
        ("--omega ''", "--omega, a number is missing: write numbers with commas, for example 0,0.5,1,1.5,2"),
        ("--omega 0,,1", "--omega, a number is missing: write numbers with commas, for example 0,0.5,1,1.5,2"),
        ("--omega nan", "--omega nan: write numbers with commas, for example 0,0.5,1,1.5,2"),
        ("--omega 1,0,1.0", "--omega: 1 is there twice; keep one of them"),
        ("--omega 0,-2", "sample.omega must be from -1 to 1000, not -2"),
        ("--omega 0,1 --set sample.omega=1", "--set sample.omega=1: --omega says it, too; keep one of them"),
        (
            "--omega 0,2 --set sample.omega_majority=0 --set sample.omega_medium=1 --set sample.omega_minority=2",
            "omega 0 and 2 give the same images, as each group has one of its own (sample.omega_majority, "
            "omega_medium, omega_minority); leave one of these out, or --omega",
        ),
        ("--snapshots 0", "--snapshots 0: give numbers of steps, from 1 on"),
        ("--snapshots 5,x", "--snapshots 5,x: write whole numbers with commas, for example 60000,200000"),
        ("--snapshots 7,5,7", "--snapshots: 7 is there twice; keep one of them"),
        (
            "--snapshots 5,1000",
            "--snapshots 1000: the training ends at step 1000 (train.steps), which is scored in any case; give earlier "
            "steps, or more of them with --set train.steps=N",
        ),
    ],
)
def test_a_mistake_in_a_sweep_or_in_snapshots_gets_a_sentence(
    words: str, sentence: str, cli: Cli, tmp_path: Path
) -> None:
    got = cli(*RUN, *shlex.split(words), "--runs", tmp_path / "runs")
    assert (got.code, got.out, got.err) == (2, "", f"error: {sentence}\n")
    assert not (tmp_path / "runs").exists()


def test_a_trained_run_is_swept_with_the_rest_as_in_its_first_score(tmp_path: Path) -> None:
    (job,) = planned(tmp_path, settings=["sample.steps=30"])
    job.run_folder.create(job.run)
    jobs = rescore(job.run_folder, ["sample.images=1000"], "efflite0@32", DataOptions(), CPU, sweep(["-0.5", "2"]))
    assert [(j.eval.sample.omega, j.title) for j in jobs] == [
        (-0.5, "digitslt ddpm seed 0, omega -0.5"),
        (2.0, "digitslt ddpm seed 0, omega 2"),
    ]
    assert {(j.eval.features, j.eval.sample.images, j.run.run_id) for j in jobs} == {
        ("efflite0@32", 1000, job.run.run_id)
    }
    with pytest.raises(UsageError, match=r"--set sample.omega=0: --omega says it, too"):
        rescore(job.run_folder, ["sample.omega=0"], None, DataOptions(), CPU, sweep(["1"]))


def test_an_omega_that_some_group_uses_is_swept(tmp_path: Path) -> None:
    own = ["sample.omega_majority=0", "sample.omega_medium=1"]
    (job,) = planned(tmp_path, settings=[*own, "sample.omega_minority=2"])
    assert len(planned(tmp_path, settings=own, evaluations=sweep(["0", "2"]))) == 2
    job.run_folder.create(job.run)
    Record(job.run, job.eval, {}, {}, {}, {}).write(job.run_folder.result(job.eval.eval_id))
    with pytest.raises(UsageError, match="omega 0 and 2 give the same images"):
        rescore(job.run_folder, [], None, DataOptions(), CPU, sweep(["0", "2"]))


def test_images_made_elsewhere_have_no_guidance_to_choose(cli: Cli, tmp_path: Path) -> None:
    import numpy as np

    labels = np.arange(10).repeat(12)
    np.savez(tmp_path / "mine.npz", images=np.zeros((120, 8, 8, 1), np.uint8), labels=labels)
    got = cli("score", "--samples", tmp_path / "mine.npz", "--dataset", "digitslt", "--omega", "0,1")
    assert got.code == 2
    assert got.err == "error: --omega 0,1: images made elsewhere are scored as they are, leave it out\n"


def test_of_a_sweep_what_was_asked_for_is_shown(tmp_path: Path, cli: Cli, make_record: Callable[..., Record]) -> None:
    some = make_record()
    for job in planned(tmp_path, evaluations=sweep(["0", "1", "2"])):
        job.run_folder.create(job.run)
        record = Record(job.run, job.eval, some.scores, some.training, some.provenance, some.deviations)
        record.write(job.run_folder.result(job.eval.eval_id))
    run = ("run", "--method", "ddpm", "--dataset", "digitslt", "--device", "cpu")
    for command in (run, ("score", job.run.run_id)):
        got = cli(*command, "--omega", "0,2", "--runs", tmp_path)
        assert got.code == 0
        assert [f"omega {omega}, " in got.out for omega in (0, 1, 2)] == [True, False, True]
    assert "omega 1" in (tmp_path / "digitslt.md").read_text()


def test_in_python_a_plan_has_the_same(tmp_path: Path) -> None:
    mine = ltgen_bench.plan(
        "ddpm", "digitslt", runs=tmp_path, device="cpu", omega=[0, 0.5], snapshots=range(100, 300, 100)
    )
    assert mine == planned(tmp_path, evaluations=sweep(["0", "0.5"]), snapshots=[200, 100])
    assert ltgen_bench.plan("ddpm", "digitslt", omega=0.5)[0].eval.sample.omega == 0.5
    with pytest.raises(UsageError, match="snapshots=5: give a list of whole numbers"):
        ltgen_bench.plan("ddpm", "digitslt", snapshots=5)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="Did you mean 'omega'"):
        ltgen_bench.plan("ddpm", "digitslt", omegas=[0])  # type: ignore[call-arg]


def test_in_python_a_trained_run_is_swept_by_its_id(tmp_path: Path) -> None:
    (job,) = planned(tmp_path)
    job.run_folder.create(job.run)
    jobs = ltgen_bench.rescore(job.run.run_id[:6], omega=[0, 1], settings={"sample.images": 1000}, runs=tmp_path)
    auto = [dataclasses.replace(j, execution=CPU) for j in jobs]
    expected = rescore(job.run_folder, ["sample.images=1000"], None, DataOptions(), CPU, sweep(["0", "1"]))
    assert auto == expected
    with pytest.raises(UsageError, match="a trained run can only change sample"):
        ltgen_bench.rescore(job.run.run_id, settings={"train.steps": 5}, runs=tmp_path)
    with pytest.raises(UsageError, match=r"size=...\): a run has its own, leave it out"):
        ltgen_bench.rescore(job.run.run_id, size=8, runs=tmp_path)


def test_a_snapshot_is_the_run_of_so_many_steps(tmp_path: Path) -> None:
    jobs = planned(tmp_path, snapshots=[600, 300])
    assert [job.title for job in jobs] == [f"digitslt ddpm seed 0, {n} steps" for n in ("300", "600", "1,000")]
    for job in jobs:
        (alone,) = planned(tmp_path, settings=[f"train.steps={job.run.train.steps}"])
        assert (alone.key, alone.from_start) == (job.key, False)
    assert len({job.run.trajectory_id for job in jobs}) == 1
    assert [job.from_start for job in planned(tmp_path, snapshots=[600, 300], again=True)] == [True, False, False]


@pytest.mark.parametrize("change", ["train.lr=0.001", "net.dropout=0.2", "cm.w_div=1"])
def test_runs_of_other_settings_are_no_snapshots(tmp_path: Path, change: str) -> None:
    one, other = (planned(tmp_path, methods=["cm"], settings=settings)[0] for settings in ([], [change]))
    assert one.run.trajectory_id != other.run.trajectory_id


@pytest.mark.parametrize("method", ["ddpm", "cb", "resample", "cbdm", "t2h", "noise-resampling", "cm", "cm+cbdm"])
def test_no_step_of_a_training_knows_how_many_there_are(method: str, digits: LongTail) -> None:
    def state(steps: int) -> dict[str, torch.Tensor]:
        stack = parse_methods(method, {})
        train, methods = dataclasses.replace(TRAIN, steps=steps), tuple(describe(m) for m in stack.methods)
        run = RunSpec("test", digits.spec, methods, NET, train, DiffusionSpec(), seed=0)
        trainer = Trainer(run, digits, stack, torch.device("cpu"))
        for _ in range(3):
            trainer.train_step()
        return trainer.export()

    few, many = state(3), state(300_000)
    assert all(torch.equal(few[name], many[name]) for name in few)


def test_the_disk_holds_one_network_and_state_of_each_training(tmp_path: Path) -> None:
    one, swept = planned(tmp_path), planned(tmp_path, evaluations=sweep(["0", "1"]))
    images = bytes_to_write(swept) - bytes_to_write(one)
    assert 0 < images < 500 * 11_000  # the images of one more evaluation, and their features
    assert bytes_to_write(planned(tmp_path, snapshots=[1])) > bytes_to_write(one) + images


@pytest.mark.parametrize("preset", ["smoke", "mini"])
@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
@pytest.mark.parametrize("steps", [20, 50, 1000])
def test_the_command_that_repeats_a_run_samples_the_same(preset: str, sampler: str, steps: int, tmp_path: Path) -> None:
    settings = [f"sample.sampler={sampler}", f"sample.steps={steps}"]
    (job,) = planned(tmp_path, preset=preset, settings=settings)
    options = list(itertools.pairwise(command_line(job.run, job.eval)))
    its, changed = dict(options)["--preset"], [value for option, value in options if option == "--set"]
    assert planned(tmp_path, preset=its, settings=changed) == [job]
