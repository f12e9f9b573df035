"""Whole runs on the digits, undisturbed and disturbed in every way: whatever happens, the same command ends the same.

Processes are what this file is about, and each costs seconds of imports. So one real command is shared by many tests,
and workers and drivers that are to be killed come from a fork server that has imported everything once.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import multiprocessing.process
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import ltgen_bench
import ltgen_bench.methods
from ltgen_bench.data.images import Images
from ltgen_bench.diffusion import model_folder
from ltgen_bench.launch import launcher, process, worker
from ltgen_bench.leaderboard.pages import build
from ltgen_bench.planning.plan import Request, plan
from ltgen_bench.runs.job import Execution, Job
from ltgen_bench.runs.record import Record
from ltgen_bench.runs.run_folder import RunFolder

pytestmark = [pytest.mark.xdist_group("run"), pytest.mark.skipif(os.name != "posix", reason="needs signals")]

SETTINGS = [
    *("net.channels=32,32", "net.layers=1"),
    *("train.steps=24", "train.batch=8", "train.warmup=5", "train.ema=0.5"),
    *("sample.images=120", "sample.steps=2"),
]
OPTIONS = [word for setting in SETTINGS for word in ("--set", setting)]
OPTIONS += ["--features", "efflite0@32", "--device", "cpu"]
Cli = Callable[..., Any]

SLOW = '''
import time
from pathlib import Path

from ltgen_bench.training.method import Method


class Slow(Method):
    """Half a second per step, from step 10 on, while the file `slowly` lies beside this one."""

    name = "slow"

    def losses(self, step, task):
        if step.index >= 10 and Path(__file__).with_name("slowly").exists():
            time.sleep(0.5)
        return {}
'''

BOOM = '''
import time
from pathlib import Path

from ltgen_bench.training.method import Method


class Boom(Method):
    """The loss of step 20 is not a number while the file `explosive` lies beside this one."""

    name = "boom"

    def losses(self, step, task):
        time.sleep(0.02)  # time enough for a checkpoint before
        explodes = step.index == 19 and Path(__file__).with_name("explosive").exists()
        return {"term": step.base.mean() * (float("nan") if explodes else 0.0)}
'''

# A worker that gets a signal as soon as a stage has got so far.
WORKER = """
import os, sys
from ltgen_bench.launch import worker

log = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
os.dup2(log, 1), os.dup2(log, 2)
report = worker.Worker.report

def watched(self, stage, done, total, **figures):
    report(self, stage, done, total, **figures)
    if signal_number and stage == at_stage and done >= at_step:
        os.kill(os.getpid(), signal_number)

worker.Worker.report = watched
sys.argv = ["worker", job, str(os.getppid()), "driver"]
sys.exit(worker.main())
"""

# A worker that meets an accident at the first file which none before it met one at; `met` lists those.
UNLUCKY = """
import errno, os, pathlib, re, signal, sys
from ltgen_bench.launch import worker

log = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
os.dup2(log, 1), os.dup2(log, 2)
replace, fsync = os.replace, os.fsync
met = pathlib.Path(met)

def unmet(path):
    name = re.sub(r"^\\.(.*)\\.[0-9a-f]{8}\\.part$", r"\\1", os.path.basename(path))
    if name == "progress.json" or name in met.read_text().split("|"):
        return False
    met.write_text(met.read_text() + name + "|")
    return True

def killed(source, target):
    if unmet(target):
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)

def full(file):
    if unmet(os.readlink(f"/proc/self/fd/{file}")):
        raise OSError(errno.ENOSPC, "No space left on device")

if accident == "killed":
    os.replace = killed
else:
    os.fsync = full
sys.argv = ["worker", job, str(os.getppid()), "driver"]
sys.exit(worker.main())
"""

DRIVER = """
import os, sys
from ltgen_bench.cli.main import main

os.dup2(os.open(output, os.O_CREAT | os.O_APPEND | os.O_WRONLY), 1)
sys.argv = ["ltgen-bench", *arguments]
main()
"""


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of methods that misbehave."""
    folder = tmp_path_factory.mktemp("plugins") / "methods"
    folder.mkdir()
    (folder / "slow.py").write_text(SLOW)
    (folder / "boom.py").write_text(BOOM)
    return folder


@pytest.fixture(autouse=True)
def with_plugins(plugins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process, and those that it starts, know the methods of `plugins`."""
    monkeypatch.setenv("LTGEN_PLUGINS", str(plugins.parent))
    monkeypatch.setattr(ltgen_bench.methods, "__path__", [*ltgen_bench.methods.__path__, str(plugins)])


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


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    command = ["run", "--method", "cm+cbdm", "--dataset", "digitslt", *OPTIONS, "--runs", str(folder / "runs")]
    root = str(Path(ltgen_bench.__file__).parent.parent)
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "ltgen_bench", *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return Finished(command, folder / "runs", job_of("cm+cbdm", folder / "runs"), done.stdout)


def job_of(method: str, runs: Path, seed: int = 0) -> Job:
    cpu = Execution("cpu")
    request = Request([method], ["digitslt"], [seed], settings=SETTINGS, features="efflite0@32", execution=cpu)
    return plan(request, runs)[0]


@pytest.fixture
def runs(finished: Finished, tmp_path: Path) -> Path:
    """A new runs folder that has the features of the real images already."""
    features = tmp_path / "runs" / "features"
    features.mkdir(parents=True)
    largest = max((finished.runs / "features").iterdir(), key=lambda path: path.stat().st_size)
    shutil.copy(largest, features)
    return features.parent


@pytest.fixture
def more_runs(finished: Finished, tmp_path: Path) -> Path:
    """A copy of the runs folder of `finished`."""
    return Path(shutil.copytree(finished.runs, tmp_path / "more"))


def start(code: str, **names: object) -> multiprocessing.process.BaseProcess:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ltgen_bench.launch.worker", "ltgen_bench.cli"])
    process = context.Process(target=exec, args=(code, names))
    process.start()
    return process


def work(job: Job, signal_number: int = 0, at: tuple[str, int] = ("", 0)) -> int | None:
    """Run a worker in a process of its own; its exit code."""
    job.run_folder.path.mkdir(parents=True, exist_ok=True)
    process = start(
        WORKER,
        job=json.dumps(job.to_json()),
        log=str(job.run_folder.log),
        signal_number=signal_number,
        at_stage=at[0],
        at_step=at[1],
    )
    process.join()
    return process.exitcode


@pytest.fixture
def warm_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands given in this process get their workers from the fork server."""
    monkeypatch.setattr(launcher, "supervise", lambda job, *_: work(job))


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Whether a process has ended (as a zombie too: in a container there may be nobody to bury it)."""
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


# The command


def test_the_command_says_what_it_does_and_where_it_lies(finished: Finished) -> None:
    run_folder, out = finished.job.run_folder, finished.out
    assert out.startswith(f"[1/1] digitslt cm+cbdm seed 0: {run_folder.path}\n")
    assert re.search(r"^  training \d+/24", out, re.MULTILINE)
    assert "\n  done\n" in out
    assert f"\ndigitslt cm+cbdm seed 0 ({finished.job.run.run_id}), scored in efflite0@32\n" in out
    assert f"\nsamples: {run_folder.grid(finished.job.eval.sample)}\n" in out
    assert out.endswith(f"\nleaderboard: {finished.runs}/digitslt.md\n")
    assert "\x1b" not in out  # piped output is plain


def test_a_run_leaves_its_model_images_log_and_scores(finished: Finished) -> None:
    run_folder, sample = finished.job.run_folder, finished.job.eval.sample
    assert sorted(p.name for p in run_folder.path.iterdir()) == [
        "log.txt",
        "model",
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
    assert (more_runs / "digitslt.md").read_text(encoding="utf-8").count("\n## ") == 2
    assert cli(*command).code == 0  # and again: nothing to do
    assert len(job.run_folder.results()[0]) == 2


def test_exporting_gives_a_folder_that_plain_diffusers_loads(finished: Finished, cli: Cli, tmp_path: Path) -> None:
    from diffusers import UNet2DModel

    arguments = ("export", finished.job.run.run_id[:6], tmp_path / "exported", "--runs", finished.runs)
    got = cli(*arguments)
    assert (got.code, got.err) == (0, "")
    plain = UNet2DModel.from_pretrained(tmp_path / "exported").eval()
    ours, _ = model_folder.load(finished.job.run_folder.model)
    x, t, y = torch.randn(4, 1, 8, 8), torch.tensor([0, 10, 500, 999]), torch.tensor([0, 3, 9, 10])  # 10: no label
    with torch.no_grad():
        torch.testing.assert_close(plain(x, t, y).sample, ours(x, t, y), atol=1e-5, rtol=0)
    again = cli(*arguments)
    assert (again.code, again.err) == (2, f"error: {tmp_path / 'exported'} exists already; name a new folder\n")


# Disturbed runs


@pytest.mark.accidents
def test_a_run_killed_in_every_stage_ends_like_an_undisturbed_one(finished: Finished, runs: Path) -> None:
    job = job_of("cm+cbdm", runs)
    run_folder = job.run_folder
    # Without SIGTERM first there would be no checkpoint yet.
    assert work(job, signal.SIGTERM, at=("training", 10)) == worker.STOPPED
    assert work(job, signal.SIGKILL, at=("training", 20)) == -signal.SIGKILL
    assert (run_folder.state(), run_folder.model.exists()) == ("stopped", False)
    assert work(job, signal.SIGKILL, at=("sampling", 100)) == -signal.SIGKILL
    assert (run_folder.model.exists(), run_folder.samples(job.eval.sample).exists()) == (True, False)
    assert work(job, signal.SIGKILL, at=("scoring", 500)) == -signal.SIGKILL
    assert (run_folder.samples(job.eval.sample).exists(), run_folder.state(job.eval.eval_id)) == (True, "stopped")
    assert work(job) == worker.DONE
    assert "resuming at step 10 of 24\n" in run_folder.log.read_text()
    assert_same_result(job, finished.job)
    assert {p.name for p in run_folder.path.iterdir()} == {p.name for p in finished.job.run_folder.path.iterdir()}


def test_a_corrupt_checkpoint_falls_back_to_the_one_before(finished: Finished, runs: Path) -> None:
    job = job_of("cm+cbdm", runs)
    for step in (10, 20):
        assert work(job, signal.SIGTERM, at=("training", step)) == worker.STOPPED
    newest = job.run_folder.path / "checkpoint.pt"
    newest.write_bytes(newest.read_bytes()[:-1000])
    assert work(job) == worker.DONE
    log = job.run_folder.log.read_text()
    assert f" checkpoint {newest} cannot be used (" in log
    assert "; falling back to an older one or the start\n" in log
    assert log.count("resuming at step 10 of 24\n") == 2
    assert_same_result(job, finished.job)


@pytest.mark.accidents
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize(("accident", "code"), [("killed", -signal.SIGKILL), ("disk full", worker.FULL)])
def test_an_accident_at_any_file_costs_at_most_that_file(
    finished: Finished, runs: Path, accident: str, code: int
) -> None:
    job = dataclasses.replace(job_of("cm+cbdm", runs), execution=Execution("cpu", checkpoint_seconds=0.1))
    job.run_folder.path.mkdir(parents=True)
    met = runs / "met"
    met.touch()
    while True:
        names = {"log": str(job.run_folder.log), "accident": accident, "met": str(met)}
        child = start(UNLUCKY, job=json.dumps(job.to_json()), **names)
        child.join()
        if child.exitcode == worker.DONE:
            break
        assert child.exitcode == code, job.run_folder.log.read_text()
        assert job.state in ("stopped", "waiting")
        if accident == "disk full":
            assert not list(job.run_folder.path.rglob("*.part"))
    files = set(met.read_text().split("|"))
    run_folder = job.run_folder
    assert {"spec.json", "checkpoint-next.pt", run_folder.samples(job.eval.sample).name} < files
    assert run_folder.result(job.eval.eval_id).name in files
    if accident == "killed":
        assert {"checkpoint.pt", "checkpoint-previous.pt", "model"} < files
    assert_same_result(job, finished.job)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder], capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.accidents
@pytest.mark.usefixtures("warm_workers")
def test_a_full_disk_stops_the_runs_and_says_so(small_disk: Path, finished: Finished, cli: Cli) -> None:
    job = job_of("cm+cbdm", small_disk / "runs")
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_200_000))  # leaves room for no checkpoint
    got = cli(*command_of(job), "--seeds", "0,1", "--launcher", "local", "--checkpoint-every", "0.1")
    assert got.code == 1
    assert f"  full: no space left for {job.run_folder.path}; free some, and the same command goes on\n" in got.out
    assert "[2/2]" not in got.out  # it would not fare better
    assert not list(small_disk.rglob("*.part"))
    assert not job.run_folder.failed.exists()
    ballast.write_bytes(b"")
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    assert cli(*command_of(job)).code == 0
    assert_same_result(job, finished.job)


@dataclass
class Driver:
    """`ltgen-bench run` in a process of its own, at step 10 or later of a slow training."""

    process: multiprocessing.process.BaseProcess
    worker: int  # process id
    output: Path

    def send(self, number: signal.Signals) -> int | None:
        """Send a signal to the driver and wait until its worker is gone too; the driver's exit code."""
        assert self.process.pid
        os.kill(self.process.pid, number)
        self.process.join(120)
        wait_for(lambda: gone(self.worker), "the worker to end")
        return self.process.exitcode


@pytest.fixture
def drive(tmp_path: Path, plugins: Path) -> Iterator[Callable[[Job], Driver]]:
    started: list[multiprocessing.process.BaseProcess] = []
    (plugins / "slowly").touch()

    def drive(job: Job) -> Driver:
        begun = time.time()
        output = tmp_path / f"driver-{len(started)}.txt"
        driver = start(DRIVER, arguments=command_of(job), output=str(output))
        started.append(driver)

        def training() -> bool:
            assert driver.is_alive(), output.read_text()
            progress = job.run_folder.progress()
            return progress.get("time", 0) > begun and progress["stage"] == "training" and progress["done"] >= 10

        wait_for(training, "the training to start")
        return Driver(driver, json.loads(job.run_folder.lock.read_text())["pid"], output)

    yield drive
    (plugins / "slowly").unlink(missing_ok=True)
    for driver in started:
        driver.kill()
        driver.join()


def command_of(job: Job) -> list[str]:
    runs = job.run_folder.path.parents[2]
    return ["run", "--method", job.run.method, "--dataset", "digitslt", *OPTIONS, "--runs", str(runs)]


@pytest.mark.accidents
def test_a_run_stopped_in_every_way_ends_like_an_undisturbed_one(
    drive: Callable[[Job], Driver], plugins: Path, runs: Path, more_runs: Path, cli: Cli
) -> None:
    job = job_of("slow", runs)
    run_folder = job.run_folder

    driver = drive(job)
    second = cli(*command_of(job))  # a second driver leaves the run alone,
    assert second.code == 1
    assert f"digitslt slow seed 0 ({job.run.run_id}): running elsewhere (process {driver.worker} on " in second.out
    assert work(job) == worker.HELD  # and so does a worker of one that looked a moment too early
    assert re.search(rf" not started: process {driver.worker} on \S+ works on this run\n", run_folder.log.read_text())

    assert driver.send(signal.SIGINT) == 130
    assert driver.output.read_text().endswith("stopped; run the same command to go on\n")
    assert (run_folder.path / "checkpoint.pt").exists()
    assert run_folder.state() == "stopped"

    driver = drive(job)
    assert driver.send(signal.SIGTERM) == 130
    assert run_folder.state() == "stopped"

    driver = drive(job)
    assert driver.send(signal.SIGKILL) == -signal.SIGKILL  # nobody asks the worker to stop: it sees its parent die
    assert run_folder.state() == "stopped"

    (plugins / "slowly").unlink()
    assert work(job) == worker.DONE
    steps = [int(step) for step in re.findall(r"resuming at step (\d+) of 24", run_folder.log.read_text())]
    assert len(steps) == 3
    assert 10 <= steps[0] < steps[1] < steps[2] < 24
    assert run_folder.log.read_text().count("trained in ") == 1
    undisturbed = job_of("slow", more_runs)
    assert work(undisturbed) == worker.DONE
    assert_same_result(job, undisturbed)


@pytest.mark.usefixtures("warm_workers")
def test_a_grid_goes_on_past_failures_which_are_tried_again_on_request(
    plugins: Path, more_runs: Path, cli: Cli
) -> None:
    methods = ["--method", "boom", "--method", "cm+cbdm"]
    command = [
        "run",
        *methods,
        "--dataset",
        "digitslt",
        *OPTIONS,
        "--checkpoint-every",
        "0.1",
        "--launcher",
        "local",
        "--runs",
        str(more_runs),
    ]
    (plugins / "explosive").touch()

    got = cli(*command, "--seeds", "0,1")
    assert got.code == 1
    reason = "loss became nan at step 20; the last good checkpoint is kept"
    assert got.out.count(f"  failed: {reason}\n  log: ") == 2
    assert "\n2 done, 2 not\n" in got.out
    assert got.out.count(f"failed, see {more_runs}/") == 2
    assert got.out.endswith("\nthe same command tries the failed ones again with --retry-failed\n")
    numbered = re.findall(r"^\[(\d/\d)\] digitslt (\S+) seed (\d)", got.out, re.MULTILINE)
    assert numbered == [("1/3", "boom", "0"), ("2/3", "boom", "1"), ("3/3", "cm+cbdm", "1")]  # one was done before
    boom = job_of("boom", more_runs).run_folder
    assert (boom.state(), boom.why_failed()) == ("failed", reason)
    assert (boom.path / "checkpoint.pt").exists()
    assert (more_runs / "digitslt.md").read_text(encoding="utf-8").count("\n| cm+cbdm") == 1  # a row of two seeds

    before = contents(boom.path)
    got = cli(*command)
    assert got.code == 1
    said = f"digitslt boom seed 0 ({boom.path.name}): failed before: {reason}; try again with --retry-failed\n"
    assert got.out.startswith(said)
    assert contents(boom.path) == before

    (plugins / "explosive").unlink()
    got = cli(*command, "--retry-failed")
    assert (got.code, boom.failed.exists()) == (0, False)
    assert "resuming at step " in boom.log.read_text()


@pytest.mark.usefixtures("warm_workers")
def test_what_the_worker_cannot_use_is_said_by_the_driver(runs: Path, cli: Cli) -> None:
    job = job_of("ddpm", runs)
    job.run_folder.path.mkdir(parents=True)
    (job.run_folder.path / "spec.json").write_text("{")
    got = cli(*command_of(job))
    assert got.code == 2
    assert f"  unusable: error: {job.run_folder.path}/spec.json is not valid JSON: " in got.out
    assert got.out.endswith(f"  log: {job.run_folder.log}\n0 done, 1 not\n")


@pytest.mark.parametrize(
    ("code", "outcome", "reason"),
    [
        (-9, "stopped", "the worker was killed by SIGKILL; the same command goes on from its last checkpoint"),
        (1, "failed", "the worker ended with exit code 1: no room on the disk"),  # and no failed.json
    ],
)
def test_the_end_of_a_worker_that_could_say_nothing_is_explained(
    tmp_path: Path, code: int, outcome: str, reason: str
) -> None:
    run_folder = RunFolder(tmp_path)
    run_folder.log.write_text("2026-01-01T00:00:00Z began\n2026-01-01T00:00:01Z no room on the disk\n")
    assert launcher.explain(run_folder, code) == (outcome, reason)


def test_waiting_threads_soon_sleep_unless_the_user_wants_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    assert {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}.items() <= process.environment().items()
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert "GOMP_SPINCOUNT" not in process.environment()
    assert process.environment()["OMP_WAIT_POLICY"] == "ACTIVE"


def test_freed_memory_is_kept_unless_the_user_wants_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    assert int(process.environment()["MALLOC_MMAP_THRESHOLD_"]) > 2**31
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "1000000")
    assert process.environment()["MALLOC_MMAP_THRESHOLD_"] == "1000000"
