"""The exponential moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor


class EMA:
    """average <- decay average + (1 - decay) weights, for all tensors in one call; starts at the weights.

    weights: seen without gradients, in the same memory as the parameters.
    """

    def __init__(self, weights: Sequence[Tensor], decay: float) -> None:
        self.weights, self.decay = list(weights), decay
        self.average = [w.clone() for w in weights]

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.average)

    def update(self) -> None:
        torch._foreach_lerp_(self.average, self.weights, 1 - self.decay)

    def restore(self, saved: Sequence[Tensor]) -> None:
        for mine, value in zip(self.average, saved, strict=True):
            mine.copy_(value)
