"""Fixed images, noise and times: the same for every network, so that losses differ by the network alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltgen_bench.data.images import Images
from ltgen_bench.device import exact_float32
from ltgen_bench.diffusion.denoiser import Denoiser
from ltgen_bench.diffusion.noise_prior import NoisePrior, class_noise
from ltgen_bench.diffusion.schedule import alphas_cumprod
from ltgen_bench.probes.specs import DrawSpec
from ltgen_bench.rng import generator
from ltgen_bench.sampling.pipeline import batch_size
from ltgen_bench.spec.specs import DiffusionSpec

LossArrays = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class NoisyImages:
    """Images of one class with noise and times: x0 (n, channels, height, width) in [-1, 1], t (n, draws), noise
    (n, draws, channels, height, width), standard normal."""

    label: int
    x0: Tensor
    t: Tensor
    noise: Tensor

    @classmethod
    def draw(cls, images: Images, label: int, spec: DrawSpec, timesteps: int, name: str) -> NoisyImages:
        """Of a class of a set. The times of an image are stratified: one in each of `draws` equal parts of 0..T-1."""
        rng = generator("cpu", spec.seed, "probe", name, label)
        index = torch.from_numpy(np.flatnonzero(images.labels == label))
        index = index[torch.randperm(len(index), generator=rng)[: spec.images]]
        x0 = torch.from_numpy(images.pixels[index.numpy()]).permute(0, 3, 1, 2).float() / 127.5 - 1
        part = torch.arange(spec.draws) + torch.rand((len(index), spec.draws), generator=rng, dtype=torch.float64)
        t = (part / spec.draws * timesteps).long().clamp(max=timesteps - 1)
        return cls(label, x0, t, torch.randn((len(index), spec.draws, *x0.shape[1:]), generator=rng))


@dataclass(frozen=True)
class DenoisingLoss:
    """mean_pixels (eps(x_t, t, y) - noise)^2 of each image, over its noises and times: the loss that all methods share,
    of the network as it is sampled (no dropout, float32), with the image's label."""

    sets: dict[str, list[NoisyImages]]
    diffusion: DiffusionSpec
    device: torch.device
    noise_prior: NoisePrior | None = None

    @classmethod
    def of(
        cls,
        sets: dict[str, Images],
        spec: DrawSpec,
        diffusion: DiffusionSpec,
        device: torch.device,
        noise_prior: NoisePrior | None,
    ) -> DenoisingLoss:
        """On so many images of each class of each set, by the set's name."""
        drawn = {
            name: [NoisyImages.draw(images, int(c), spec, diffusion.timesteps, name) for c in np.unique(images.labels)]
            for name, images in sets.items()
        }
        return cls(drawn, diffusion, device, noise_prior)

    @property
    def passes(self) -> int:
        """Images that a network sees."""
        return sum(part.t.numel() for parts in self.sets.values() for part in parts)

    def labels(self, name: str) -> NDArray[np.int64]:
        """(n,) of a set's images, in the order of the losses."""
        return np.concatenate([np.full(len(part.x0), part.label) for part in self.sets[name]])

    @exact_float32()
    @torch.inference_mode()
    def __call__(self, net: Denoiser, progress: Callable[[int], None] = lambda done: None) -> LossArrays:
        """The loss of each image (n,), by set. progress: called with the images done, of `passes`."""
        net.eval()
        abar = alphas_cumprod(self.diffusion).to(self.device)
        done, found = 0, {}
        for name, parts in self.sets.items():
            values = []
            for part in parts:
                losses = torch.empty(part.t.numel(), dtype=torch.float64)
                size = batch_size(self.device, part.x0.shape[-1])
                for at in range(0, len(losses), size):
                    rows = torch.arange(at, min(at + size, len(losses)))
                    losses[rows] = self._losses(net, part, rows, abar).double().cpu()
                    done += len(rows)
                    progress(done)
                values.append(losses.view(part.t.shape).mean(1))
            found[name] = torch.cat(values).numpy() if values else np.zeros(0)
        return found

    def _losses(self, net: Denoiser, part: NoisyImages, rows: Tensor, abar: Tensor) -> Tensor:
        """Of some pairs of image and draw, (len(rows),)."""
        x0 = part.x0[rows // part.t.shape[1]].to(self.device)
        t, noise = part.t.view(-1)[rows].to(self.device), part.noise.flatten(0, 1)[rows].to(self.device)
        y = torch.full_like(t, part.label)
        prior = self.noise_prior and NoisePrior(*(part.to(self.device) for part in self.noise_prior))
        noise = class_noise(prior, noise, y)
        level = abar[t][:, None, None, None]
        eps: Tensor = net(level.sqrt() * x0 + (1 - level).sqrt() * noise, t, y)
        return (eps - noise).square().mean((1, 2, 3))
