"""Gradients of the denoising loss, class by class, at fixed draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltgen_bench.data.images import Images
from ltgen_bench.device import exact_float32
from ltgen_bench.diffusion.noise_prior import NoisePrior, class_noise
from ltgen_bench.rng import generator
from ltgen_bench.training.batches import to_nchw

Network = Callable[[Tensor, Tensor, Tensor], Tensor]
BATCH = 16
"""Images of a batch in a mean gradient: the spread between batches is its error."""
BLOCKS = 4
"""Parts that a mean gradient is kept in: how a figure changes without one of them says how far it is known."""


@dataclass(frozen=True)
class Gradients:
    """What gradients are taken of and at: eps = net(x_t, t, y) with these parameters, images that are drawn as in a
    training (each alike within its class, flipped or not, a time and noise each), no dropout, always with labels.

    alphas_cumprod: (T,). seed: of the draws, which are the same for every network.
    """

    net: Network
    params: Sequence[Tensor]
    images: Images
    alphas_cumprod: Tensor
    noise_prior: NoisePrior | None = None
    flip: bool = False
    seed: int = 0

    def mean(self, label: int, images: int, inside: Sequence[bool], progress: Callable[[int], None]) -> MeanGradient:
        """Over so many draws of a class, or a few more that fill the batches of all blocks.

        inside: of each parameter, whether it counts as of the reserve. progress: called with the number of draws.
        """
        rng = generator("cpu", self.seed, "probe gradient", label)
        batches = math.ceil(images / (BATCH * BLOCKS))
        blocks, squares = [], np.zeros((2, BLOCKS))
        for block in range(BLOCKS):
            total = [torch.zeros_like(p, dtype=torch.float64) for p in self.params]
            for number in range(block * batches, (block + 1) * batches):
                found = self._of(*self._draw(label, BATCH, rng))
                for whole, part in zip(total, found, strict=True):
                    whole += part
                squares[:, block] += _squares(found, inside)
                progress((number + 1) * BATCH)
            blocks.append(torch.cat([whole.flatten() / batches for whole in total]).float().cpu().numpy())
        return MeanGradient(np.array(blocks), squares, batches)

    def single(self, label: int, index: Tensor, rng: torch.Generator) -> NDArray[np.float32]:
        """Of one draw of a class, at some coordinates of all parameters laid end to end."""
        found = torch.cat([part.flatten() for part in self._of(*self._draw(label, 1, rng))])
        return found[index.to(found.device)].cpu().numpy()

    @exact_float32()
    def _of(self, x0: Tensor, t: Tensor, y: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
        noise = class_noise(self.noise_prior, noise, y)
        level = self.alphas_cumprod[t][:, None, None, None]
        eps = self.net(level.sqrt() * x0 + (1 - level).sqrt() * noise, t, y)
        return torch.autograd.grad((eps - noise).square().mean(), self.params)

    def _draw(self, label: int, batch: int, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """x0, t, y and noise of a batch of one class."""
        device = self.alphas_cumprod.device
        of_class = np.flatnonzero(self.images.labels == label)
        index = of_class[torch.randint(len(of_class), (batch,), generator=rng).numpy()]
        x0 = to_nchw(self.images[index], device).float() / 127.5 - 1
        if self.flip:
            flipped = torch.rand(batch, generator=rng) < 0.5
            x0 = torch.where(flipped.to(device)[:, None, None, None], x0.flip(-1), x0)
        t = torch.randint(len(self.alphas_cumprod), (batch,), generator=rng).to(device)
        return x0, t, torch.full_like(t, label), torch.randn(x0.shape, generator=rng).to(device)


@dataclass(frozen=True)
class MeanGradient:
    """blocks: (BLOCKS, P), the mean over each. squares: (2, BLOCKS), sums over a block's batches of the squares of
    their mean gradients, outside the reserve and inside. batches: of each block."""

    blocks: NDArray[np.float32]
    squares: NDArray[np.float64]
    batches: int


def _squares(parts: Sequence[Tensor], inside: Sequence[bool]) -> NDArray[np.float64]:
    """Sums of squares: outside the reserve, and inside."""
    found = np.zeros(2)
    for part, within in zip(parts, inside, strict=True):
        found[int(within)] += float(part.double().square().sum())
    return found
