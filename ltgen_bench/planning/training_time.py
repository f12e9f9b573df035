"""How long a training will take here, before it starts."""

from __future__ import annotations

import functools
import time

import torch

from ltgen_bench.device import pick_device
from ltgen_bench.runs.job import Job
from ltgen_bench.spec.specs import NetSpec

EFFICIENCY = 0.4
"""Share of a large matrix product's speed that a U-Net reaches, roughly."""


def training_seconds(job: Job) -> float:
    """Rough time to train the shared recipe (one pass per step: `ddpm`), from FLOPs and a short speed test."""
    run = job.run
    flops = rough_flops(run.net, run.dataset.size)
    # The backward pass costs twice the forward pass.
    total = 3 * flops * run.train.steps * run.train.batch
    return total / (EFFICIENCY * _flops_per_second(job.execution.device, run.train.precision))


def sampling_seconds(job: Job) -> float:
    """Rough time to make the images, with guidance (two passes a step)."""
    sample = job.eval.sample
    flops = 2 * rough_flops(job.run.net, job.run.dataset.size) * sample.steps * sample.images
    return flops / (EFFICIENCY * _flops_per_second(job.execution.device, sample.precision))


def rough_flops(net: NetSpec, size: int) -> float:
    """About what `unet.flops_per_image` counts, which takes three seconds to import the network."""
    return sum(2 * weights * (size >> level) ** 2 for level, weights in enumerate(_weights_of_levels(net)))


def rough_parameters(net: NetSpec) -> int:
    """About how many parameters the network has."""
    return round(sum(_weights_of_levels(net)))


def _weights_of_levels(net: NetSpec) -> list[float]:
    weights = []
    for level, channels in enumerate(net.channels):
        # Two convolutions in each block; those of the up path, one block longer, take the skip connections too.
        convolutions = 2 * net.layers + 3 * (net.layers + 1)
        if level == len(net.channels) - 1:
            convolutions += 4  # the middle
        weights.append(1.35 * convolutions * 9 * channels**2)  # with all the rest
    return weights


@functools.cache
def _flops_per_second(device_name: str, precision: str) -> float:
    device = pick_device(device_name)
    n = 4096 if device.type == "cuda" else 768
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a = torch.ones(n, n, device=device, dtype=dtype)

    def once() -> float:
        started = time.perf_counter()
        (a @ a)[0, 0].item()
        return time.perf_counter() - started

    once()
    return float(2 * n**3 / min(once() for _ in range(3)))
