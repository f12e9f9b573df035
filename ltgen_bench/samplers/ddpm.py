from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from ltgen_bench.diffusion import schedule
from ltgen_bench.sampling.sampler import Sampler
from ltgen_bench.spec.specs import DiffusionSpec, SamplingSpec

if TYPE_CHECKING:
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler


class DDPM(Sampler):
    """Ancestral sampling (Ho et al., NeurIPS 2020, Algorithm 2), with the "fixed large" variance of CBDM.

    All T steps, unless `sample.steps` is given.
    """

    name = "ddpm"
    clips = True
    whole_chain = True

    def scheduler(self, diffusion: DiffusionSpec, sampling: SamplingSpec) -> DDPMScheduler:
        return schedule.ddpm(diffusion, clip=sampling.clip)

    def options(self, sampling: SamplingSpec, streams: Sequence[torch.Generator]) -> dict[str, Any]:
        return {"generator": streams}
