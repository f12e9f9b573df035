"""The noise schedule: diffusers' own schedulers, configured as in the long-tail papers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from ltgen_bench.spec.specs import DiffusionSpec

if TYPE_CHECKING:
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler


def alphas_cumprod(spec: DiffusionSpec) -> Tensor:
    """(T,) float32: the share of signal variance left at each timestep."""
    abar: Tensor = ddpm(spec).alphas_cumprod
    return abar


def ddim(spec: DiffusionSpec, *, clip: bool = False) -> DDIMScheduler:
    """clip: whether the image that each step predicts is clipped to [-1, 1], which the papers' samplers do not."""
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    return DDIMScheduler(
        num_train_timesteps=spec.timesteps,
        beta_start=spec.beta_start,
        beta_end=spec.beta_end,
        clip_sample=clip,
        set_alpha_to_one=False,
        timestep_spacing="leading",
    )


def ddpm(spec: DiffusionSpec, *, clip: bool = False) -> DDPMScheduler:
    """clip: as for `ddim`."""
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    return DDPMScheduler(
        num_train_timesteps=spec.timesteps,
        beta_start=spec.beta_start,
        beta_end=spec.beta_end,
        variance_type="fixed_large",
        clip_sample=clip,
        timestep_spacing="leading",
    )
