"""A set of images made in shards, so that an interruption costs little and workers can share the work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ltgen_bench.data.images import Images
from ltgen_bench.errors import RunFailed
from ltgen_bench.sampling.pipeline import Pipeline, labels_of

SHARD = 500
"""Images per file while sampling: what an interruption can cost at most."""


def to_uint8(x: Tensor, y: Tensor) -> Images:
    """Images in [-1, 1], rounded to 8 bits: what a file would hold is what is scored."""
    pixels = (x * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
    return Images(np.ascontiguousarray(pixels.cpu().numpy()), y.cpu().numpy().astype(np.int64))


def make_shards(
    pipeline: Pipeline,
    folder: Path,
    *,
    part: int = 0,
    parts: int = 1,
    progress: Callable[[float, int], None],
    check: Callable[[], None] = lambda: None,
) -> None:
    """Make the images of a pipeline as files under `folder`; files that are there already are not made again.

    Of several workers that share the work, each makes every `parts`-th file. progress(images done, of how many), where
    a fraction counts the steps of the present batch; check() may raise to stop between batches. Raises RunFailed when
    the network gives NaN or infinity.
    """
    spec = pipeline.spec
    y = labels_of(spec, pipeline.num_classes, pipeline.seed)
    mine = shard_ranges(spec.images)[part::parts]
    done, total = 0, sum(map(len, mine))
    for shard in mine:
        path = shard_path(folder, shard)
        if not path.exists():
            made = []
            for at in range(shard.start, shard.stop, pipeline.batch_size):
                check()
                index = range(at, min(at + pipeline.batch_size, shard.stop))
                before = done + at - shard.start

                def stepped(step: int, before: int = before, size: int = len(index)) -> None:
                    progress(before + size * step / spec.steps, total)

                made.append(pipeline.sample(index, y[index.start : index.stop], stepped))
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
