"""Noise that depends on the class."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class NoisePrior(NamedTuple):
    """Class-dependent noise: an image of class y gets noise mean[y] + std[y] * N(0, I), in training and sampling.

    mean: (C, channels, height, width); std: (C,).
    """

    mean: Tensor
    std: Tensor


def class_noise(prior: NoisePrior | None, standard: Tensor, y: Tensor) -> Tensor:
    """Noise of images of classes y (B,), from standard normal noise (B, channels, height, width)."""
    if prior is None:
        return standard
    mean, std = prior
    return mean[y] + std[y][:, None, None, None] * standard
