"""Shares of images, as means over classes."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def class_mean(flags: NDArray[np.bool_], labels: NDArray[np.int64], classes: Iterable[int]) -> tuple[float, float]:
    """Mean over classes of the share of flags, and its standard error."""
    parts = [flags[labels == c] for c in classes]
    variance = sum(p.mean() * (1 - p.mean()) / len(p) for p in parts)
    return float(np.mean([p.mean() for p in parts])), math.sqrt(variance) / len(parts)
