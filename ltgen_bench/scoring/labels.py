"""How well images show their classes, by linear classifiers of real and of generated images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltgen_bench.scoring.feature_sets import Comparison, FeatureSet
from ltgen_bench.scoring.metrics.linear_classifier import Classifier, calibration
from ltgen_bench.scoring.reference import fit_classifier
from ltgen_bench.scoring.scopes import Scopes, classifier_halves, positions
from ltgen_bench.scoring.shares import class_mean


@dataclass(frozen=True)
class Answers:
    """Which images a classifier takes for what they are: right (n,), beside their labels (n,)."""

    right: NDArray[np.bool_]
    labels: NDArray[np.int64]

    @classmethod
    def of(cls, logits: Tensor, images: FeatureSet) -> Answers:
        found = logits.argmax(1).numpy() == positions(images.labels, images.classes)
        return cls(found, images.labels)

    def share(self, classes: Iterable[int]) -> tuple[float, float]:
        """Mean over classes, and its standard error."""
        return class_mean(self.right, self.labels, classes)


@dataclass(frozen=True)
class LabelFigures:
    """What three classifiers say, each fitted to another set of images: `real`, to one half of the real images;
    `generated`, to as many or fewer generated ones; `as_many`, to as many real ones as those.

    on_generated: answers of `real` to the generated images; ..._on_real: of each to the other half of the real images,
    which is in `tested`, beside the generated images that were fitted to. logits: of `real`, calibrated.
    """

    on_generated: Answers
    real_on_real: Answers
    generated_on_real: Answers
    as_many_on_real: Answers
    tested: Comparison
    logits: Tensor

    @classmethod
    def of(cls, scopes: Scopes, of_real: Classifier | None) -> LabelFigures | None:
        """of_real: fitted to one half of the real images; None where these are too few, for no figures at all."""
        fake, seed = scopes.whole.generated, scopes.whole.seed
        halves = classifier_halves(scopes.balanced, seed)
        if halves is None or of_real is None:
            return None
        seen, new = halves
        fitted = fake.drawn(len(seen) // len(scopes.ids), seed)
        of_generated = fit_classifier(fitted)
        as_many = of_real
        if len(fitted) < len(seen):
            as_many = fit_classifier(seen.drawn(len(fitted) // len(scopes.ids), seed))
        of_new, of_fake = of_real.logits(new.features), of_real.logits(fake.features)
        of_fake *= calibration(of_new, torch.from_numpy(positions(new.labels, new.classes)))
        return cls(
            on_generated=Answers.of(of_fake, fake),
            real_on_real=Answers.of(of_new, new),
            generated_on_real=Answers.of(of_generated.logits(new.features), new),
            as_many_on_real=Answers.of(as_many.logits(new.features), new),
            tested=Comparison(new, fitted, seed),
            logits=of_fake,
        )
