"""Networks made from the trained one, and how their losses and scores differ from its own."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ltgen_bench.data.images import Images
from ltgen_bench.diffusion.denoiser import Denoiser
from ltgen_bench.diffusion.noise_prior import NoisePrior
from ltgen_bench.errors import UsageError
from ltgen_bench.probes.draws import DenoisingLoss
from ltgen_bench.probes.estimates import changes, means
from ltgen_bench.probes.specs import DrawSpec
from ltgen_bench.probes.subject import Subject
from ltgen_bench.probes.work_folder import WorkFolder
from ltgen_bench.sampling.pipeline import Pipeline
from ltgen_bench.sampling.shards import join_shards, make_shards
from ltgen_bench.scoring.extractors import extractor
from ltgen_bench.scoring.metric_table import SCOPES
from ltgen_bench.scoring.scorer import RealImages, Scoring
from ltgen_bench.spec.specs import EvalSpec, SamplingSpec

Report = Callable[[str, float, float], None]
"""report(stage, done, total)."""
BASE = "trained"
"""What the trained network is called among the variants."""
Scores = dict[str, dict[str, dict[str, Any]]]
"""{metric: {scope: {"value": ..., and where it has one, "se": standard error, "flag": what the scorer warns of}}}."""


@dataclass(frozen=True)
class Variants:
    """make: gives a variant of the trained network by name, on the device."""

    subject: Subject
    work: WorkFolder
    names: tuple[str, ...]
    make: Callable[[str], Denoiser]
    noise_prior: NoisePrior | None
    report: Report

    def losses(self, spec: DrawSpec) -> dict[str, Any]:
        """By set of images (training, held-out): {"loss": {scope: figures}, "change": {variant: {scope: figures}}}."""
        subject = self.subject
        sets = {"training": subject.data.train, "held-out": subject.held_out}
        loss = DenoisingLoss.of(sets, spec, subject.run.diffusion, subject.device, self.noise_prior)
        found: dict[str, dict[str, NDArray[np.float64]]] = {}
        for number, name in enumerate((BASE, *self.names)):
            whole = loss.passes * (1 + len(self.names))

            def progress(done: int, number: int = number, whole: int = whole) -> None:
                self.report("loss", number * loss.passes + done, whole)

            net = functools.partial(self.make, name)
            found[name] = self.work.arrays(f"loss-{name}", lambda net=net: loss(net(), progress))  # type: ignore[misc]
        groups = subject.data.groups
        return {
            part: {
                "loss": means(found[BASE][part], loss.labels(part), groups),
                "change": {
                    name: changes(found[BASE][part], found[name][part], loss.labels(part), groups)
                    for name in self.names
                },
            }
            for part in sets
            if len(loss.labels(part))
        }

    def scores(self, spec: EvalSpec) -> dict[str, Scores]:
        """Of each variant, each metric overall and by group; images start from the noise of the run's own."""
        return {
            name: self.work.figures(f"scores-{name}", lambda name=name: self._scored(name, spec))  # type: ignore[misc]
            for name in (BASE, *self.names)
        }

    def _scored(self, name: str, spec: EvalSpec) -> Scores:
        subject = self.subject
        features = extractor(spec.features, subject.weights, subject.device, subject.data_folder)
        if features.sha256 != spec.features_sha256:
            raise UsageError(f"the weights of {features.id} have changed since this was planned")
        scoring = Scoring(
            self._images(name, spec.sample),
            RealImages.of(subject.data, spec.reference),
            features,
            cache=subject.run_folder.runs / "features",
            seed=subject.run.seed,
            progress=lambda done, total: self.report(f"{name}: scoring", done, total),
        )
        return figures(scoring.scores())

    def _images(self, name: str, spec: SamplingSpec) -> Images:
        """Made by a variant; those of the trained network may be there already."""
        subject, run = self.subject, self.subject.run
        if name == BASE and (path := subject.run_folder.samples(spec)).exists():
            return Images.load(path)
        if run.protocol == 1:  # it sampled in the precision of the training
            spec = dataclasses.replace(spec, precision=run.train.precision)
        pipeline = Pipeline(
            self.make(name),
            spec,
            run.diffusion,
            seed=run.seed,
            noise_prior=self.noise_prior,
            groups=subject.data.groups,
            general=subject.general_network() if spec.guide == "general" else None,
        )
        folder = self.work.path / f"samples-{name}"
        make_shards(pipeline, folder, progress=lambda done, total: self.report(f"{name}: sampling", done, total))
        return join_shards(folder, spec.images)


def figures(scores: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Scores:
    """Of a record's scores, overall and by group, what is shown."""
    return {
        metric: {
            scope: {name: of[name] for name in ("value", "se", "flag") if name in of} for scope, of in groups.items()
        }
        for metric, groups in scores.items()
        if groups.keys() <= set(SCOPES)
    }
