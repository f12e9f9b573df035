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
from ltgen_bench.runs.run_folder import RunFolder
from ltgen_bench.sampling import guidance, sampler
from ltgen_bench.sampling.pipeline import labels_of
from ltgen_bench.scoring.checks import least_per_class
from ltgen_bench.spec.presets import Preset
from ltgen_bench.spec.specs import MIN_GROUP, DatasetSpec, DiffusionSpec, NetSpec, RunSpec, SamplingSpec, TrainSpec
from ltgen_bench.training import tracker
from ltgen_bench.training.stack import build_stack

MAX_SEED = 2**32 - 1
"""The largest that NumPy's and scikit-learn's generators take."""


def check_values(net: NetSpec, train: TrainSpec, diffusion: DiffusionSpec) -> None:
    """Raises UsageError for a value outside its range, or values that do not fit each other."""
    for section, spec in (("net", net), ("train", train), ("diffusion", diffusion)):
        _check_ranges(section, spec)
    _check_range("net.attention", net.attention, -1, len(net.channels) - 1)
    _check_range("diffusion.beta_start", diffusion.beta_start, 1e-9, diffusion.beta_end)
    _check_groups(net)


def check_sampling(sample: SamplingSpec, diffusion: DiffusionSpec) -> None:
    """Raises UsageError for a value outside its range, or an unknown sampler."""
    _check_ranges("sample", sample)
    _check_range("sample.steps", sample.steps, 1, diffusion.timesteps)
    sampler.check(sample, diffusion)
    guidance.check(sample)


def _check_ranges(section: str, spec: NetSpec | TrainSpec | DiffusionSpec | SamplingSpec) -> None:
    for field in dataclasses.fields(spec):
        if "range" in field.metadata and (value := getattr(spec, field.name)) is not None:
            _check_range(f"{section}.{field.name}", value, *field.metadata["range"])


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


def check_images(data: LongTail, sample: SamplingSpec, seeds: Iterable[int]) -> None:
    """Raises UsageError for a number of images that classes cannot share, or that is too small to score; and for an
    omega of a group that the classes do not have."""
    guidance.check_groups(sample, data.groups)
    classes, least = len(data.class_counts), least_per_class(data.groups)
    for seed in seeds if sample.labels == "uniform" else [0]:
        drawn = torch.bincount(labels_of(sample, classes, seed), minlength=classes)
        if (fewest := int(drawn.min())) < least:
            raise UsageError(_too_few(sample, classes, least, f"seed {seed} draws {fewest} of class {drawn.argmin()}"))


def _too_few(sample: SamplingSpec, classes: int, least: int, drawn: str) -> str:
    if sample.labels == "balanced":
        return f"sample.images={sample.images}: scoring needs {classes * least} images or more of {classes} classes"
    return (
        f"sample.images={sample.images} with sample.labels=uniform: {drawn}, and scoring needs {least} of each; give "
        "more images"
    )


def check_guide(sample: SamplingSpec, run: RunSpec, run_folder: RunFolder, *, again: bool = False) -> None:
    """Raises UsageError when guidance takes a network without reserve, and the run has none and will have none.

    again: whether the run is to be made again from its start.
    """
    if sample.guide != "general":
        return
    if not build_stack(run.methods).has_reserve:
        raise UsageError(
            f"sample.guide=general: {run.method} reserves nothing, so that there is no network without its reserve to "
            "guide away from; use a method that has one, or leave sample.guide out"
        )
    trained = run_folder.model.exists() and not run_folder.checkpoints()
    if trained and not again and not run_folder.general_model.exists():
        raise UsageError(
            f"sample.guide=general: run {run_folder.path.name} has no {run_folder.general_model.name}/, the network "
            "without its reserve, as it was trained before that was kept; give run --again, which trains it anew"
        )


def _list(values: Iterable[object]) -> str:
    return ",".join(str(v) for v in values)
