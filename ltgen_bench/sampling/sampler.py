"""The sampler surface: from a network's predictions of noise to images, step by step.

A sampler is one file with one class, found as methods are: in `ltgen_bench/samplers/`, in `DIR/samplers/` with
`LTGEN_PLUGINS=DIR`, or through the entry point group `ltgen_bench.samplers` of an installed package:

    class DPMSolver(Sampler):
        "DPM-Solver++ of second order (Lu et al., 2022)."
        name = "dpm++"                            # --set sample.sampler=dpm++ --set sample.steps=20

        def scheduler(self, diffusion, sampling):
            return DPMSolverMultistepScheduler(
                num_train_timesteps=diffusion.timesteps, beta_start=diffusion.beta_start, beta_end=diffusion.beta_end
            )

The name is part of how a run is sampled, and of its score's identity: give a sampler that changes a new name.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from ltgen_bench import registry
from ltgen_bench.errors import UsageError
from ltgen_bench.samplers import BUILT_IN
from ltgen_bench.spec import serialise
from ltgen_bench.spec.specs import DiffusionSpec, SamplingSpec

if TYPE_CHECKING:
    from diffusers.schedulers.scheduling_utils import SchedulerMixin


class Sampler:
    """A way to sample. Subclass it, name it, say which of diffusers' schedulers it is."""

    name: ClassVar[str]
    """How the command line spells it."""
    clips: ClassVar[bool] = False
    """Whether it heeds `sample.clip`, by diffusers' `clip_sample` and `clip_sample_range`; else that is refused."""
    whole_chain: ClassVar[bool] = False
    """Whether it takes every step of the chain where `sample.steps` is not given."""

    def scheduler(self, diffusion: DiffusionSpec, sampling: SamplingSpec) -> SchedulerMixin:
        """One of diffusers' schedulers, new for every batch; `sampling.steps` timesteps are set on it afterwards.

        It takes predictions of the noise (`prediction_type="epsilon"`) of images sqrt(abar_t) x0 + sqrt(1 - abar_t)
        noise at whole timesteps t, with abar_t in its `alphas_cumprod`: so do DPM-Solver, UniPC, DEIS and PNDM, but not
        the schedulers that scale images by 1 + sigma (Euler, Heun, LMS).
        """
        raise NotImplementedError

    def options(self, sampling: SamplingSpec, streams: Sequence[torch.Generator]) -> dict[str, Any]:
        """Further arguments of the scheduler's `step`. Who draws noise draws image i's from `streams[i]`."""
        return {}

    def final_level(self, alphas_cumprod: Tensor) -> float:
        """Standard deviation of the noise that the finished images still have; alphas_cumprod: (T,)."""
        return 0.0


def find(name: str) -> Sampler:
    """The sampler of that name. Raises UsageError when it is unknown, with the near miss, or cannot be imported."""
    return registry.samplers().load(name, f"--set sample.sampler={name}")()


def override(own: SamplingSpec, changes: Mapping[str, str], timesteps: int) -> SamplingSpec:
    """Sampling with some settings replaced; ancestral sampling takes all timesteps unless told otherwise.

    Raises UsageError for an unknown setting or sampler, for a value of the wrong type, and for a sampler of fewer steps
    in place of one that takes the whole chain, unless it is said how many.
    """
    changed = serialise.override(own, changes, "sample")
    if changed.sampler == own.sampler or "steps" in changes:
        return changed
    if find(changed.sampler).whole_chain:
        return dataclasses.replace(changed, steps=timesteps)
    if own.sampler in registry.samplers().entries() and find(own.sampler).whole_chain:
        raise UsageError(
            f"--set sample.sampler={changed.sampler}: in place of {own.sampler}, which takes the whole chain, its "
            "number of steps is not known; give --set sample.steps=N, too"
        )
    return changed


def check(sampling: SamplingSpec, diffusion: DiffusionSpec) -> None:
    """Raises UsageError for a sampler that is unknown, that cannot clip and is to, or whose scheduler does not suit."""
    sampler = find(sampling.sampler)
    if not sampler.clips and sampling.clip:
        raise UsageError(
            f"sample.clip is on, but sampler {sampling.sampler} does not clip; use --set sample.clip=false"
        )
    if Path(inspect.getfile(type(sampler))).parent == BUILT_IN:
        return  # they suit; to import diffusers' schedulers takes seconds
    try:
        scheduler: Any = sampler.scheduler(diffusion, sampling)
        scheduler.set_timesteps(sampling.steps)
        wrong = _misfit(scheduler)
    except Exception as error:  # whatever somebody's sampler raises
        wrong = f"cannot be set up: {type(error).__name__}: {error}"
    if wrong:
        raise UsageError(f"sampler {sampling.sampler}: its scheduler {wrong} (see ltgen_bench.sampling.sampler)")


def _misfit(scheduler: Any) -> str | None:
    """Why a scheduler cannot be used as `Sampler.scheduler` says."""
    if (kind := getattr(scheduler.config, "prediction_type", "epsilon")) != "epsilon":
        return f"takes predictions of {kind}, not of the noise"
    if not hasattr(scheduler, "alphas_cumprod"):
        return "has no alphas_cumprod"
    if float(scheduler.init_noise_sigma) != 1:
        return "scales images by 1 + sigma"
    if scheduler.timesteps.is_floating_point():
        return "visits times that are no whole numbers"
    return None
