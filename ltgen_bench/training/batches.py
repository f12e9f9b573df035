"""The training stream: which images, flips, times and noise each step sees, as a function of (seed, step)."""

from __future__ import annotations

import torch
from torch import Tensor

from ltgen_bench.data.images import Images
from ltgen_bench.rng import generator, seed_of
from ltgen_bench.spec.specs import TrainSpec


class Batches:
    """The training set on the device as uint8, and the draws of every step.

    Without class weights the stream is one permutation of the set after another; with weights (C,) each image is drawn
    on its own, class c with probability proportional to weights[c].
    """

    def __init__(
        self,
        images: Images,
        train: TrainSpec,
        *,
        timesteps: int,
        seed: int,
        device: torch.device,
        class_weights: Tensor | None = None,
    ) -> None:
        self.pixels = to_nchw(images, device)
        self.labels = torch.from_numpy(images.labels).to(device)
        self.batch, self.flip, self.label_dropout = train.batch, train.flip, train.label_dropout
        self.timesteps, self.seed, self.device = timesteps, seed, device
        self._cumulative = None
        if class_weights is not None:
            weights = class_weights.double().cpu()
            weights = weights / torch.bincount(self.labels.cpu(), minlength=len(weights)).clamp(min=1)
            per_image = weights[self.labels.cpu()]
            self._cumulative = (per_image / per_image.sum()).cumsum(0)
        self._epochs: dict[int, Tensor] = {}

    def images(self, step: int) -> tuple[Tensor, Tensor]:
        """x0 (B, channels, height, width) float32 in [-1, 1] and labels y (B,) int64."""
        index = self._index(step)
        x0 = self.pixels[index].float() / 127.5 - 1
        if self.flip:
            flipped = torch.rand(self.batch, generator=self._rng("flip", step), device=self.device) < 0.5
            x0 = torch.where(flipped[:, None, None, None], x0.flip(-1), x0)
        return x0, self.labels[index]

    def times(self, step: int) -> Tensor:
        """(B,) int64, uniform over 0..T-1."""
        return torch.randint(self.timesteps, (self.batch,), generator=self._rng("time", step), device=self.device)

    def noise(self, step: int) -> Tensor:
        """(B, channels, height, width), standard normal."""
        shape = (self.batch, *self.pixels.shape[1:])
        return torch.randn(shape, generator=self._rng("noise", step), device=self.device)

    def unconditional(self, step: int) -> bool:
        """Whether the whole batch goes without labels: dropped per batch, not per image, as in the papers' code.

        Known without asking the device.
        """
        return seed_of(self.seed, "label dropout", step) / 2**63 < self.label_dropout

    def _rng(self, stream: str, step: int) -> torch.Generator:
        return generator(self.device, self.seed, stream, step)

    def _index(self, step: int) -> Tensor:
        # Indices are drawn on the CPU: a few bytes, and the same on every device.
        if self._cumulative is not None:
            u = torch.rand(self.batch, dtype=torch.float64, generator=generator("cpu", self.seed, "index", step))
            index = torch.searchsorted(self._cumulative, u).clamp(max=len(self.labels) - 1)
            return index.to(self.device, non_blocking=True)
        n, first = len(self.labels), step * self.batch
        epochs = range(first // n, (first + self.batch - 1) // n + 1)
        self._epochs = {e: self._epochs[e] if e in self._epochs else self._permutation(e) for e in epochs}
        stream = torch.cat(list(self._epochs.values()))
        offset = first - epochs.start * n
        return stream[offset : offset + self.batch]

    def _permutation(self, epoch: int) -> Tensor:
        rng = generator("cpu", self.seed, "epoch", epoch)
        return torch.randperm(len(self.labels), generator=rng).to(self.device)


def to_nchw(images: Images, device: torch.device) -> Tensor:
    """uint8 (n, channels, height, width) on the device."""
    return torch.from_numpy(images.pixels).permute(0, 3, 1, 2).contiguous().to(device)


def class_means(images: Images, num_classes: int) -> Tensor:
    """(C, channels, height, width) float32: mean image of each class, in [-1, 1]."""
    x = to_nchw(images, torch.device("cpu")).double() / 127.5 - 1
    y = torch.from_numpy(images.labels)
    sums = torch.zeros((num_classes, *x.shape[1:]), dtype=torch.float64).index_add_(0, y, x)
    return (sums / torch.bincount(y, minlength=num_classes)[:, None, None, None]).float()
