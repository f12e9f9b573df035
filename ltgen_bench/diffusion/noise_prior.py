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
