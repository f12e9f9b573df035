"""Precision and recall of distributions (Sajjadi et al. 2018): F8 weighs recall, F1/8 precision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ltgen_bench.rng import seed_of
from ltgen_bench.scoring.metric import Metric

if TYPE_CHECKING:
    from ltgen_bench.scoring.feature_sets import Comparison, Figures
    from ltgen_bench.scoring.scorer import Scoring

CLUSTERS, RUNS = 20, 10
"""Clusters per class, and clusterings that are averaged over: those of CBDM."""

_BETA, _ANGLES, _EDGE = 8, 1001, 1e-10

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class F:
    """The largest F_beta on the mean curve of all runs, and the standard deviation (n - 1) of those of each run."""

    value: float
    runs_std: float


def curve(generated: NDArray[np.float64], real: NDArray[np.float64]) -> Curve:
    """Precision and recall, (1001,) each, of two distributions over the same clusters, (k,) probabilities each.

    At slopes l = tan(angle) for angles evenly spaced over a right angle: precision a(l) = sum min(l real, generated),
    recall a(l) / l (Sajjadi et al. 2018, eq. 2 and 3 and algorithm 1).
    """
    slopes = np.tan(np.linspace(_EDGE, np.pi / 2 - _EDGE, _ANGLES))
    precision = np.minimum(slopes[:, None] * real, generated).sum(1)
    return precision.clip(0, 1), (precision / slopes).clip(0, 1)


def largest_f(precision: NDArray[np.float64], recall: NDArray[np.float64], beta: float) -> float:
    """The largest (1 + b^2) p r / (b^2 p + r) on a curve; b > 1 weighs recall more."""
    return float(((1 + beta**2) * precision * recall / (beta**2 * precision + recall + _EDGE)).max())


def both(images: Comparison, clusters: int) -> tuple[F, F]:
    """F8 and F1/8 of as many real as generated images, by mini-batch k-means on all of them together."""
    curves = [_run(images, clusters, run) for run in range(RUNS)]
    mean = np.mean(curves, axis=0)
    found = []
    for beta in (_BETA, 1 / _BETA):
        spread = np.std([largest_f(*each, beta) for each in curves], ddof=1)
        found.append(F(largest_f(mean[0], mean[1], beta), float(spread)))
    return found[0], found[1]


def _run(images: Comparison, clusters: int, run: int) -> Curve:
    from sklearn.cluster import MiniBatchKMeans

    features = np.concatenate([features.numpy() for features in images.features])
    kmeans = MiniBatchKMeans(clusters, n_init=10, random_state=seed_of("clusters", images.seed, run) % 2**32)
    labels = kmeans.fit(features).labels_
    counts = (np.bincount(part, minlength=clusters) for part in np.split(labels, [len(images.real)]))
    real, generated = (count / count.sum() for count in counts)
    return curve(generated, real)


class _OfAll(Metric):
    """Nothing where there are no more images than for `recall`: papers evaluate 50,000, and clustering is slow."""

    def figures(self, scoring: Scoring) -> Mapping[str, Figures]:
        place = 0 if self.name == "F8" else 1
        found = {}
        for name, (pair, counts) in scoring.shared(_of_scopes).items():
            figures: Figures = {"value": pair[place].value, "runs_std": pair[place].runs_std}
            found[name] = figures | counts
        return found


class RecallOfDistributions(_OfAll):
    """The largest F8 of precision and recall of distributions (Sajjadi et al. 2018), which weighs recall: variety."""

    name = "F8"
    better = "higher"
    decimals = 3
    columns = ("overall", "majority", "minority")


class PrecisionOfDistributions(_OfAll):
    """The same with F1/8, which weighs precision: fidelity."""

    name = "F1/8"
    better = "higher"
    decimals = 3
    columns = ("overall", "majority", "minority")


def _of_scopes(scoring: Scoring) -> dict[str, tuple[tuple[F, F], Figures]]:
    """Of all images, and of each group that has at least as many as clusters; and how many those are."""
    found = {}
    for name, ids in scoring.scopes.classes.items():
        part, clusters = scoring.scopes.as_papers_do(name), CLUSTERS * len(ids)
        if part and len(part.real) >= clusters:
            found[name] = both(part, clusters), part.counts
    return found
