"""Networks made from the trained one, and how their losses and scores differ from its own."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from ltgen_bench.spec.specs import EvalSpec

Report = Callable[[str, float, float], None]
"""report(stage, done, total)."""
BASE = "trained"
"""What the trained network is called among the variants."""
Scores = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Variants:
    """make: gives a variant of the trained network by name, on the device. scoring: how it is scored, None for losses
    alone, with the cache and the weights file that the extractor is looked for in."""

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
        """Of each variant, each metric overall and by group."""
        return {name: self._scores(name, spec) for name in (BASE, *self.names)}

    def _scores(self, name: str, spec: EvalSpec) -> Scores:
        record = self.subject.run_folder.record(spec.eval_id) if name == BASE else None
        if record is not None:
            return figures(record.scores)
        return self.work.figures(f"scores-{name}", lambda: self._sampled(name, spec))

    def _sampled(self, name: str, spec: EvalSpec) -> Scores:
        subject, folder = self.subject, self.work.path / f"samples-{name}"
        pipeline = Pipeline(
            self.make(name), spec.sample, subject.run.diffusion, seed=subject.run.seed, noise_prior=self.noise_prior
        )
        stage = f"{name}: sampling"
        make_shards(pipeline, folder, progress=lambda done, total: self.report(stage, done, total))
        features = extractor(spec.features, subject.weights, subject.device, subject.data_folder)
        if features.sha256 != spec.features_sha256:
            raise UsageError(f"the weights of {features.id} have changed since this was planned")
        scoring = Scoring(
            join_shards(folder, spec.sample.images),
            RealImages.of(subject.data),
            features,
            cache=subject.run_folder.runs / "features",
            seed=subject.run.seed,
            progress=lambda done, total: self.report(f"{name}: scoring", done, total),
        )
        found = figures(scoring.scores())
        shutil.rmtree(folder, ignore_errors=True)
        return found


def figures(scores: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Scores:
    """The values of a record's scores, overall and by group."""
    return {
        metric: {scope: float(found["value"]) for scope, found in groups.items()}
        for metric, groups in scores.items()
        if groups.keys() <= set(SCOPES)
    }
