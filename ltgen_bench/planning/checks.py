"""Whatever can be known to be impossible before any work is done."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from ltgen_bench.data.long_tail import LongTail
from ltgen_bench.device import pick_device
from ltgen_bench.diffusion.unet import smallest_multiple
from ltgen_bench.errors import UsageError
from ltgen_bench.runs.job import Execution
from ltgen_bench.sampling.sampler import labels
from ltgen_bench.scoring.checks import check_enough
from ltgen_bench.spec.presets import Preset
from ltgen_bench.spec.specs import (
    DatasetSpec,
    DiffusionSpec,
    NetSpec,
    SamplingSpec,
    TrainSpec,
)

MAX_SEED = 2**32 - 1
"""The largest that NumPy's and scikit-learn's generators take."""


def check_values(net: NetSpec, train: TrainSpec, diffusion: DiffusionSpec, sample: SamplingSpec) -> None:
    """Raises UsageError for a value outside its range."""
    for name, value, low, high in (
        ("net.layers", net.layers, 1, 16),
        ("net.dropout", net.dropout, 0, 0.99),
        ("net.attention", net.attention, -1, len(net.channels) - 1),
        ("train.steps", train.steps, 1, 10**9),
        ("train.batch", train.batch, 1, 10**6),
        ("train.lr", train.lr, 1e-12, 1e3),
        ("train.warmup", train.warmup, 0, 10**9),
        ("train.grad_clip", train.grad_clip, 1e-12, 1e12),
        ("train.ema", train.ema, 0, 1 - 1e-9),
        ("train.label_dropout", train.label_dropout, 0, 1),
        ("diffusion.timesteps", diffusion.timesteps, 2, 10**6),
        ("diffusion.beta_start", diffusion.beta_start, 1e-9, diffusion.beta_end),
        ("diffusion.beta_end", diffusion.beta_end, diffusion.beta_start, 0.999),
        ("sample.images", sample.images, 1, 10**8),
        ("sample.steps", sample.steps, 1, diffusion.timesteps),
        ("sample.omega", sample.omega, -1, 1e3),
    ):
        if not low <= value <= high:
            raise UsageError(f"{name} must be from {low:g} to {high:g}, not {value:g}")
    if any(c < 32 or c % 32 for c in net.channels):
        raise UsageError(f"net.channels must be multiples of 32 (group normalisation), not {_list(net.channels)}")


def check_execution(execution: Execution) -> torch.device:
    """The device to work on. Raises UsageError for one that is not here, or checkpoints that are too frequent."""
    device = pick_device(execution.device)
    if execution.checkpoint_seconds is not None and not execution.checkpoint_seconds >= 0.1:
        raise UsageError(f"--checkpoint-every must be at least 0.1 seconds, not {execution.checkpoint_seconds:g}")
    return device


def check_seeds(seeds: Iterable[int]) -> None:
    """Raises UsageError for a seed that the scorer's generators do not take."""
    for seed in seeds:
        if not 0 <= seed <= MAX_SEED:
            raise UsageError(f"--seeds {seed}: a seed is a whole number from 0 to {MAX_SEED}")


def check_size(data: DatasetSpec, preset: Preset) -> None:
    """Raises UsageError for an image size that the network cannot halve at each level."""
    multiple = smallest_multiple(len(preset.net.channels))
    if data.size % multiple:
        fits = max(multiple, data.size // multiple * multiple)
        raise UsageError(
            f"{data.size}x{data.size} images do not suit a network of {len(preset.net.channels)} levels, which needs a "
            f"multiple of {multiple}; use --size {fits}, or fewer levels with --set net.channels=..."
        )


def check_images(data: LongTail, sample: SamplingSpec) -> None:
    """Raises UsageError for a number of images that classes cannot share, or that is too small to score."""
    classes = len(data.class_counts)
    labels(sample.images, classes)
    check_enough("generated", sample.images // classes, data.groups)
    check_enough("real", len(data.reference) // classes, data.groups)


def _list(values: Iterable[object]) -> str:
    return ",".join(str(v) for v in values)
