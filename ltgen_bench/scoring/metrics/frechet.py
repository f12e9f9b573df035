"""Fréchet distance between two sets of features, exact at any sample size, with its noise floor and standard error."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ltgen_bench.scoring.metrics.features import check_features, mean_of

# Rows and columns of one float64 block: large enough for the matrix product, small beside n x d.
_ROWS, _COLUMNS = 1000, 512
SPREAD = 2500  # images that the standard error is estimated from, good to 2 %


@dataclass(frozen=True)
class Frechet:
    """A squared Fréchet distance and how far to trust it.

    value: ||mu_R - mu_G||^2 + tr S_R + tr S_G - 2 tr (S_R S_G)^(1/2), covariances with n - 1; never below 0 (a tiny
        negative number is rounding). floor: what two samples of these sizes show when nothing differs. debiased: the
        distance minus the floor, below 0 by chance when nothing differs; too high by up to half the floor when n < d.
    se: standard error from drawing the generated set anew, the real set held fixed.
    """

    value: float
    floor: float
    debiased: float
    se: float


@dataclass(frozen=True)
class Moments:
    """Count, mean (d,) and scatter matrix sum (x - mean)(x - mean)^T (d, d) of a set of features, in float64.

    Moments add: those of the whole are the sum of those of its groups (Chan, Golub and LeVeque 1983, eq. 2.1).
    """

    n: int
    mean: Tensor
    scatter: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Moments:
        """features: (n, d)."""
        mean = mean_of(features)
        d = len(mean)
        scatter = torch.zeros(d, d, dtype=torch.float64)
        for rows in torch.split(features, _ROWS):
            centred = rows.double() - mean
            for i in range(0, d, _COLUMNS):  # the lower triangle is enough: 40 % less work
                scatter[i:, i : i + _COLUMNS].addmm_(centred[:, i:].T, centred[:, i : i + _COLUMNS])
        return cls(len(features), mean, scatter.tril() + scatter.tril(-1).T)

    def __add__(self, other: Moments) -> Moments:
        n = self.n + other.n
        gap = other.mean - self.mean
        scatter = self.scatter + other.scatter + torch.outer(gap, gap) * (self.n * other.n / n)
        return Moments(n, self.mean + gap * (other.n / n), scatter)


def principal_axes(features: Tensor, k: int, moments: Moments | None = None) -> Tensor:
    """The k directions of largest variance of features (n, d) as columns (d, <= k), fewer where there is no variance.

    moments: of the features, where the caller has them.
    """
    n, d = features.shape
    if n < d:  # from the n x n products instead of the d x d covariance
        centred = features.double() - mean_of(features)
        values, vectors = torch.linalg.eigh(centred @ centred.T)
        vectors = centred.T @ vectors / values.clamp_min(0).sqrt()
    else:
        values, vectors = torch.linalg.eigh((moments or Moments.of(features)).scatter)
    varying = values > values[-1] * len(values) * torch.finfo(values.dtype).eps
    axes: Tensor = vectors[:, varying][:, -k:]
    return axes


@dataclass(frozen=True)
class _Gaussian:
    """What the distance needs of a set of features: mean and covariance, the latter as (d, d) or as samples (n, d)."""

    n: int
    mean: Tensor
    trace: float
    covariance: Tensor | None
    samples: Tensor | None  # centred and divided by sqrt(n - 1)

    @classmethod
    def of(cls, features: Tensor, moments: Moments | None) -> _Gaussian:
        n, d = features.shape
        if n < d:  # the centred samples are a root of the covariance, and smaller
            mean = mean_of(features)
            samples = (features.double() - mean).div_(math.sqrt(n - 1))
            return cls(n, mean, float(samples.square().sum()), None, samples)
        moments = moments or Moments.of(features)
        covariance = moments.scatter / (n - 1)
        return cls(n, moments.mean, float(covariance.trace()), covariance, None)

    def root(self) -> Tensor:
        """(p, d) with root^T root = covariance and p <= min(n, d) rows; not kept, as four groups have eight of them."""
        if self.samples is not None:
            return self.samples
        assert self.covariance is not None
        return _root(self.covariance)


def _root(covariance: Tensor) -> Tensor:
    """R (p, d) with R^T R = covariance (d, d); p is d, or its rank where it is singular."""
    alive = covariance.diagonal() > 0  # a dead feature would make the whole matrix singular
    living = covariance[alive][:, alive]
    factor, failed = torch.linalg.cholesky_ex(living)
    if failed:
        values, vectors = torch.linalg.eigh(living)
        kept = values > values[-1] * len(values) * torch.finfo(values.dtype).eps
        factor = vectors[:, kept] * values[kept].sqrt()
    root = torch.zeros(factor.shape[1], len(covariance), dtype=covariance.dtype)
    root[:, alive] = factor.T
    return root


@dataclass(frozen=True)
class Pair:
    """Two sets of features to compare, and what the figures below share: the roots of the covariances, K = R Q^T."""

    real: _Gaussian
    generated: _Gaussian

    @classmethod
    def of(cls, real: Tensor, generated: Tensor, moments: tuple[Moments, Moments] | None) -> Pair:
        check_features(real, generated)
        of_real, of_generated = moments or (None, None)
        return cls(_Gaussian.of(real, of_real), _Gaussian.of(generated, of_generated))

    @functools.cached_property
    def transport(self) -> tuple[Tensor, Tensor]:
        """Singular values s (r,) of K, and F (d, r) with F F^T = T on the span of the generated set.

        T = R^T U s^-1 U^T R for K = U s V^T; where K has fewer columns than rows, U = K V s^-1.
        """
        root = self.real.root()
        product = root @ self.generated.root().T
        if product.shape[0] <= product.shape[1]:
            eigenvalues, vectors = torch.linalg.eigh(product @ product.T)
            left, power = vectors, -0.5
        else:
            eigenvalues, vectors = torch.linalg.eigh(product.T @ product)
            left, power = product @ vectors, -1.5
        top = self.top(eigenvalues)
        singular = eigenvalues[-top:].clamp_min(0).sqrt()
        # Directions without variance add nothing to T, only rounding.
        kept = singular > 1e-7 * singular.norm()
        factor = root.T @ left[:, -top:][:, kept]
        return singular, factor * singular[kept] ** power

    def frechet(self, generated: Tensor) -> Frechet:
        """See `frechet`; generated: the features that the pair was made of, or as many as the standard error needs."""
        singular, _ = self.transport
        value, floor = self.distance(singular), self.floor(singular)
        spread = float(self._influence(generated).std())
        return Frechet(max(0.0, value), floor, value - floor, spread / math.sqrt(self.generated.n))

    def influence(self, generated: Tensor) -> Tensor:
        """See `influence`; generated: the features that the pair was made of."""
        raw = self._influence(generated)
        return raw - raw.mean()

    def _influence(self, generated: Tensor) -> Tensor:
        _, factor = self.transport
        gap = self.generated.mean - self.real.mean
        lower = None
        if len(generated) > 4 * len(factor) and factor.shape[1] > len(factor) / 2:
            # x^T (I - T) x from a lower triangle: 40 % less work than |x|^2 - |F^T x|^2, once T is there.
            still = torch.eye(len(factor), dtype=factor.dtype) - factor @ factor.T
            lower = still.tril(-1).mul_(2) + still.diagonal().diag()
        parts = []
        for rows in torch.split(generated, _ROWS):
            x = rows.double() - self.generated.mean
            shrunk = x.square().sum(1) - (x @ factor).square().sum(1) if lower is None else _form(x, lower)
            parts.append(2 * (x @ gap) + shrunk)
        return torch.cat(parts)

    def gram(self) -> Tensor:
        """A symmetric matrix whose eigenvalues are the squares of K's singular values; its lower triangle counts."""
        if self.real.covariance is not None and self.generated.covariance is not None:
            factor, failed = torch.linalg.cholesky_ex(self.generated.covariance)
            if not failed:
                return _congruence(self.real.covariance, factor)
        product = self.real.root() @ self.generated.root().T
        return product @ product.T if product.shape[0] <= product.shape[1] else product.T @ product

    def top(self, eigenvalues: Tensor) -> int:
        """How many eigenvalues can differ from 0; the others are rounding, and their square roots are not small."""
        return min(self.real.n - 1, self.generated.n - 1, len(eigenvalues))

    def distance(self, singular: Tensor) -> float:
        means = float((self.real.mean - self.generated.mean).square().sum())
        return means + self.real.trace + self.generated.trace - 2 * float(singular.sum())

    def floor(self, singular: Tensor) -> float:
        """Expected distance of two samples of one distribution: delta method to second order, Wishart noise.

        E H_ij^2 = (m_i m_j + [i=j] m_i^2) / n for the noise H in M = S_R^(1/2) S_G S_R^(1/2) with eigenvalues m = s^2,
        put into the second derivative of tr M^(1/2), which is -1/4 sum H_ij^2 / (s_i s_j (s_i + s_j)).
        """
        s = singular[singular > 0]
        pairs = float((s[:, None] * s / (s[:, None] + s)).sum())
        noise = (1 / self.real.n + 1 / self.generated.n) / 2 * (pairs + float(s.sum()) / 2)
        return self.real.trace / self.real.n + self.generated.trace / self.generated.n + noise


def _form(x: Tensor, lower: Tensor) -> Tensor:
    """x^T L x of each row, for a lower triangular L: by blocks, without the zeros."""
    columns = [slice(j, j + _COLUMNS) for j in range(0, len(lower), _COLUMNS)]
    parts = [((x[:, block.start :] @ lower[block.start :, block]) * x[:, block]).sum(1) for block in columns]
    return torch.stack(parts).sum(0)


def _congruence(symmetric: Tensor, factor: Tensor) -> Tensor:
    """The lower triangle of L^T S L for a lower triangular L: by blocks, without the zeros, 40 % of the work."""
    product = torch.zeros_like(symmetric)
    for j in range(0, len(symmetric), _COLUMNS):
        columns = slice(j, j + _COLUMNS)
        product[j:, columns] = factor[j:, j:].T @ (symmetric[j:, j:] @ factor[j:, columns])
    return product


def distance(real: Tensor, generated: Tensor, moments: tuple[Moments, Moments] | None = None) -> float:
    """Squared Fréchet distance of two sets of features, (n_real, d) and (n_gen, d), and nothing else (the fast way).

    With roots R^T R = S_R and Q^T Q = S_G, tr (S_R S_G)^(1/2) is the sum of the singular values of R Q^T: one symmetric
    eigenproblem of size min(n_real, n_gen, d), exact where sqrtm of the singular product S_R S_G is not.
    moments: of the real and the generated set, where the caller has them. Raises ValueError for fewer than 2 samples,
    different d, NaN or infinity.
    """
    pair = Pair.of(real, generated, moments)
    eigenvalues = torch.linalg.eigvalsh(pair.gram())
    return max(0.0, pair.distance(eigenvalues[-pair.top(eigenvalues) :].clamp_min(0).sqrt()))


def frechet(real: Tensor, generated: Tensor, moments: tuple[Moments, Moments] | None = None) -> Frechet:
    """`distance` with its noise floor, debiased value and standard error. Arguments and errors as there."""
    # Evenly spaced, so that images sorted by class are all represented.
    return Pair.of(real, generated, moments).frechet(generated[:: math.ceil(len(generated) / SPREAD)])


def influence(real: Tensor, generated: Tensor, moments: tuple[Moments, Moments] | None = None) -> Tensor:
    """How much each generated image pulls the distance up, to first order: float64 (n_gen,), mean 0.

    The influence function of the squared Fréchet distance at the generated distribution,
    2 (mu_G - mu_R)^T (x - mu_G) + (x - mu_G)^T (I - T) (x - mu_G), less its mean, where T is the optimal transport map
    from the generated to the real Gaussian. Leaving image i out changes the distance by about -influence[i] / n_gen.
    It ranks images; it does not split the distance into shares. Arguments and errors as in `distance`.
    """
    return Pair.of(real, generated, moments).influence(generated)
