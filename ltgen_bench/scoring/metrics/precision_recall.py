"""Improved precision and recall, density and coverage: exact decisions at the speed of a float32 matrix product.

Distances come from float32 matrix products, whose rounding error has a bound; only the few decisions inside the bound
are taken again in float64. Memory is O(block x n), never n x n.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ltgen_bench.scoring.metric import Metric
from ltgen_bench.scoring.metrics.features import check_features, mean_of

if TYPE_CHECKING:
    from ltgen_bench.scoring.feature_sets import Figures
    from ltgen_bench.scoring.scorer import Scoring

KS = (5, 3)  # the headline, and beside it the k of ADM and EDM
_SPARE = 4  # candidates beyond the k nearest: rounding may have swapped the last ones
_SIDE = 2048  # rows and columns of a block of distances within one set
_ENTRIES = 2**22  # entries of any other block
_CACHED = 2**18  # float64 differences held at once: in cache, five times as fast as in new memory
_SAME = 1 + 1e-12  # equal distances stay equal whatever the order of summation (2048 terms: 2e-13)


@dataclass(frozen=True)
class Share:
    """A mean over points and its standard error, the balls held fixed."""

    value: float
    se: float


@dataclass(frozen=True)
class Neighbours:
    """The four figures for one k.

    precision: share of generated points within the k-th-neighbour ball of a real one; recall: share of real points
    within the ball of a generated one (Kynkäänniemi et al. 2019, eq. 1-2). density: mean number of real balls around a
    generated point, over k; coverage: share of real balls that hold a generated point (Naeem et al. 2020, eq. 2-3).
    Balls include their surface, so that a copy of a point always lies in that point's ball.
    """

    k: int
    precision: Share
    recall: Share
    density: Share
    coverage: Share


class _Points:
    """Features (n, d) float32, and what a bound on the rounding of float32 distances between them needs.

    centre (d,): any point amid them, the same for all sets that are compared; taken off first, it leaves distances as
    they are and makes norms small, and with them the rounding.
    """

    def __init__(self, features: Tensor, centre: Tensor) -> None:
        self.raw = features
        self.centred = features - centre
        rows = max(1, _CACHED // features.shape[1])
        self.norms = torch.cat([block.double().square().sum(1) for block in torch.split(self.centred, rows)])

    def __len__(self) -> int:
        return len(self.raw)


def _points(first: Tensor, other: Tensor) -> tuple[_Points, _Points]:
    centre = mean_of(first).float()
    points = _Points(first, centre)
    return points, points if other is first else _Points(other, centre)


def neighbours(
    real: Tensor, generated: Tensor, ks: tuple[int, ...] = KS, of_real: Tensor | None = None, *, surface: bool = True
) -> tuple[Neighbours, ...]:
    """Precision, recall, density and coverage for each k, from float32 features (n_real, d) and (n_gen, d).

    Every decision is the one that float64 arithmetic takes. The figures depend on both sample sizes: compare only those
    of equal sizes. of_real: `radii` of the real points, where the caller has them. surface: whether balls include
    theirs, which matters for equal distances alone. Raises ValueError when a set has no k other points, d differs, or
    features hold NaN or infinity.
    """
    check_features(real, generated, max(ks) + 1)
    x, y = _points(real, generated)
    around_x, around_y = _radii(x, ks) if of_real is None else of_real, _radii(y, ks)
    around_x, around_y = _squared_reach(around_x, surface), _squared_reach(around_y, surface)
    balls = torch.zeros(len(ks), len(y), dtype=torch.int64)  # how many real balls hold this generated point
    holding = torch.zeros(len(ks), len(x), dtype=torch.bool)  # this real ball holds a generated point
    held = torch.zeros(len(ks), len(x), dtype=torch.bool)  # this real point is in a generated ball
    for rows in _slices(len(x), max(1, _ENTRIES // len(y))):
        low = _lower(x, rows, y, slice(None), torch.float32)
        i, j = _near(low, around_x[:, rows].amax(0)[:, None])
        for at, inside in enumerate(_inside(x, i + rows.start, y, j, low[i, j], around_x[:, i + rows.start])):
            balls[at] += torch.bincount(j[inside], minlength=len(y))
            holding[at, (i + rows.start)[inside]] = True
        i, j = _near(low, around_y.amax(0))
        for at, inside in enumerate(_inside(x, i + rows.start, y, j, low[i, j], around_y[:, j])):
            held[at, (i + rows.start)[inside]] = True
    return tuple(
        Neighbours(k, _share(balls[at] > 0), _share(held[at]), _share(balls[at].double() / k), _share(holding[at]))
        for at, k in enumerate(ks)
    )


def _squared_reach(radii: Tensor, surface: bool) -> Tensor:
    """Squared radii that leave points on the surface in or out, whatever the order of summation of their distances."""
    return radii * _SAME if surface else torch.where(radii > 0, radii / _SAME, -1.0)


def radii(features: Tensor, ks: tuple[int, ...] = KS) -> Tensor:
    """Squared distance of each point (n, d) to its k-th nearest other point: float64 (len(ks), n), exact."""
    return _radii(_points(features, features)[0], ks)


def _radii(points: _Points, ks: tuple[int, ...]) -> Tensor:
    """As `radii`. Each block of distances serves its rows and its columns, which halves the work."""
    n = len(points)
    width = min(max(ks) + _SPARE, n - 1)
    best = torch.full((n, width), math.inf)
    index = torch.zeros(n, width, dtype=torch.int64)
    blocks = _slices(n, _SIDE)
    for at, rows in enumerate(blocks):
        for columns in blocks[at:]:
            low = _lower(points, rows, points, columns, torch.float32)
            if rows == columns:
                low.fill_diagonal_(math.inf)
            else:
                _keep_best(best[columns], index[columns], low.T.contiguous(), rows.start)
            _keep_best(best[rows], index[rows], low, columns.start)
    near, _ = _settled(points, points, best, index, ks)
    return torch.stack([near[:, k - 1] for k in ks])


def memorised(points: Tensor, train: Tensor, of_train: Tensor | None = None) -> Tensor:
    """Is each point nearer to a training point than that one's nearest training neighbour is, or a copy? bool (n,).

    What AuthPct counts the rest of (Alaa et al. 2022, sec. 4). Of new real images many are nearer too, and the more of
    them the fewer training images there are: compare with their share. of_train: `radii(train, (1,))`, where the caller
    has them. Raises ValueError as `neighbours`.
    """
    check_features(train, points, 1)
    known, asked = _points(train, points)
    nearest, distances = _closest(asked, known)
    around = _radii(known, (1,)) if of_train is None else of_train
    return (distances < around[0, nearest]) | (distances == 0)


def _closest(queries: _Points, points: _Points) -> tuple[Tensor, Tensor]:
    """Index of the nearest of `points` to each query, and the squared distance in float64: (n_queries,) each, exact."""
    width = min(1 + _SPARE, len(points))
    best, index = [], []
    for rows in _slices(len(queries), max(1, _ENTRIES // len(points))):
        low = _lower(queries, rows, points, slice(None), torch.float32)
        values, at = low.topk(width, largest=False, sorted=False)
        best.append(values)
        index.append(at)
    near, at = _settled(queries, points, torch.cat(best), torch.cat(index), (1,))
    return at[:, 0], near[:, 0]


def _settled(x: _Points, y: _Points, low: Tensor, index: Tensor, ks: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Distances of x to its candidates y[index] in order, exact for the k-th, and their indices in that order.

    low: lower bounds of these distances (n, width); no other point has a smaller one. A point is never its own
    neighbour.
    """
    near, at = _ordered(x, torch.arange(len(x)), y, index, low, ks)
    if index.shape[1] >= len(y) - (x is y):
        return near, at
    # All others are farther than the farthest candidate. Distance 0 cannot be beaten, however many copies there are.
    last = near[:, max(ks) - 1]
    unsure = (last > low.amax(1)) & (last > 0)
    for again in torch.split(unsure.nonzero().flatten(), max(1, _ENTRIES // len(y))):
        finer = _lower(x, again, y, slice(None), torch.float64)
        if x is y:
            finer[torch.arange(len(again)), again] = math.inf
        values, candidates = finer.topk(index.shape[1], largest=False)
        near[again], at[again] = _ordered(x, again, y, candidates, values, ks)
    return near, at


def _ordered(
    x: _Points, rows: Tensor, y: _Points, index: Tensor, low: Tensor, ks: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """`_settled` of some rows, as far as the candidates go: those that may be the k-th are measured in float64."""
    near = low.double()
    high = near + 2 * _slack(x, low.dtype) * (x.norms[rows, None] + y.norms[index])
    maybe = torch.zeros_like(near, dtype=torch.bool)
    for k in ks:
        least, most = near.kthvalue(k, 1, keepdim=True).values, high.kthvalue(k, 1, keepdim=True).values
        maybe |= (high >= least) & (near <= most)
    i, j = maybe.nonzero(as_tuple=True)
    near[i, j] = _pairs(x, rows[i], y, index[i, j])
    near, order = near.sort(1)
    return near, index.gather(1, order)


def _slices(n: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


def _lower(a: _Points, rows: slice | Tensor, b: _Points, columns: slice, dtype: torch.dtype) -> Tensor:
    """A lower bound of the squared distances of a[rows] to b[columns], below them by at most twice `_slack`."""
    down = 1 - _slack(a, dtype)
    low = torch.addmm(
        (b.norms[columns] * down).to(dtype), a.centred[rows].to(dtype), b.centred[columns].T.to(dtype), alpha=-2
    )
    return low.add_((a.norms[rows] * down).to(dtype)[:, None])


def _slack(points: _Points, dtype: torch.dtype) -> float:
    """Rounding error of |a|^2 + |b|^2 - 2ab, relative to |a|^2 + |b|^2, at most, in any order of summation.

    d terms of a product of d + 1 factors: Higham 2002, eq. 3.5, with room for centring and for the norms.
    """
    return (points.raw.shape[1] + 16) * torch.finfo(dtype).eps / 2


def _near(low: Tensor, squared: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column of the pairs that may be within the given squared radii."""
    i, j = (low <= torch.nextafter(squared.float(), torch.tensor(math.inf))).nonzero(as_tuple=True)
    return i, j


def _inside(x: _Points, i: Tensor, y: _Points, j: Tensor, low: Tensor, squared: Tensor) -> Tensor:
    """Is the distance of x[i] to y[j] within each of the radii (len(ks), pairs)? float64 decides where it matters."""
    high = low.double() + 2 * _slack(x, torch.float32) * (x.norms[i] + y.norms[j])
    certain = high <= squared
    doubt = ((low <= squared) & ~certain).any(0).nonzero().flatten()
    certain[:, doubt] = _pairs(x, i[doubt], y, j[doubt]) <= squared[:, doubt]
    return certain


def _pairs(x: _Points, i: Tensor, y: _Points, j: Tensor) -> Tensor:
    """Squared distances of x[i] to y[j] from float64 differences."""
    step = max(1, _CACHED // x.raw.shape[1])
    parts = []
    for a, b in zip(torch.split(i, step), torch.split(j, step), strict=True):
        parts.append(x.raw[a].double().sub_(y.raw[b]).square_().sum(1))
    return torch.cat(parts)


def _keep_best(best: Tensor, index: Tensor, distances: Tensor, offset: int) -> None:
    """Merge a block of distances into the nearest so far, in place."""
    width = best.shape[1]
    values, at = distances.topk(min(width, distances.shape[1]), largest=False, sorted=False)
    values, chosen = torch.cat([best, values], 1).topk(width, largest=False, sorted=False)
    index.copy_(torch.cat([index, at + offset], 1).gather(1, chosen))
    best.copy_(values)


def _share(flags: Tensor) -> Share:
    values = flags.double()
    return Share(float(values.mean()), float(values.std()) / math.sqrt(len(values)))


class _Share(Metric):
    """k = 5, k = 3 beside it, and what one half of the real images reaches beside the other ("ceiling")."""

    def figures(self, scoring: Scoring) -> Mapping[str, Figures]:
        found = {}
        for name, (first, second) in scoring.shared(_of_scopes).items():
            share, other = getattr(first, self.name), getattr(second, self.name)
            figures: Figures = {"value": share.value, "se": share.se, "k": first.k, f"k{second.k}": other.value}
            if ceiling := scoring.reference.scopes[name].ceiling:
                figures |= {"ceiling": getattr(ceiling, self.name), "ceiling_n": ceiling.n}
            found[name] = figures | scoring.scopes.drawn(name).counts
        return found


class Precision(_Share):
    """Share of generated images that lie among real ones."""

    name = "precision"
    better = "higher"
    decimals = 3
    columns = ("overall",)


class Recall(_Share):
    """Share of real images that lie among generated ones."""

    name = "recall"
    better = "higher"
    decimals = 3
    columns = ("overall", "majority", "minority")


class Density(_Share):
    """How many real images are near to a generated one."""

    name = "density"
    better = "higher"
    decimals = 3


class Coverage(_Share):
    """Share of real images that a generated one is near to."""

    name = "coverage"
    better = "higher"
    decimals = 3


def _of_scopes(scoring: Scoring) -> dict[str, tuple[Neighbours, ...]]:
    """Of those scopes that have enough distinct real images.

    A real image counts once: what a dataset repeats by accident would shrink the balls around it to nothing. The set
    of Kynkäänniemi et al. 2019 (eq. 1) has no repetitions, either. Generated images count as often as they were made
    (Naeem et al. 2020: the others are all but the image itself): fewer distinct ones have larger balls, so that a model
    that made 3 images of each digit over and over would have the recall of one that made 85 (0.97; as made: 0).
    """
    return {
        name: neighbours(*scoring.scopes.drawn(name).features, KS, around)
        for name in scoring.scopes.classes
        if (around := scoring.reference.scopes[name].radii) is not None
    }
