"""Makes the images of a trained network: balanced labels, one random stream per image."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ltgen_bench.data.images import Images
from ltgen_bench.diffusion.denoiser import Denoiser
from ltgen_bench.diffusion.schedule import scheduler
from ltgen_bench.errors import RunFailed, UsageError
from ltgen_bench.rng import generator
from ltgen_bench.spec.specs import DiffusionSpec, SampleSpec
from ltgen_bench.training.method import NoisePrior

SHARD = 500
"""Images per file while sampling: what an interruption can cost at most."""


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
    spec: SampleSpec,
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
        # Only the ancestral sampler draws more noise.
        noise = {"generator": streams} if spec.sampler == "ddpm" else {}
        u = steps.step((eps - mean) / std, t, u, **noise).prev_sample
        progress(done)
    # What is left of the prior at the last, cleanest level.
    last = (1 - steps.alphas_cumprod[0]).sqrt().item() if spec.sampler == "ddim" else 0.0
    return std * u + last * mean


def to_uint8(x: Tensor, y: Tensor) -> Images:
    """Images in [-1, 1], rounded to 8 bits: what a file would hold is what is scored."""
    pixels = (x * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
    return Images(np.ascontiguousarray(pixels.cpu().numpy()), y.cpu().numpy().astype(np.int64))


def make_shards(
    net: Denoiser,
    spec: SampleSpec,
    diffusion: DiffusionSpec,
    folder: Path,
    *,
    part: int = 0,
    parts: int = 1,
    num_classes: int,
    shape: tuple[int, int, int],
    seed: int,
    device: torch.device,
    bf16: bool,
    noise_prior: NoisePrior | None,
    progress: Callable[[float, int], None],
    check: Callable[[], None] = lambda: None,
) -> None:
    """Make the images of a spec as files under `folder`; files that are there already are not made again.

    Of several workers that share the work, each makes every `parts`-th file. progress(images done, of how many), where
    a fraction counts the steps of the present batch; check() may raise to stop between batches. Raises RunFailed when
    the network gives NaN or infinity.
    """
    y = labels(spec.images, num_classes)
    mine = shard_ranges(spec.images)[part::parts]
    done, total, batch = 0, sum(map(len, mine)), batch_size(device, shape[-1])
    for shard in mine:
        path = shard_path(folder, shard)
        if not path.exists():
            made = []
            for at in range(shard.start, shard.stop, batch):
                check()
                index = range(at, min(at + batch, shard.stop))
                before = done + at - shard.start

                def stepped(step: int, before: int = before, size: int = len(index)) -> None:
                    progress(before + size * step / spec.steps, total)

                made.append(
                    sample(
                        net,
                        spec,
                        diffusion,
                        index=index,
                        y=y[index.start : index.stop],
                        shape=shape,
                        seed=seed,
                        device=device,
                        bf16=bf16,
                        noise_prior=noise_prior,
                        progress=stepped,
                    )
                )
                if not torch.isfinite(made[-1]).all():
                    raise RunFailed(f"the network made images {index.start}..{index.stop - 1} that are not finite")
            to_uint8(torch.cat(made), y[shard.start : shard.stop]).save(path)
        done += len(shard)


def join_shards(folder: Path, images: int) -> Images:
    """All images of a set whose shards are made."""
    shards = [Images.load(shard_path(folder, shard)) for shard in shard_ranges(images)]
    return Images(np.concatenate([s.pixels for s in shards]), np.concatenate([s.labels for s in shards]))


def shard_ranges(images: int) -> list[range]:
    return [range(first, min(first + SHARD, images)) for first in range(0, images, SHARD)]


def shard_path(folder: Path, shard: range) -> Path:
    return folder / f"{shard.start:07d}.npz"
