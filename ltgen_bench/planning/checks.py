"""Whatever can be known to be impossible before any work is done."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import torch

from ltgen_bench.data.long_tail import LongTail
from ltgen_bench.device import pick_device
from ltgen_bench.diffusion.unet import smallest_multiple
from ltgen_bench.errors import UsageError
from ltgen_bench.runs.job import Execution
from ltgen_bench.sampling import sampler
from ltgen_bench.sampling.pipeline import labels
from ltgen_bench.scoring.checks import check_enough, least_per_class
from ltgen_bench.spec.presets import Preset
from ltgen_bench.spec.specs import MIN_GROUP, DatasetSpec, DiffusionSpec, NetSpec, SamplingSpec, TrainSpec
from ltgen_bench.training import tracker

MAX_SEED = 2**32 - 1
"""The largest that NumPy's and scikit-learn's generators take."""


def check_values(net: NetSpec, train: TrainSpec, diffusion: DiffusionSpec, sample: SamplingSpec) -> None:
    """Raises UsageError for a value outside its range, or values that do not fit each other."""
    for section, spec in (("net", net), ("train", train), ("diffusion", diffusion)):
        _check_ranges(section, spec)
    _check_range("net.attention", net.attention, -1, len(net.channels) - 1)
    _check_range("diffusion.beta_start", diffusion.beta_start, 1e-9, diffusion.beta_end)
    _check_groups(net)
    check_sampling(sample, diffusion)


def check_sampling(sample: SamplingSpec, diffusion: DiffusionSpec) -> None:
    """Raises UsageError for a value outside its range, or an unknown sampler."""
    _check_ranges("sample", sample)
    _check_range("sample.steps", sample.steps, 1, diffusion.timesteps)
    sampler.check(sample, diffusion)


def _check_ranges(section: str, spec: NetSpec | TrainSpec | DiffusionSpec | SamplingSpec) -> None:
    for field in dataclasses.fields(spec):
        if "range" in field.metadata:
            _check_range(f"{section}.{field.name}", getattr(spec, field.name), *field.metadata["range"])


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UsageError(f"{name} must be from {low:.12g} to {high:.12g}, not {value:.12g}")


def _check_groups(net: NetSpec) -> None:
    """Raises UsageError for group normalisation that would hide time and label from a block."""
    narrowest, groups = min(net.channels), net.resolved.groups
    if narrowest < MIN_GROUP:
        raise UsageError(f"net.channels must be at least {MIN_GROUP}, not {_list(net.channels)}")
    suitable = f"leave net.groups out, or use {dataclasses.replace(net, groups=None).resolved.groups}"
    if groups is None or groups < 1 or any(c % groups for c in net.channels):
        raise UsageError(
            f"net.groups must divide each of net.channels, {_list(net.channels)}, not {groups}; {suitable}"
        )
    if narrowest < MIN_GROUP * groups:
        each = narrowest // groups
        raise UsageError(
            f"net.groups={groups} gives groups of {each} of {narrowest} channels; with fewer than {MIN_GROUP} the "
            f"normalisation takes out what time and label add, and the network does not see them; {suitable}"
        )


def check_execution(execution: Execution) -> torch.device:
    """The device to work on. Raises UsageError for one that is not here, frequent checkpoints, an unknown tracker."""
    device = pick_device(execution.device)
    if execution.checkpoint_seconds is not None and not execution.checkpoint_seconds >= 0.1:
        raise UsageError(f"--checkpoint-every must be at least 0.1 seconds, not {execution.checkpoint_seconds:g}")
    for name in execution.track:
        tracker.find(name)
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
    if sample.images < (needed := classes * least_per_class(data.groups)):
        raise UsageError(f"sample.images={sample.images}: scoring needs {needed} images or more of {classes} classes")
    check_enough("real", len(data.reference) // classes, data.groups)


def _list(values: Iterable[object]) -> str:
    return ",".join(str(v) for v in values)
