"""Which class decides a parameter's update: Theorems 2.1 and 3.1 of CM (Hong et al., ICLR 2026), derived anew.

The paper's proofs were not available, only its two formulas. The set-up with the fewest assumptions that gives the
first one to the letter: G is the mean of the N gradients of a batch, of a parameter or a block of them, in R^d for any
d. A share a of the gradients is the majority's, with mean m1; the others are the minority's, with mean m2. All are
independent, and their part along m1 - m2 is normal with standard deviation sigma. **The majority decides the update
when G is nearer to m1 than to m2**, that is when

    (G - (m1 + m2)/2) . (m1 - m2) > 0.

The left side is normal, with mean (2a - 1)/2 |m1 - m2|^2 and standard deviation sigma |m1 - m2| / sqrt(N), hence

    P = Phi((2a - 1) |m1 - m2| sqrt(N) / (2 sigma)),

and with two means of one norm mu, |m1 - m2| = mu sqrt(2 (1 - cos)), it is Theorem 2.1. The factor 1/2 is the midpoint,
2a - 1 the distance of the batch's mean from it, sqrt(2 (1 - cos)) that of the two classes from each other.

The same events by other names: G . m1 > G . m2, the step lowers the majority's loss by more than the minority's (two
means of one norm); the batch is more likely under the majority (noise alike in every direction); G has the sign of m1
(numbers with m2 = -m1, so cos = -1). Agreement in sign is another event for any other cos: classes that want the same
(cos = 1) agree, while the formula says 1/2, as there is nothing to decide (`sign_share`).

P is a probability. It is the share of parameters where all have the same mu, cos and sigma. Where they differ, the
share is the mean of Phi over them, and for a >= 1/2, where Phi is concave, the formula with the root mean square of
|m1 - m2| / sigma is an upper bound of it (`scalar_share` for normal means).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

Numbers = NDArray[np.float64]


def decided(a: ArrayLike, separation: ArrayLike, sigma: ArrayLike, n: ArrayLike) -> Numbers:
    """P(the majority decides) for any two means at a distance of `separation` = |m1 - m2|.

    a: the majority's share of the batch, sigma: standard deviation of one gradient along m1 - m2, n: the batch. Arrays
    are broadcast.
    """
    return _phi((2 * np.asarray(a) - 1) * np.asarray(separation) * np.sqrt(n) / (2 * np.asarray(sigma)))


def distance(mu: ArrayLike, cos: ArrayLike) -> Numbers:
    """|m1 - m2| of two means of norm mu with a cosine of cos."""
    return np.asarray(np.asarray(mu) * np.sqrt(2 * (1 - np.asarray(cos))), np.float64)


def theorem_2_1(a: ArrayLike, mu: ArrayLike, sigma: ArrayLike, n: ArrayLike, cos: ArrayLike) -> Numbers:
    """Phi((2a - 1) mu sqrt(2 n (1 - cos)) / (2 sigma))."""
    return decided(a, distance(mu, cos), sigma, n)


def theorem_3_1(alpha: ArrayLike, mu: ArrayLike, sigma: ArrayLike, n: ArrayLike, cos: ArrayLike) -> Numbers:
    """The bound with a reserve: Phi((1 - alpha) mu sqrt(2 n (1 - cos)) / (2 sigma)); see `alpha` for what alpha is."""
    return theorem_2_1(1 - np.asarray(alpha) / 2, mu, sigma, n, cos)


def alpha(reserved: ArrayLike, a_reserved: ArrayLike = 0.0) -> Numbers:
    """alpha_r of Theorem 3.1, under assumptions of ours.

    reserved: share rho of |m1 - m2|^2 that lies in the directions that the reserve can move in. a_reserved: the
    majority's share of the batch there, after what keeps it out. The projection of the batch's mean on m1 - m2, from
    the midpoint, is then (2a - 1)(1 - rho) + (2 a_reserved - 1) rho in place of 2a - 1, with the noise as before. As
    a <= 1 it is at most 1 - alpha with alpha = 2 (1 - a_reserved) rho: a bound that holds for every a. It says more
    than Theorem 2.1 only where alpha > 2 (1 - a). What the paper's alpha_r is could not be derived.
    """
    return np.asarray(2 * (1 - np.asarray(a_reserved)) * np.asarray(reserved), np.float64)


def with_reserve(a: ArrayLike, reserved: ArrayLike, a_reserved: ArrayLike = 0.0) -> Numbers:
    """The share that stands in Theorem 2.1 for a when there is a reserve: a (1 - rho) + a_reserved rho."""
    rho = np.asarray(reserved, np.float64)
    return np.asarray(np.asarray(a) * (1 - rho) + np.asarray(a_reserved) * rho, np.float64)


def reach(rank: int, rows: int, columns: int) -> float:
    """Share of a weight's directions in which BA can move: the tangent space of rank r has r (rows + columns - r).

    It is also the expected share of |m1 - m2|^2 there, when m1 - m2 has no preference. It grows with the rank.
    """
    return rank * (rows + columns - rank) / (rows * columns)


def scalar_share(a: float, mu: float, sigma: float, n: float, cos: float, *, reference: float = math.inf) -> float:
    """Expected share of scalar parameters that the majority decides, when their means differ from one to the next.

    The pairs (m1, m2) are normal over the parameters, with root mean square mu and correlation cos. It is
    1/2 + arctan((2a - 1) mu sqrt(2 n (1 - cos)) / (2 sigma)) / pi, below Theorem 2.1. reference: from how many
    gradients each mean is known that G is compared with; unknown means pull the share towards 1/2.
    """
    half, apart, noise = a - 0.5, 2 * mu**2 * (1 - cos), sigma**2
    covariance = half * apart
    spread = (half**2 * apart + noise / n + noise / (2 * reference)) * (apart + 2 * noise / reference)
    return _same_sign(covariance, spread)


def sign_share(a: float, mu: float, sigma: float, n: float, cos: float, *, reference: float = math.inf) -> float:
    """Expected share of scalar parameters where G has the sign of m1; the set-up of `scalar_share`.

    1 as n grows and cos = 1, where the classes want the same.
    """
    square, noise = mu**2, sigma**2
    of_batch = square * (a**2 + (1 - a) ** 2 + 2 * a * (1 - a) * cos) + noise / n
    return _same_sign(square * (a + (1 - a) * cos), of_batch * (square + noise / reference))


def _same_sign(covariance: float, spread: float) -> float:
    """P(X Y > 0) for normal X, Y of mean 0, of the product of their variances."""
    return 0.5 + math.asin(max(-1.0, min(1.0, covariance / math.sqrt(spread)))) / math.pi if spread > 0 else 0.5


def _phi(x: Numbers) -> Numbers:
    return np.asarray(torch.special.ndtr(torch.from_numpy(np.asarray(x, np.float64))).numpy())
