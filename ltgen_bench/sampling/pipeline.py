"""Makes the images of a trained network: one random stream per image."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ltgen_bench.data.groups import Groups
from ltgen_bench.device import exact_float32
from ltgen_bench.diffusion.denoiser import Denoiser
from ltgen_bench.diffusion.noise_prior import NoisePrior
from ltgen_bench.errors import UsageError
from ltgen_bench.rng import generator
from ltgen_bench.sampling.guidance import Guidance
from ltgen_bench.sampling.sampler import find
from ltgen_bench.spec.specs import DiffusionSpec, SamplingSpec


def batch_size(device: torch.device, size: int) -> int:
    """Images of that width per network call; does not change the images (each has its own stream).

    On a CPU as measured (`ci/bench/sample.py`): 250 of 8 pixels; with larger ones a few are enough.
    """
    return 500 if device.type == "cuda" else min(250, max(10, 250 * 8**2 // size**2))


def labels(images: int, num_classes: int) -> Tensor:
    """(images,) int64: the same number of each class, in class order. Raises UsageError when that is not possible."""
    if images % num_classes or images < 1:
        raise UsageError(
            f"{images} images cannot be shared evenly by {num_classes} classes; "
            f"use --set sample.images={max(1, round(images / num_classes)) * num_classes}"
        )
    return torch.arange(num_classes).repeat_interleave(images // num_classes)


def labels_of(spec: SamplingSpec, num_classes: int, seed: int) -> Tensor:
    """(images,) int64: the labels of the set that a run's seed defines, whichever method makes it.

    "uniform" draws each image's class independently, as the samplers of CBDM, OC and CORAL do. Raises UsageError as
    `labels` does.
    """
    if spec.labels == "balanced":
        return labels(spec.images, num_classes)
    return torch.randint(num_classes, (spec.images,), generator=generator("cpu", seed, "labels"))


class Pipeline:
    """A trained network, and all that making images with it takes.

    seed: of the run; noise_prior: the method's, if it has one; groups: of the classes, for an omega of their own;
    general: the network without its reserve, for `guide="general"`.
    """

    def __init__(
        self,
        net: Denoiser,
        spec: SamplingSpec,
        diffusion: DiffusionSpec,
        *,
        seed: int,
        noise_prior: NoisePrior | None = None,
        groups: Groups | None = None,
        general: Denoiser | None = None,
    ) -> None:
        if (spec.guide == "general") != (general is not None):
            raise ValueError("guide='general' takes the network without its reserve, and nothing else does")
        self.net, self.spec, self.diffusion, self.seed, self.general = net, spec, diffusion, seed, general
        self.sampler = find(spec.sampler)
        config, self.device = net.unet.config, net.unet.device
        self.shape = (config.in_channels, config.sample_size, config.sample_size)
        self.num_classes: int = config.num_class_embeds - 1
        self.batch_size = batch_size(self.device, config.sample_size)
        self.guidance = Guidance(spec, diffusion.timesteps, groups)
        self.noise_prior = NoisePrior(*(part.to(self.device) for part in noise_prior)) if noise_prior else None
        self._autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=spec.precision == "bf16")

    @exact_float32()
    @torch.inference_mode()
    def sample(self, index: range, y: Tensor, progress: Callable[[int], None] = lambda done: None) -> Tensor:
        """Images `index` of the set that (net, spec, seed) defines, as float32 (len(index), channels, height, width).

        y: labels of those images. Image i starts from the stream (seed, "image", i), so it is the same whatever else is
        made with it. `progress(network steps done)` is called after each step.
        """
        y = y.to(self.device)
        streams = [generator("cpu", self.seed, "image", i) for i in index]
        u = torch.stack([torch.randn(self.shape, generator=stream) for stream in streams]).to(self.device)
        scheduler = self.sampler.scheduler(self.diffusion, self.spec)
        scheduler.set_timesteps(self.spec.steps)
        # A class prior shifts and scales the whole chain: in the coordinates u = (x - sqrt(1 - abar) mean) / std the
        # chain is the ordinary one, so diffusers' scheduler works there unchanged.
        mean: Tensor | float = 0.0
        std: Tensor | float = 1.0
        if self.noise_prior is not None:
            mean, std = self.noise_prior.mean[y], self.noise_prior.std[y][:, None, None, None]
            if self.spec.clip:
                scheduler.register_to_config(clip_sample_range=1 / std)  # u ends as the image over std
        options = self.sampler.options(self.spec, streams)
        for done, t in enumerate(scheduler.timesteps.tolist(), start=1):
            level = (1 - scheduler.alphas_cumprod[t]).sqrt().item()
            eps = self._eps(std * u + level * mean, t, y)
            u = scheduler.step((eps - mean) / std, t, u, **options).prev_sample
            progress(done)
        # What is left of the prior at the last, cleanest level.
        return std * u + self.sampler.final_level(scheduler.alphas_cumprod) * mean

    def _eps(self, x: Tensor, t: int, y: Tensor) -> Tensor:
        """The guided prediction eps_c + omega (eps_c - eps_other).

        Without a label the other comes from the same call, on a doubled batch; where nothing is guided there is none.
        """
        times, omega = torch.full_like(y, t), self.guidance.at(t, y)
        with self._autocast:
            if not isinstance(omega, Tensor) and omega == 0:
                guided: Tensor = self.net(x, times, y).float()
            else:
                if self.general is None:
                    labels = torch.cat([y, torch.full_like(y, self.num_classes)])
                    eps, other = self.net(x.repeat(2, 1, 1, 1), times.repeat(2), labels).float().chunk(2)
                else:
                    eps, other = (net(x, times, y).float() for net in (self.net, self.general))
                guided = eps + omega * (eps - other)
        return guided
