"""Shared by the benchmarks of training and sampling: networks, random images, timing side by side, peak memory."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from ltgen_bench.data.groups import Groups
from ltgen_bench.data.images import Images
from ltgen_bench.data.long_tail import LongTail, exponential_counts
from ltgen_bench.device import describe_device, exact_float32
from ltgen_bench.diffusion.denoiser import Denoiser
from ltgen_bench.diffusion.unet import build, flops_per_image
from ltgen_bench.launch.process import environment
from ltgen_bench.spec.presets import PRESETS
from ltgen_bench.spec.specs import DatasetSpec, DiffusionSpec, NetSpec, RunSpec, TrainSpec
from ltgen_bench.training.stack import describe, parse_methods
from ltgen_bench.training.trainer import Trainer

Job = Callable[[], object]

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
PRECISION: Literal["fp32", "bf16"] = "bf16" if DEVICE.type == "cuda" else "fp32"
WARM_UP = 2


@dataclass(frozen=True)
class Task:
    """What is trained: a network and the shape of its batches."""

    net: NetSpec
    size: int
    channels: int
    batch: int
    classes: int = 10

    @property
    def gflop(self) -> float:
        """GFLOP of one forward pass for one image."""
        return self._flops / 1e9

    @property
    def _flops(self) -> int:
        return flops_per_image(self.net, size=self.size, channels=self.channels, num_classes=self.classes)

    def network(self) -> Denoiser:
        net = build(self.net, size=self.size, channels=self.channels, num_classes=self.classes, seed=0).to(DEVICE)
        return net.to(memory_format=torch.channels_last) if DEVICE.type == "cuda" else net

    def data(self) -> LongTail:
        """Random images with the class sizes of a long tail: speed does not depend on what they show."""
        imbalance = 20.0
        counts = exponential_counts(max(20, 5000 // self.classes), self.classes, imbalance)
        labels = np.repeat(np.arange(self.classes), counts)
        shape = (len(labels), self.size, self.size, self.channels)
        pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        images = Images(pixels, labels.astype(np.int64))
        sha = images.sha256
        spec = DatasetSpec("random", 1, imbalance, self.size, self.channels, counts, "", sha, sha)
        return LongTail(spec, images, images, None, tuple(map(str, range(self.classes))), Groups.from_counts(counts))

    def trainer(self, text: str) -> Trainer:
        """The trainer of "METHODS [SETTING=VALUE ...]", as `run` makes it."""
        name, *settings = text.split()
        chosen: dict[str, dict[str, str]] = {}
        for setting in settings:
            key, _, value = setting.partition("=")
            method, _, parameter = key.partition(".")
            chosen.setdefault(method, {})[parameter] = value
        stack, data = parse_methods(name, chosen), self.data()
        # Labels are never dropped, so that every step of cbdm has its second pass.
        recipe = TrainSpec(batch=self.batch, label_dropout=0.0, precision=PRECISION)
        methods = tuple(map(describe, stack.methods))
        run = RunSpec("bench", data.spec, methods, self.net, recipe, DiffusionSpec(), 0)
        return Trainer(run, data, stack, DEVICE)


TASKS = {
    "mini": Task(PRESETS["mini"].net, 8, 1, 64),
    "cifar": Task(PRESETS["paper"].net, 32, 3, 64 if DEVICE.type == "cuda" else 16),
}


def as_a_worker() -> None:
    """Start this script again in the environment that the suite gives its workers, peers and all."""
    wanted = environment()
    if wanted != dict(os.environ):
        os.execve(sys.executable, [sys.executable, *sys.argv], wanted)


def wait() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def side_by_side(jobs: Mapping[str, Job], rounds: int) -> dict[str, list[float]]:
    """Seconds of each job in each round, after a warm-up.

    All jobs take turns, in a new order each round, so that a drift of the machine's speed meets them all and none
    always follows the same other.
    """
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    order = np.random.default_rng(0)
    with exact_float32():  # on a GPU the others are to compute in no other precision and by no faster algorithms
        for number in range(rounds + WARM_UP):
            for name in order.permutation(list(jobs)).tolist():
                started = time.perf_counter()
                jobs[name]()
                wait()
                if number >= WARM_UP:
                    seconds[name].append(time.perf_counter() - started)
    return seconds


def ratio(mine: Iterable[float], other: Iterable[float]) -> tuple[float, float]:
    """Median of the ratios within a round, and half their interquartile range over the root of their number."""
    ratios = [a / b for a, b in zip(mine, other, strict=True)]
    if len(ratios) < 2:
        return ratios[0], float("nan")
    low, _, high = statistics.quantiles(ratios, n=4)
    return statistics.median(ratios), (high - low) / 2 / len(ratios) ** 0.5


def peak_bytes(make: Callable[[], Job], times: int = 2) -> int:
    """Most bytes of tensors that torch holds at once while `make` prepares a job and the job runs.

    On a CPU summed from the profiler's record of every allocation: the same on every machine, in contrast to the
    memory of the process, of which the C library keeps what was freed. oneDNN's scratch space is not in it.
    """
    if DEVICE.type == "cuda":
        torch.cuda.empty_cache()
        held = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        _repeat(make(), times)
        return torch.cuda.max_memory_allocated() - held
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        _repeat(make(), times)
    results: Any = profile.profiler.kineto_results
    changes = sorted((e.start_ns(), e.nbytes()) for e in results.events() if e.name() == "[memory]")
    return int(np.cumsum([n for _, n in changes]).max())


def _repeat(job: Job, times: int) -> None:
    for _ in range(times):
        job()


def machine(*packages: str) -> str:
    """The machine and the versions, for the head of a table."""
    name = describe_device(DEVICE)
    if DEVICE.type == "cpu":
        model = platform.processor() or platform.machine()
        with contextlib.suppress(OSError, StopIteration):
            lines = Path("/proc/cpuinfo").read_text().splitlines()
            model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
        name = f"{model}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    found = []
    for package in ("torch", "diffusers", *packages):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{package} {importlib.metadata.version(package)}")
    return f"{name}; Python {platform.python_version()}, {', '.join(found)}."
