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
from ltgen_bench.diffusion.noise_prior import NoisePrior
from ltgen_bench.rng import generator
from ltgen_bench.training.batches import to_nchw

Network = Callable[[Tensor, Tensor, Tensor], Tensor]
BATCH = 16
"""Images of a batch in a mean gradient: the spread between batches is its error."""


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
        """Over so many draws of a class, or a few more that fill the last batch.

        inside: of each parameter, whether it counts as of the reserve.
        """
        rng = generator("cpu", self.seed, "probe gradient", label)
        count = max(2, math.ceil(images / BATCH))
        total = [torch.zeros_like(p, dtype=torch.float64) for p in self.params]
        squares = np.zeros(2)
        for number in range(1, count + 1):
            found = self._of(*self._draw(label, BATCH, rng))
            for whole, part in zip(total, found, strict=True):
                whole += part
            squares += _squares(found, inside)
            progress(number * BATCH)
        mean = [whole / count for whole in total]
        noise = (squares / count - _squares(mean, inside)) / (count - 1)
        vector = torch.cat([part.flatten() for part in mean]).float().cpu().numpy()
        return MeanGradient(vector, float(noise[1]), float(noise[0]))

    def single(self, label: int, index: Tensor, rng: torch.Generator) -> NDArray[np.float32]:
        """Of one draw of a class, at some coordinates of all parameters laid end to end."""
        found = torch.cat([part.flatten() for part in self._of(*self._draw(label, 1, rng))])
        return found[index.to(found.device)].cpu().numpy()

    def _of(self, x0: Tensor, t: Tensor, y: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
        if self.noise_prior is not None:
            mean, std = self.noise_prior
            noise = mean[y] + std[y][:, None, None, None] * noise
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
    """vector: (P,), over all draws. noise_inside, noise_outside: expected square of its error, in and out of the
    reserve: the square of `vector` is larger than that of the true mean by so much."""

    vector: NDArray[np.float32]
    noise_inside: float
    noise_outside: float


def _squares(parts: Sequence[Tensor], inside: Sequence[bool]) -> NDArray[np.float64]:
    """Sums of squares: outside the reserve, and inside."""
    found = np.zeros(2)
    for part, within in zip(parts, inside, strict=True):
        found[int(within)] += float(part.double().square().sum())
    return found
