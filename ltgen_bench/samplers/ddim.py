from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ltgen_bench.diffusion import schedule
from ltgen_bench.sampling.sampler import Sampler
from ltgen_bench.spec.specs import DiffusionSpec, SamplingSpec

if TYPE_CHECKING:
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler


class DDIM(Sampler):
    """Deterministic sampling (Song et al., ICLR 2021, Eq. 12 with eta 0), at T - T/steps, ..., T/steps, 0.

    Its last update, from t = 0 to 0, changes nothing and leaves the noise of abar_0 (standard deviation 0.01): kept as
    in the OC and CM code that published numbers come from.
    """

    name = "ddim"
    clips = True

    def scheduler(self, diffusion: DiffusionSpec, sampling: SamplingSpec) -> DDIMScheduler:
        return schedule.ddim(diffusion, clip=sampling.clip)

    def options(self, sampling: SamplingSpec, streams: Sequence[torch.Generator]) -> dict[str, Any]:
        # It has to be told that the noise follows from the clipped image: with that of the unclipped one, an image
        # predicted too bright ends far too dark.
        return {"use_clipped_model_output": sampling.clip}

    def final_level(self, alphas_cumprod: Tensor) -> float:
        return (1 - alphas_cumprod[0]).sqrt().item()
