"""Several processes on one training compute what one would, whatever the method."""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
import torch.distributed as dist

from ltgen_bench.data.long_tail import LongTail
from ltgen_bench.launch import launcher, worker
from ltgen_bench.planning.plan import Request, plan
from ltgen_bench.runs.job import Execution, Job, Stage
from ltgen_bench.spec.specs import DiffusionSpec, RunSpec
from ltgen_bench.training import checkpoint
from ltgen_bench.training.data_parallel import ProcessGroup
from ltgen_bench.training.method import Method, Step, Task
from ltgen_bench.training.method_contract import NET, TRAIN
from ltgen_bench.training.stack import Stack, describe, parse_methods
from ltgen_bench.training.trainer import Trainer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks processes")


class Contrast(Method):
    """Couples the images of a batch by their features in the middle of the network."""

    name = "contrast"

    def reuses_encoder(self) -> bool:
        return True

    def losses(self, step: Step, task: Task) -> dict[str, torch.Tensor]:
        middle = torch.nn.functional.normalize(step.encoded.hidden.mean((2, 3)), dim=1)
        other_class = step.y[:, None] != step.y
        similarity = 0.1 * ((middle @ middle.T) * other_class).mean()
        some = step.encoded.of(torch.tensor([0, 7, 3]))
        return {"similarity": similarity, "again": step.net.decode(some).square().mean()}


METHODS = ("contrast", "ddpm", "cb", "resample", "cbdm", "t2h", "noise-resampling", "cm", "cm+cbdm", "cm+t2h")
VARIANTS = [(m, {}) for m in METHODS] + [
    ("cm+cbdm", {"dropout": "shared"}),
    ("cm", {"fraction": "0.3"}),
    ("cm", {"fraction": "0.3", "dropout": "shared"}),
]


def made(data: LongTail, method: str, settings: dict[str, str], processes: ProcessGroup) -> Trainer:
    stack = Stack([Contrast()]) if method == "contrast" else parse_methods(method, {"cm": settings})
    methods = tuple(describe(m) for m in stack.methods)
    spec = RunSpec("test", data.spec, methods, NET, TRAIN, DiffusionSpec(), seed=0)
    return Trainer(spec, data, stack, torch.device("cpu"), processes=processes)


def one_of_several(rank: int, size: int, data: LongTail, folder: Path) -> None:
    """Train the second step of every variant with others, and leave the losses and gradients."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=size)
    found = []
    for method, settings in VARIANTS:
        trainer = made(data, method, settings, ProcessGroup(rank, size))
        found.append(second_step(trainer))
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()


def second_step(trainer: Trainer) -> tuple[float, dict[str, torch.Tensor]]:
    trainer.train_step()
    loss, _, _ = trainer.train_step()
    named = trainer.net.named_parameters()
    return loss.item(), {name: p.grad.clone() for name, p in named if p.grad is not None}


@pytest.mark.parametrize("size", [2, 3])  # a batch that three cannot share evenly
def test_several_processes_have_the_losses_and_gradients_of_one(digits: LongTail, tmp_path: Path, size: int) -> None:
    context = multiprocessing.get_context("fork")
    ranks = [context.Process(target=one_of_several, args=(rank, size, digits, tmp_path)) for rank in range(size)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(300)
        assert process.exitcode == 0
    of_ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(size)]
    for i, (method, settings) in enumerate(VARIANTS):
        loss, gradients = second_step(made(digits, method, settings, ProcessGroup()))
        for found in of_ranks:
            assert found[i][0] == pytest.approx(loss, rel=1e-5), method
            assert found[i][1].keys() == gradients.keys()
            for name, gradient in gradients.items():
                torch.testing.assert_close(
                    found[i][1][name], gradient, rtol=1e-3, atol=1e-5, msg=lambda m, n=name, k=method: f"{k} {n}: {m}"
                )
        for a, b in zip(of_ranks[0][i][1].values(), of_ranks[-1][i][1].values(), strict=True):
            assert torch.equal(a, b)  # or the processes would drift apart


def test_slices_are_the_batch() -> None:
    for size, batch in ((2, 8), (3, 8), (4, 3)):
        rows = [i for rank in range(size) for i in range(batch)[ProcessGroup(rank, size).slice(batch)]]
        assert rows == list(range(batch))


def job_of(folder: Path, *settings: str) -> Job:
    small = ("net.channels=32,32", "net.layers=1", "train.batch=8", "sample.images=120", "sample.steps=2")
    request = Request(
        ["cm+cbdm"],
        ["digitslt"],
        settings=[*small, *(settings or ("train.steps=60",))],
        features="efflite0@32",
        execution=Execution("cpu", checkpoint_seconds=0.1),
    )
    return plan(request, folder)[0]


def together(job: Job) -> Job:
    return Job(job.folder, job.run, job.eval, job.data, job.execution, Stage("train", processes=2))


def mean_loss(job: Job) -> float:
    """Over all 60 steps. How many a line of the log is the mean of depends on when checkpoints were written."""
    lines = pd.read_json(job.run_folder.path / "train.jsonl", lines=True)
    steps = lines["step"].diff().fillna(lines["step"])
    assert steps.sum() == 60
    return float((lines["loss"] * steps).sum() / 60)


@pytest.mark.xdist_group("run")
def test_a_worker_trains_with_torchrun(tmp_path: Path) -> None:
    alone, shared = job_of(tmp_path / "alone"), together(job_of(tmp_path / "shared"))
    assert launcher.supervise(Job(**vars(alone) | {"stage": Stage("train")}), "test").code == worker.DONE
    code = launcher.supervise(shared, "test").code
    log = shared.run_folder.log.read_text()
    assert code == worker.DONE, log
    assert log.count("trained in ") == 1  # one process of them speaks
    assert mean_loss(shared) == pytest.approx(mean_loss(alone), rel=1e-3)
    assert shared.run_folder.state() == "stopped"  # trained; not sampled, not scored
    assert [path.name for path in shared.run_folder.checkpoints()] == ["checkpoint.pt"]


@pytest.mark.xdist_group("run")
def test_a_team_goes_on_from_a_shorter_run(tmp_path: Path) -> None:
    shorter, shared = job_of(tmp_path, "train.steps=50"), together(job_of(tmp_path))
    worker.Worker(Job(**vars(shorter) | {"stage": Stage("train")})).run()
    code = launcher.supervise(shared, "test").code
    log = shared.run_folder.log.read_text()
    assert code == worker.DONE, log
    assert f"going on from run {shorter.run.run_id} at step 50\n" in log
    assert log.count("resuming at step 50 of 60\n") == 1  # one process of them speaks
    assert mean_loss(shared) > 0  # of 60 steps


@pytest.mark.xdist_group("run")
def test_a_team_says_why_it_failed(tmp_path: Path) -> None:
    job = together(job_of(tmp_path, "train.lr=1000", "train.grad_clip=1e9"))
    assert launcher.supervise(job, "test").code == worker.FAILED
    assert "became nan" in job.run_folder.why_failed() or "became inf" in job.run_folder.why_failed()
    assert job.run_folder.state() == "failed"


@pytest.mark.xdist_group("run")
def test_what_a_team_cannot_use_is_said_as_by_one_process(tmp_path: Path) -> None:
    job = together(job_of(tmp_path))
    checkpoint.save(job.run_folder.path, {"run_id": job.run.run_id, "code": {"method cm": "of other code"}})
    code, reason = launcher.supervise(job, "test")
    assert code == worker.UNUSABLE
    assert reason.startswith("error: method cm: the code has been edited since the checkpoint was written; raise its")
    assert job.run_folder.state() == "stopped"


@pytest.mark.xdist_group("run")
def test_a_team_that_is_asked_to_stop_leaves_a_checkpoint(tmp_path: Path) -> None:
    job = together(job_of(tmp_path, "train.steps=100000"))
    stop_at = {"step": 30.0}

    def watch() -> None:
        progress = job.run_folder.progress()
        owner = job.run_folder.owner()
        if progress.get("stage") == "training" and progress["done"] >= stop_at["step"] and owner is not None:
            stop_at["step"] = float("inf")
            os.kill(owner.pid, 15)

    assert launcher.supervise(job, "test", watch=watch).code == worker.STOPPED
    state = torch.load(job.run_folder.path / "checkpoint.pt", weights_only=True)
    assert state["step"] >= 30
    assert state["step"] % 10 == 0
    assert "stopped at step " in job.run_folder.log.read_text()
