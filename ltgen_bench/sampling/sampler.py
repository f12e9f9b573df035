"""Makes the images of a trained network: balanced labels, one random stream per image."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import torch
from torch import Tensor

from ltgen_bench.diffusion.denoiser import Denoiser
from ltgen_bench.diffusion.noise_prior import NoisePrior
from ltgen_bench.diffusion.schedule import scheduler
from ltgen_bench.errors import UsageError
from ltgen_bench.rng import generator
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


@torch.inference_mode()
def sample(
    net: Denoiser,
    spec: SamplingSpec,
    diffusion: DiffusionSpec,
    *,
    index: range,
    y: Tensor,
    shape: tuple[int, int, int],
    seed: int,
    device: torch.device,
    bf16: bool = False,
    noise_prior: NoisePrior | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Tensor:
    """Images `index` of the set that (net, spec, seed) defines, as float32 (len(index), channels, height, width).

    y: labels of those images; shape: (channels, height, width). Image i starts from the stream (seed, "image", i),
    so it is the same whatever else is made with it. `progress(network steps done)` is called after each step.
    Guidance: eps_c + omega (eps_c - eps_u), both predictions from one call on a doubled batch.
    """
    null = y.new_full(y.shape, net.unet.config.num_class_embeds - 1).to(device)
    y = y.to(device)
    streams = [generator("cpu", seed, "image", i) for i in index]
    u = torch.stack([torch.randn(shape, generator=stream) for stream in streams]).to(device)
    # A class prior shifts and scales the whole chain: in the coordinates u = (x - sqrt(1 - abar) mean) / std the chain
    # is the ordinary one, so diffusers' scheduler works there unchanged.
    mean: Tensor | float = 0.0
    std: Tensor | float = 1.0
    if noise_prior is not None:
        mean, std = noise_prior.mean.to(device)[y], noise_prior.std.to(device)[y][:, None, None, None]
    steps = scheduler(diffusion, spec)
    if noise_prior is not None:
        steps.register_to_config(clip_sample_range=1 / std)  # where `spec.clip` clips: u ends as the image over std
    autocast = torch.autocast(device.type, torch.bfloat16) if bf16 else contextlib.nullcontext()
    for done, t in enumerate(steps.timesteps.tolist(), start=1):
        level = (1 - steps.alphas_cumprod[t]).sqrt().item()
        x = std * u + level * mean
        times = torch.full_like(y, t)
        with autocast:
            if spec.omega == 0:
                eps = net(x, times, y).float()
            else:
                both = net(x.repeat(2, 1, 1, 1), times.repeat(2), torch.cat([y, null]))
                eps_c, eps_u = both.float().chunk(2)
                eps = eps_c + spec.omega * (eps_c - eps_u)
        # The ancestral sampler draws more noise. DDIM has to be told that the noise follows from the clipped image:
        # with that of the unclipped one, an image predicted too bright ends far too dark.
        options = {"generator": streams} if spec.sampler == "ddpm" else {"use_clipped_model_output": spec.clip}
        u = steps.step((eps - mean) / std, t, u, **options).prev_sample
        progress(done)
    # What is left of the prior at the last, cleanest level.
    last = (1 - steps.alphas_cumprod[0]).sqrt().item() if spec.sampler == "ddim" else 0.0
    return std * u + last * mean
