"""Kernel Inception Distance (Bińkowski et al. 2018): unbiased at any sample size, so that it may judge one class."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ltgen_bench.metrics import check_features

_ROWS = 1000  # of a block of the kernel matrix


@dataclass(frozen=True)
class Kid:
    """value: squared MMD, unbiased, hence below 0 about as often as above when nothing differs.

    se: standard error from drawing the generated set anew, the real set held fixed.
    """

    value: float
    se: float


def kid(real: Tensor, generated: Tensor) -> Kid:
    """U-statistic of the squared MMD with the kernel (a.b / d + 1)^3, from all of (n_real, d) and (n_gen, d).

    Mean over i != j of k(x_i, x_j) and of k(y_i, y_j), less twice the mean of k(x_i, y_j) (Bińkowski et al., eq. 4).
    Kernel values have the precision of the features: rounding averages out, far below the standard error.
    Raises ValueError for fewer than 2 images on a side, different d, NaN or infinity.
    """
    check_features(real, generated)
    n, m = len(real), len(generated)
    within_real = _rows(real, real)[0].sum() / (n * (n - 1))
    rows, squares = _rows(generated, generated)
    across = _rows(generated, real, keep_diagonal=True)[0] / n
    value = float(within_real + rows.sum() / (m * (m - 1)) - 2 * across.mean())
    return Kid(value, math.sqrt(_variance(rows, squares, across)))


def kid_subsets(
    real: Tensor, generated: Tensor, subsets: int = 100, size: int = 1000, seed: int = 2020
) -> tuple[float, float]:
    """Mean and standard deviation (n) of the KID of random subsets of `size` images: torch-fidelity's, draw for draw.

    For comparison with published figures only: `kid` has less noise, and needs no `size` images. Raises ValueError as
    `kid`, and for sets smaller than `size`.
    """
    check_features(real, generated)
    if min(len(real), len(generated)) < size:
        raise ValueError(f"subsets of {size} need as many images, not {len(real)} and {len(generated)}")
    draws = np.random.RandomState(seed)
    values = []
    for _ in range(subsets):
        # Generated before real: torch-fidelity's first and second input.
        y, x = (side[torch.from_numpy(draws.choice(len(side), size, replace=False))] for side in (generated, real))
        values.append(kid(x, y).value)
    return float(np.mean(values)), float(np.std(values))


def _rows(a: Tensor, b: Tensor, keep_diagonal: bool = False) -> tuple[Tensor, Tensor]:
    """Sums over j of k(a_i, b_j) and of its square, without j = i unless the diagonal is kept."""
    sums, squares = [], []
    for start in range(0, len(a), _ROWS):
        kernel = (a[start : start + _ROWS] @ b.T).div_(a.shape[1]).add_(1).pow_(3)
        if not keep_diagonal:
            kernel.diagonal(start).zero_()
        sums.append(kernel.sum(1).double())
        squares.append(kernel.square_().sum(1).double())
    return torch.cat(sums), torch.cat(squares)


def _variance(rows: Tensor, squares: Tensor, across: Tensor) -> float:
    """Of the U-statistic with kernel g(y, y') = k(y, y') - f(y) - f(y'), f(y) the mean of k(x, y) over the real set.

    rows and squares: sums of k and k^2 over the others; across: f. Hoeffding's formula for order 2 (Lee 1990, sec. 1.3)
    is [4 (m - 2) z_1 + 2 z_2] / (m (m - 1)), z_2 the variance of g and z_1 that of its row means, less their noise.
    """
    m = len(rows)
    others = across.sum() - across
    row_means = (rows - others) / (m - 1) - across
    # sum over j of (k_ij - f_i - f_j)^2, expanded; the term k_ij f_j is symmetric in i and j.
    total = squares.sum() - 4 * (rows * across).sum()
    total += 2 * (m - 1) * across.square().sum() + 2 * (across * others).sum()
    second = max(0.0, float(total) / (m * (m - 1)) - float(row_means.mean()) ** 2)
    first = max(0.0, float(row_means.var()) - second / (m - 1))
    return (4 * (m - 2) * first + 2 * second) / (m * (m - 1))
