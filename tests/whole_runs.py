"""Whole runs of seconds on the digits, and what tests ask of them."""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.process
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from programs import workers

from ltgen_bench.data.images import Images
from ltgen_bench.launch.process import Ended
from ltgen_bench.planning.plan import Request, plan
from ltgen_bench.runs.job import Execution, Job
from ltgen_bench.runs.record import Record
from ltgen_bench.runs.run_folder import RunFolder

PROGRAMS = Path(workers.__file__).parent
SETTINGS = [
    *("net.channels=32,32", "net.layers=1"),
    *("train.steps=24", "train.batch=8", "train.warmup=5", "train.ema=0.5"),
    *("sample.images=120", "sample.steps=2"),
]
OPTIONS = [word for setting in SETTINGS for word in ("--set", setting)]
OPTIONS += ["--features", "efflite0@32", "--device", "cpu"]


@dataclass
class Finished:
    """The shared run, made by the command itself."""

    command: list[str]  # without `ltgen-bench`
    runs: Path
    job: Job
    out: str

    @property
    def record(self) -> Record:
        record = self.job.run_folder.record(self.job.eval.eval_id)
        assert record is not None
        return record


def job_of(method: str, runs: Path, seed: int = 0) -> Job:
    cpu = Execution("cpu")
    request = Request([method], ["digitslt"], [seed], settings=SETTINGS, features="efflite0@32", execution=cpu)
    return plan(request, runs)[0]


def snapshots_of(method: str, runs: Path, *steps: int, again: bool = False) -> list[Job]:
    """Snapshots at these steps, and the run itself, of 24 steps."""
    cpu, features = Execution("cpu"), "efflite0@32"
    request = Request(
        [method], ["digitslt"], settings=SETTINGS, features=features, execution=cpu, snapshots=steps, again=again
    )
    return plan(request, runs)


def command_of(job: Job) -> list[str]:
    runs = job.run_folder.path.parents[2]
    return ["run", "--method", job.run.method, "--dataset", "digitslt", *OPTIONS, "--runs", str(runs)]


def start(program: Callable[..., None], *arguments: object) -> multiprocessing.process.BaseProcess:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ltgen_bench.launch.worker", "ltgen_bench.cli"])
    process = context.Process(target=program, args=arguments)
    process.start()
    return process


def end_of(job: Job, signal_number: int = 0, at: tuple[str, int] = ("", 0)) -> Ended:
    """Run a worker in a process of its own; how it ended, and why in its own words."""
    job.run_folder.path.mkdir(parents=True, exist_ok=True)
    said, says = multiprocessing.Pipe(duplex=False)
    with said, says:
        process = start(workers.work, json.dumps(job.to_json()), str(job.run_folder.log), says, signal_number, *at)
        process.join()
        says.close()
        reason = os.read(said.fileno(), 4096).decode()
    assert process.exitcode is not None
    return Ended(process.exitcode, reason)


def work(job: Job, signal_number: int = 0, at: tuple[str, int] = ("", 0)) -> int:
    """Run a worker in a process of its own; its exit code."""
    return end_of(job, signal_number, at).code


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Whether a process has ended (as a zombie too: in a container nobody may wait for it)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def assert_same_result(mine: Job, undisturbed: Job) -> None:
    """Weights bit for bit, images and scores."""
    weights = "diffusion_pytorch_model.safetensors"
    assert (mine.run_folder.model / weights).read_bytes() == (undisturbed.run_folder.model / weights).read_bytes()
    images, expected = (Images.load(job.run_folder.samples(job.eval.sample)) for job in (mine, undisturbed))
    np.testing.assert_array_equal(images.pixels, expected.pixels)
    np.testing.assert_array_equal(images.labels, expected.labels)
    record, other = (job.run_folder.record(job.eval.eval_id) for job in (mine, undisturbed))
    assert record is not None
    assert other is not None
    assert record.scores == other.scores
    lines, others = (training_log(job.run_folder) for job in (mine, undisturbed))
    assert lines["step"].is_unique
    assert lines["step"].iloc[-1] == others["step"].iloc[-1] == 24


def training_log(run_folder: RunFolder) -> pd.DataFrame:
    return pd.read_json(run_folder.path / "train.jsonl", lines=True)
