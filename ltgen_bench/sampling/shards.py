"""A set of images made in shards, so that an interruption costs little and workers can share the work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ltgen_bench.data.images import Images
from ltgen_bench.diffusion.denoiser import Denoiser
from ltgen_bench.diffusion.noise_prior import NoisePrior
from ltgen_bench.errors import RunFailed
from ltgen_bench.sampling.sampler import batch_size, labels, sample
from ltgen_bench.spec.specs import DiffusionSpec, SamplingSpec

SHARD = 500
"""Images per file while sampling: what an interruption can cost at most."""


def to_uint8(x: Tensor, y: Tensor) -> Images:
    """Images in [-1, 1], rounded to 8 bits: what a file would hold is what is scored."""
    pixels = (x * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
    return Images(np.ascontiguousarray(pixels.cpu().numpy()), y.cpu().numpy().astype(np.int64))


def make_shards(
    net: Denoiser,
    spec: SamplingSpec,
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
