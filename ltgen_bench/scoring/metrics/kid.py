"""Kernel Inception Distance (Bińkowski et al. 2018): unbiased at any sample size, even for one class."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ltgen_bench.scoring.metric import Metric
from ltgen_bench.scoring.metrics.features import check_features

if TYPE_CHECKING:
    from ltgen_bench.scoring.feature_sets import Comparison, Figures
    from ltgen_bench.scoring.scorer import Scoring

_SUBSETS, _SUBSET = 100, 1000  # how many, of how many images
_ROWS = 500  # of a block of the kernel matrix: one of 5,000 columns stays in the cache


@dataclass(frozen=True)
class Kid:
    """value: squared MMD, unbiased, hence below 0 about as often as above when nothing differs.

    se: standard error from drawing the generated set anew, the real set held fixed. subsets: mean and standard
    deviation (n) of the KID of random subsets, as most papers report it: `value` has less noise.
    """

    value: float
    se: float
    subsets: tuple[float, float] | None = None


@dataclass(frozen=True)
class Within:
    """Sums of the kernel over the pairs of one set: all pairs, and those within each of some subsets (count,)."""

    total: float
    subsets: Tensor


def within(features: Tensor, members: Tensor | None = None) -> Within:
    """Of features (n, d); members: of some subsets, columns of 0 and 1, float64 (n, subsets)."""
    rows, _, of_subsets = _rows(features, features, members, members)
    return Within(float(rows.sum()), of_subsets)


def kid(
    real: Tensor, generated: Tensor, members: tuple[Tensor, Tensor] | None = None, of_real: Within | None = None
) -> Kid:
    """U-statistic of the squared MMD with the kernel (a.b / d + 1)^3, from all of (n_real, d) and (n_gen, d).

    Mean over i != j of k(x_i, x_j) and of k(y_i, y_j), less twice the mean of k(x_i, y_j) (Bińkowski et al., eq. 4).
    Kernel values have the precision of the features: rounding averages out, far below the standard error.
    members: of random subsets of both sets, all of one size, as in `within`. of_real: `within` of the real images,
    where the caller has it. Raises ValueError for fewer than 2 images in a set, different d, NaN or infinity.
    """
    check_features(real, generated)
    n, m = len(real), len(generated)
    in_real, in_generated = members or (None, None)
    of_real = of_real or within(real, in_real)
    rows, squares, of_generated = _rows(generated, generated, in_generated, in_generated)
    sums, _, of_both = _rows(generated, real, in_generated, in_real, keep_diagonal=True)
    across = sums / n
    value = float(of_real.total / (n * (n - 1)) + rows.sum() / (m * (m - 1)) - 2 * across.mean())
    spread = None
    if in_real is not None:
        size = float(in_real[:, 0].sum())
        values = (of_real.subsets + of_generated) / (size * (size - 1)) - 2 * of_both / size**2
        spread = float(values.mean()), float(values.std(correction=0))
    return Kid(value, math.sqrt(_variance(rows, squares, across)), spread)


def _rows(
    a: Tensor, b: Tensor, in_a: Tensor | None, in_b: Tensor | None, keep_diagonal: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Sums over j of k(a_i, b_j) and of its square, and over all pairs of members of each subset (subsets,).

    All without j = i unless the diagonal is kept. The subsets are sums of rows and columns of the one kernel
    matrix: a hundred of them take hardly longer than none.
    """
    sums, squares, pairs = [], [], torch.zeros(())
    for start in range(0, len(a), _ROWS):
        kernel = (a[start : start + _ROWS] @ b.T).div_(a.shape[1]).add_(1).pow_(3)
        if not keep_diagonal:
            kernel.diagonal(start).zero_()
        sums.append(kernel.sum(1, dtype=torch.float64))
        if in_a is not None and in_b is not None:
            pairs = pairs + ((kernel.double() @ in_b) * in_a[start : start + _ROWS]).sum(0)
        squares.append(kernel.square_().sum(1, dtype=torch.float64))
    return torch.cat(sums), torch.cat(squares), pairs


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


def usual_subsets(part: Comparison) -> tuple[Tensor, Tensor] | None:
    """Members of what most papers report, 100 subsets of 1,000; None where there are too few images."""
    if min(map(len, part.features)) < _SUBSET:
        return None
    real, generated = (images.subsets(_SUBSETS, _SUBSET, part.seed) for images in (part.real, part.generated))
    return real, generated


class KernelDistance(Metric):
    """Kernel Inception Distance, from all images at once; subsets_mean and subsets_std as most papers report it."""

    name = "KID"
    better = "lower"
    decimals = 4

    def figures(self, scoring: Scoring) -> Mapping[str, Figures]:
        found = {}
        for name in scoring.scopes.classes:
            part = scoring.scopes.pooled(name)
            result = kid(*part.features, usual_subsets(part), scoring.reference.scopes[name].kernel)
            figures: Figures = {"value": result.value, "se": result.se}
            if result.subsets:
                figures |= {"subsets_mean": result.subsets[0], "subsets_std": result.subsets[1]}
            found[name] = figures | part.counts
        return found


class ClassKernelDistance(Metric):
    """KID of each class."""

    name = "class-KID"
    better = "lower"
    decimals = 4

    def figures(self, scoring: Scoring) -> Mapping[str, Figures]:
        return scoring.shared(_of_classes)


class MeanKernelDistance(Metric):
    """Mean over the classes of a group of class-KID."""

    name = "mKID"
    better = "lower"
    decimals = 4

    def figures(self, scoring: Scoring) -> Mapping[str, Figures]:
        return scoring.class_means(scoring.shared(_of_classes))


def _of_classes(scoring: Scoring) -> dict[str, Figures]:
    found: dict[str, Figures] = {}
    for c, known in scoring.reference.classes.items():
        part = scoring.scopes.of_class(c)
        result = kid(*part.features, of_real=known)
        found[str(c)] = {"value": result.value, "se": result.se, **part.counts}
    return found
