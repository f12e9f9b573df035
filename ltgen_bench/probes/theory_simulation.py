"""Gradients drawn as CM's theorems assume, or as they do not: how often the majority decides."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
CHUNK = 2_000_000
"""Numbers drawn at once."""


@dataclass(frozen=True)
class Setup:
    """Gradients of a parameter: `size` numbers each, the majority's mean of norm mu. Defaults: all that is assumed.

    norm_ratio: the minority's norm over mu. sigma_ratio: its noise over the majority's sigma. elsewhere: the noise
    across the difference of the means, over that along it. noise: normal, or Student's t with 3 degrees of freedom
    scaled to the same variance. fixed: the batch holds the majority's share exactly, or each image is drawn with it.
    Raises ValueError for a share that is no whole number of images.
    """

    a: float = 0.75
    n: int = 32
    cos: float = 0.0
    sigma: float = 4.0
    mu: float = 1.0
    size: int = 4
    norm_ratio: float = 1.0
    sigma_ratio: float = 1.0
    elsewhere: float = 1.0
    noise: Literal["normal", "heavy"] = "normal"
    fixed: bool = True

    def __post_init__(self) -> None:
        if self.fixed and (self.a * self.n) % 1:
            raise ValueError(f"{self.a:g} of {self.n} images is no whole number")

    @property
    def means(self) -> tuple[Numbers, Numbers]:
        """m1 and m2, (size,): in the plane of the first two axes, with m1 - m2 along the first."""
        first, second = self.mu, self.mu * self.norm_ratio
        plane = np.array([[first, 0], [second * self.cos, second * math.sqrt(1 - self.cos**2)]])
        along = plane[0] - plane[1]
        norm = np.hypot(*along)
        if norm > 0:
            plane = plane @ (np.array([along, [-along[1], along[0]]]).T / norm)
        padded = np.zeros((2, self.size))
        padded[:, :2] = plane
        return padded[0], padded[1]


@dataclass(frozen=True)
class Share:
    """Of parameters, with the standard error of the simulation."""

    value: float
    se: float

    @classmethod
    def of(cls, lead: Numbers) -> Share:
        """lead: of the majority, above 0 where it decides; a tie counts as half."""
        value = float(np.mean(np.sign(lead) + 1) / 2)
        return cls(value, math.sqrt(max(value * (1 - value), 1 / len(lead)) / len(lead)))


def nearest(setup: Setup, parameters: int, seed: int) -> Share:
    """How many of so many parameters have a batch's mean nearer to the majority's mean than to the minority's."""
    first, second = setup.means
    batches = _batches(setup, parameters, seed)
    return Share.of(np.sum((batches - second) ** 2, 1) - np.sum((batches - first) ** 2, 1))


def serves_more(setup: Setup, parameters: int, seed: int) -> Share:
    """How many have a step that lowers the majority's loss by more than the minority's: G . m1 > G . m2."""
    first, second = setup.means
    return Share.of(_batches(setup, parameters, seed) @ (first - second))


def scalars(setup: Setup, parameters: int, seed: int) -> tuple[Share, Share]:
    """Parameters that are numbers, with normal means of root mean square mu and correlation cos.

    How many have a batch's mean nearer to the majority's mean, and how many have it of the majority's sign.
    """
    rng = np.random.default_rng(seed)
    first, other = rng.normal(0, setup.mu, (2, parameters))
    second = setup.cos * first + math.sqrt(1 - setup.cos**2) * other
    mean = setup.a * first + (1 - setup.a) * second
    batch = mean + rng.normal(0, setup.sigma / math.sqrt(setup.n), parameters)
    return Share.of(np.abs(batch - second) - np.abs(batch - first)), Share.of(batch * first)


def with_reserve(setup: Setup, shape: tuple[int, int], rank: int, parameters: int, seed: int) -> tuple[Share, Numbers]:
    """Weights of that shape with a reserve BA of that rank, in whose directions only the minority's mean is left.

    m1 and m2 are of random direction, so are A and B. The mean of the batch's noise is drawn as such, alike in every
    direction. How many the majority decides, and of each the share of |m1 - m2|^2 in the reserve's directions.
    """
    rng = np.random.default_rng(seed)
    separation = setup.mu * math.sqrt(2 * (1 - setup.cos))
    leads, reserved = [], []
    for _ in range(parameters):
        apart = rng.normal(size=shape)
        apart *= separation / np.linalg.norm(apart)
        left, right = (np.linalg.qr(rng.normal(size=(k, rank)))[0] for k in shape)
        rows, columns = left @ (left.T @ apart), (apart @ right) @ right.T
        inside = rows + columns - left @ (left.T @ columns)
        noise = rng.normal(0, setup.sigma / math.sqrt(setup.n), shape)
        from_midpoint = (setup.a - 0.5) * (apart - inside) - 0.5 * inside + noise
        leads.append(np.sum(from_midpoint * apart))
        reserved.append(np.sum(inside * apart) / separation**2)
    return Share.of(np.array(leads)), np.array(reserved)


def _batches(setup: Setup, parameters: int, seed: int) -> Numbers:
    """The mean gradient of a batch for each of the parameters, (parameters, size)."""
    rng = np.random.default_rng(seed)
    at_once = max(1, CHUNK // (setup.n * setup.size))
    parts = [_draw(setup, min(at_once, parameters - done), rng) for done in range(0, parameters, at_once)]
    return np.concatenate(parts)


def _draw(setup: Setup, parameters: int, rng: np.random.Generator) -> Numbers:
    shape = parameters, setup.n, setup.size
    noise = rng.normal(size=shape) if setup.noise == "normal" else rng.standard_t(3, shape) / math.sqrt(3)
    noise[..., 1:] *= setup.elsewhere
    majority = np.arange(setup.n) < round(setup.a * setup.n)
    if not setup.fixed:
        majority = rng.random(shape[:2]) < setup.a
    of_majority = np.broadcast_to(majority, shape[:2])[..., None]
    first, second = setup.means
    sigma = np.where(of_majority, setup.sigma, setup.sigma * setup.sigma_ratio)
    return np.asarray((np.where(of_majority, first, second) + sigma * noise).mean(1))
