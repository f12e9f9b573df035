"""What scheduling costs: planning, Ray against a shell loop, slots kept busy, and results after a hundred kills.

    python ci/bench/schedule.py [PART ...] [--quick] [--write leaderboards/bench-schedule]

PART: plan, overhead, busy, kills; all of them take about an hour on two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ray
from common import machine

import ltgen_bench
from ltgen_bench.cli.show import list_runs
from ltgen_bench.launch.launcher import Resources
from ltgen_bench.launch.ray_cluster import Cluster
from ltgen_bench.planning.plan import Request, plan
from ltgen_bench.runs.job import Job
from ltgen_bench.spec.serialise import to_json
from ltgen_bench.storage.atomic_files import write_json

TINY = ["net.channels=32,32", "net.layers=1", "train.batch=8", "sample.images=120", "sample.steps=2"]
CORES = os.cpu_count() or 1


class Silent:
    """Reports nothing."""

    def started(self, job: Job) -> None: ...

    def progress(self, job: Job, progress: Mapping[str, Any]) -> None: ...

    def ended(self, job: Job, outcome: str, reason: str) -> None: ...


def jobs_of(runs: Path, number: int, steps: int) -> list[Job]:
    settings = [*TINY, f"train.steps={steps}"]
    return plan(Request(["ddpm"], ["digitslt"], range(number), settings=settings, features="efflite0@32"), runs)


def command_of(runs: Path, seeds: str, steps: int, *more: str) -> list[str]:
    words = [sys.executable, "-m", "ltgen_bench", "run", "--method", "ddpm", "--dataset", "digitslt", "--seeds", seeds]
    words += [word for setting in [*TINY, f"train.steps={steps}"] for word in ("--set", setting)]
    return [*words, "--features", "efflite0@32", "--device", "cpu", "--runs", str(runs), *more]


def environment() -> dict[str, str]:
    root = str(Path(ltgen_bench.__file__).parent.parent)
    return os.environ | {"PYTHONPATH": root, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


def planning(quick: bool) -> Iterator[str]:
    number = 500 if quick else 10_000
    with TemporaryDirectory() as folder:
        runs = Path(folder)
        jobs_of(runs, 1, 1)  # imports, and the dataset
        started = time.perf_counter()
        jobs = jobs_of(runs, number, 1)
        states = {job.state for job in jobs}
        planned = time.perf_counter() - started
        assert states == {"waiting"}
        for job in jobs:
            job.run_folder.path.mkdir(parents=True)
            (job.run_folder.path / "spec.json").write_text(json.dumps(to_json(job.run)))
            write_json(job.run_folder.failed, {"reason": "for the benchmark"})
        started = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()) as said:
            list_runs("runs", runs)
        listed = time.perf_counter() - started
        assert f"{number} failed" in said.getvalue()
    yield "## Planning and status\n"
    yield "| of a grid of | planned, with the state of each run | `status` |"
    yield "|---|---|---|"
    yield f"| {number:,} runs | {planned:.1f} s | {listed:.1f} s |"
    yield "\nTarget: 5 s each for 10,000 runs.\n"


def overhead(quick: bool) -> Iterator[str]:
    """The same runs by one command through Ray, and by a shell loop on each core."""
    number, steps = (2 * CORES, 20) if quick else (16 * CORES, 1500)
    seconds = {}
    with TemporaryDirectory() as folder:
        started = time.perf_counter()
        seeds = ",".join(map(str, range(number)))
        done = subprocess.run(
            command_of(Path(folder), seeds, steps), env=environment(), stdout=subprocess.PIPE, text=True, check=True
        )
        assert f"{number} done, 0 not" in done.stdout
        seconds["ray"] = time.perf_counter() - started
    with TemporaryDirectory() as folder:
        started = time.perf_counter()
        loops = []
        for core in range(CORES):
            lines = [command_of(Path(folder), str(seed), steps) for seed in range(core, number, CORES)]
            script = "\n".join(" ".join(words) for words in lines)
            loops.append(subprocess.Popen(["sh", "-ec", script], env=environment(), stdout=subprocess.DEVNULL))
        assert [loop.wait() for loop in loops] == [0] * CORES
        seconds["loop"] = time.perf_counter() - started
    with TemporaryDirectory() as folder:
        started = time.perf_counter()
        ended: list[float] = []
        with Cluster(Resources(0, 1)) as cluster:
            ended.append(time.perf_counter() - started)
            assert cluster.slots == CORES
        ended.append(time.perf_counter() - started)
    grid = max(seconds.values())
    yield f"## Ray against a shell loop: {number} runs of {steps:,} small steps, one thread each, on {CORES} cores\n"
    yield "| | s |"
    yield "|---|---|"
    yield f"| one command, through Ray | {seconds['ray']:.1f} |"
    yield f"| {CORES} shell loops of single commands, each with a driver of its own to start | {seconds['loop']:.1f} |"
    yield f"| start of Ray | {ended[0]:.1f} |"
    yield f"| start and end of Ray | {ended[1]:.1f} |"
    more = seconds["ray"] - ended[1] - seconds["loop"]
    yield f"\nBeyond start and end Ray costs {more:+.1f} s, {more / grid:+.1%} of the grid (target: 2 %).\n"


@dataclasses.dataclass
class Simulated(Cluster):
    """A cluster whose runs sleep."""

    seconds: float = 2.0

    def submit(self, job: Job, driver: str) -> Any:
        return ray.remote(_sleep).options(num_cpus=1).remote(self.seconds)


def _sleep(seconds: float) -> int:
    """A run that goes well: the exit code of its worker."""
    time.sleep(seconds)
    return 0


def busy(quick: bool) -> Iterator[str]:
    """Whether the driver keeps many slots supplied."""
    slots, number, length = (4, 40, 0.5) if quick else (64, 10_000, 2.0)
    with TemporaryDirectory() as folder:
        jobs = jobs_of(Path(folder), number, 1)
        ray.init("local", num_cpus=slots, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
        task = ray.remote(_sleep).options(num_cpus=1)
        ray.get([task.remote(1.0) for _ in range(2 * slots)])  # Ray's workers are there
        cluster = Simulated(Resources(0, 1), seconds=length)
        cluster._ray, cluster.slots = ray, slots
        started = time.perf_counter()
        counts = cluster(jobs, Silent())
        took = time.perf_counter() - started
        ray.shutdown()
    assert counts == {"done": number}
    share = number * length / (slots * took)
    yield f"## {slots} slots, {number:,} runs that sleep for {length:g} s\n"
    yield f"Took {took:.0f} s: slots were busy {share:.1%} of the time (target: 95 %), on {CORES} real cores.\n"


def kills(quick: bool) -> Iterator[str]:
    """Kill a worker, a Ray worker or the driver at random moments, until a grid of runs is done."""
    number, wanted = (4, 4) if quick else (40, 100)
    rng = random.Random(0)
    with TemporaryDirectory() as undisturbed, TemporaryDirectory() as disturbed:
        seeds = ",".join(map(str, range(number)))
        plain = command_of(Path(undisturbed), seeds, 60, "--checkpoint-every", "0.2")
        subprocess.run(plain, env=environment(), stdout=subprocess.DEVNULL, check=True)
        hit = {"worker": 0, "ray worker": 0, "driver": 0}
        commands = 0
        while True:
            command = command_of(Path(disturbed), seeds, 60, "--checkpoint-every", "0.2")
            driver = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, start_new_session=True)
            commands += 1
            while driver.poll() is None:
                if sum(hit.values()) < wanted:
                    _kill_something(rng, driver.pid, disturbed, hit)
                time.sleep(rng.uniform(0.5, 3))
            if driver.returncode == 0:
                break
            while any(job.run_folder.owner() for job in jobs_of(Path(disturbed), number, 60)):
                time.sleep(0.5)
        lost = different = 0
        for mine, other in zip(*(jobs_of(Path(f), number, 60) for f in (disturbed, undisturbed)), strict=True):
            found, expected = (job.run_folder.record(job.eval.eval_id) for job in (mine, other))
            lost += found is None
            same = found is not None and expected is not None and found.scores == expected.scores
            weights = "model/diffusion_pytorch_model.safetensors"
            same &= (mine.run_folder.path / weights).read_bytes() == (other.run_folder.path / weights).read_bytes()
            different += not same
        logs = [log.read_text() for log in Path(disturbed).glob("*/*/*/log.txt")]
        twice = sum(max(log.count(" trained in "), log.count(" scored in ")) > 1 for log in logs)
    killed = ", ".join(f"{n} times a {what}" for what, n in hit.items())
    yield f"## {sum(hit.values())} kills over a grid of {number} runs\n"
    yield f"Killed {killed}; the command was given {commands} times."
    yield f"Results lost: {lost}; runs trained or scored twice: {twice}; weights or scores that are not"
    yield f"bit-identical to those of an undisturbed grid: {different}.\n"


def _kill_something(rng: random.Random, driver: int, runs: str, hit: dict[str, int]) -> None:
    """SIGKILL to one of the processes that work, the driver seldom: all others end with it."""
    workers, supervisors = [], []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            words = (folder / "cmdline").read_bytes()
            if b"ltgen_bench.launch.worker" in words and runs.encode() in words:
                workers.append(int(folder.name))
                supervisors.append(int((folder / "stat").read_text().rpartition(")")[2].split()[1]))
    if not workers:
        return
    what = rng.choices(["worker", "ray worker", "driver"], [10, 10, 1])[0]
    target = {"worker": rng.choice(workers), "ray worker": rng.choice(supervisors), "driver": driver}[what]
    if target > 1:
        with contextlib.suppress(ProcessLookupError):
            os.kill(target, signal.SIGKILL)
            hit[what] += 1


PARTS: dict[str, Callable[[bool], Iterator[str]]] = {
    "plan": planning,
    "overhead": overhead,
    "busy": busy,
    "kills": kills,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="only show that everything works")
    parser.add_argument("--write", type=Path, metavar="PATH", help="write PATH.md")
    options = parser.parse_args()
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    lines = [
        "# What scheduling costs\n",
        "Written by `python ci/bench/schedule.py`.\n",
        machine("ray") + "\n",
    ]
    print("\n".join(lines))
    for name in options.parts or PARTS:
        for line in PARTS[name](options.quick):
            print(line, flush=True)
            lines.append(line)
    if options.write:
        options.write.with_suffix(".md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
