"""Are the generated images copies of training images?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ltgen_bench.scoring.metric import Metric
from ltgen_bench.scoring.metrics.kid import kid, within
from ltgen_bench.scoring.metrics.precision_recall import memorised, radii
from ltgen_bench.scoring.pack import cached_dataclass
from ltgen_bench.scoring.scopes import CLASS_CAP
from ltgen_bench.scoring.shares import class_mean

if TYPE_CHECKING:
    from ltgen_bench.scoring.feature_sets import FeatureSet, Figures
    from ltgen_bench.scoring.scorer import Scoring

_VERSION = 2  # of what is kept


@dataclass(frozen=True)
class TrainStatistics:
    """Of the training images, the same for every model: their radii (1, n), and which unseen images are nearer to one
    of them than that (see `memorised`), (n_unseen,)."""

    radii: Tensor
    unseen: Tensor

    @classmethod
    def of(cls, train: FeatureSet, unseen: FeatureSet) -> TrainStatistics:
        around = radii(train.features, (1,))
        near = memorised(unseen.features, train.features, around) if len(unseen) else torch.zeros(0, dtype=torch.bool)
        return cls(around, near)


class Memorised(Metric):
    """Share of images nearer to a training image than that one's own nearest neighbour, beside that of unseen images.

    No training or unseen image counts twice: the nearest neighbour of one that is repeated would be its copy, at
    distance 0, and nothing nearer than that.
    copies: share of images that are a training image, pixel for pixel. gap: mean over classes of the KID to unseen
    images less the KID to training images, 0 on average for a model that generalises. flag: the share is larger than
    that of unseen images by a tenth and by three standard errors.
    """

    name = "memorised"
    better = "lower"
    decimals = 3

    def figures(self, scoring: Scoring) -> Mapping[str, Figures]:
        scopes, train = scoring.scopes, scoring.train
        if train is None or len(train) < 2:
            return {}
        whole = scopes.whole
        cap = len(scopes.drawn("overall").generated) // len(scopes.ids)
        fake, unseen = whole.generated.drawn(cap, whole.seed), scoring.unseen.drawn(cap, whole.seed)
        of_train = _statistics(scoring, train, unseen)
        flags = memorised(fake.features, train.features, of_train.radii).numpy()
        copies = np.isin(fake.digests, train.digests)
        gaps_of = _gaps(fake, train, unseen, whole.seed)
        result: dict[str, Figures] = {}
        for name, ids in scopes.classes.items():
            value, se = class_mean(flags, fake.labels, ids)
            figures: Figures = {"value": value, "se": se, "copies": class_mean(copies, fake.labels, ids)[0]}
            figures |= {"n_train": len(train.of(ids)), "n_gen": len(fake.of(ids)), "n_unseen": len(unseen.of(ids))}
            if set(ids) <= set(unseen.labels.tolist()):
                usual, usual_se = class_mean(of_train.unseen.numpy(), unseen.labels, ids)
                figures |= {"unseen": usual, "unseen_se": usual_se}
                if value - usual > max(0.1, 3 * math.hypot(se, usual_se)):
                    figures["flag"] = "memorised"
            if gaps := [gaps_of[c] for c in ids if c in gaps_of]:
                figures["gap"] = math.fsum(gap for gap, _ in gaps) / len(gaps)
                figures["gap_se"] = math.sqrt(math.fsum(variance for _, variance in gaps)) / len(gaps)
            result[name] = figures
        return result


def _statistics(scoring: Scoring, train: FeatureSet, unseen: FeatureSet) -> TrainStatistics:
    contents = [array for images in (train, unseen) for array in (images.labels, images.digests)]
    path = scoring.cache_file("train", _VERSION, contents)
    return cached_dataclass(TrainStatistics, path, lambda: TrainStatistics.of(train, unseen))


def _gaps(fake: FeatureSet, train: FeatureSet, unseen: FeatureSet, seed: int) -> dict[int, tuple[float, float]]:
    """KID to unseen images less KID to training images, and its variance, of each class that has two of each.

    The variance is that of drawing the training and unseen images anew: few as they are, a gap by chance is theirs.
    """
    gaps = {}
    for c in fake.classes.tolist():
        y, seen, new = (images.of([c]).drawn(CLASS_CAP, seed).features for images in (fake, train, unseen))
        if min(len(seen), len(new)) > 1:
            itself = within(y)
            # KID is symmetric; its error is that of the second set.
            to_new, to_seen = kid(y, new, of_real=itself), kid(y, seen, of_real=itself)
            gaps[c] = to_new.value - to_seen.value, to_new.se**2 + to_seen.se**2
    return gaps
