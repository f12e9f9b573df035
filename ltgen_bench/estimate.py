"""How long a training will take here, before it starts."""

from __future__ import annotations

import functools
import time

import torch

from ltgen_bench.device import pick_device
from ltgen_bench.network import flops_per_image
from ltgen_bench.plan import Job

EFFICIENCY = 0.4
"""Share of a large matrix product's speed that a U-Net reaches, roughly."""


def training_seconds(job: Job) -> float:
    """Rough time to train the shared recipe (one pass per step: `ddpm`), from FLOPs and a short speed test."""
    run = job.run
    flops = flops_per_image(
        run.net, size=run.dataset.size, channels=run.dataset.channels, num_classes=len(run.dataset.class_counts)
    )
    # The backward pass costs twice the forward pass.
    total = 3 * flops * run.train.steps * run.train.batch
    return total / (EFFICIENCY * _flops_per_second(job.execution.device, run.train.precision))


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
