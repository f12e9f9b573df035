"""The noise schedule and the samplers: diffusers' own schedulers, configured as in the long-tail papers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from ltgen_bench.spec.specs import DiffusionSpec, SamplingSpec

if TYPE_CHECKING:
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler


def alphas_cumprod(spec: DiffusionSpec) -> Tensor:
    """(T,) float32: the share of signal variance left at each timestep."""
    abar: Tensor = _ddpm(spec).alphas_cumprod
    return abar


def scheduler(spec: DiffusionSpec, sample: SamplingSpec) -> DDIMScheduler | DDPMScheduler:
    """The scheduler that samples, its timesteps set.

    ddim: eta 0, times T - T/steps, ..., T/steps, 0. Its last update, from t = 0 to 0, changes nothing
    and leaves the noise of abar_0 (std 0.01): kept as in the OC and CM code that published numbers come from.
    ddpm: ancestral sampling with the "fixed large" variance of CBDM.
    Neither clips the image that it predicts at each step, unless `sample.clip` says so.
    """
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    if sample.sampler == "ddim":
        chosen = DDIMScheduler(
            num_train_timesteps=spec.timesteps,
            beta_start=spec.beta_start,
            beta_end=spec.beta_end,
            clip_sample=sample.clip,
            set_alpha_to_one=False,
            timestep_spacing="leading",
        )
    else:
        chosen = _ddpm(spec, clip=sample.clip)
    chosen.set_timesteps(sample.steps)
    return chosen


def _ddpm(spec: DiffusionSpec, *, clip: bool = False) -> DDPMScheduler:
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    return DDPMScheduler(
        num_train_timesteps=spec.timesteps,
        beta_start=spec.beta_start,
        beta_end=spec.beta_end,
        variance_type="fixed_large",
        clip_sample=clip,
        timestep_spacing="leading",
    )
