"""What the figures ask of features."""

from __future__ import annotations

import torch
from torch import Tensor


def check_features(real: Tensor, generated: Tensor, least: int = 2) -> None:
    """Raises ValueError unless both are (n, d) with the same d, n >= least, and finite."""
    for name, features in (("real", real), ("generated", generated)):
        if features.ndim != 2 or len(features) < least:
            raise ValueError(f"{name} features must be (n, d) with n >= {least}, not {tuple(features.shape)}")
        # A finite sum has finite terms; only where it is not need they be looked at one by one.
        if not torch.isfinite(features.sum()) and not torch.isfinite(features).all():
            raise ValueError(f"{name} features hold NaN or infinity")
    if real.shape[1] != generated.shape[1]:
        raise ValueError(f"real features have d = {real.shape[1]}, generated ones d = {generated.shape[1]}")


def mean_of(features: Tensor) -> Tensor:
    """Mean (d,) of (n, d) in float64; in blocks, as torch would first make a float64 copy of it all."""
    rows = max(1, 2**18 // max(1, features.shape[1]))
    total = torch.zeros(features.shape[1], dtype=torch.float64)
    for block in torch.split(features, rows):
        total += block.double().sum(0)
    return total / len(features)
