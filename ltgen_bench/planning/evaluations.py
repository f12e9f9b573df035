"""The evaluations of a run: how its images are made and scored, in one way or in several."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

from ltgen_bench.data.long_tail import LongTail
from ltgen_bench.errors import UsageError
from ltgen_bench.planning.checks import check_images, check_sampling
from ltgen_bench.runs.job import DataOptions, Execution, Job
from ltgen_bench.sampling import sampler
from ltgen_bench.scoring.checks import check_enough, counts_of
from ltgen_bench.scoring.extractors import identify
from ltgen_bench.scoring.metric_table import plugin_metrics
from ltgen_bench.scoring.scorer import SCORE_VERSION
from ltgen_bench.spec.protocols import Protocol, parse
from ltgen_bench.spec.serialise import coerce
from ltgen_bench.spec.specs import PROTOCOL, DiffusionSpec, EvalSpec, Reference, SamplingSpec, ScoreSpec


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """One way to evaluate a run, as far as it is not the usual one.

    sample: settings of sample.*, as typed; features: name of the extractor; against: which real images to score
    against; protocol: that says what is not said here.
    """

    sample: Mapping[str, str] = dataclasses.field(default_factory=dict)
    features: str | None = None
    against: str | None = None
    protocol: Protocol | None = None

    def within(self, asked: Evaluation, usual: Evaluation) -> Evaluation:
        """Complete but for sampling that nobody asked for: what it says itself, then what is asked of all evaluations,
        what its protocol says, the usual.

        Raises UsageError for a setting that is asked of all and of this one, too, and for one that the protocol leaves
        open and nobody gives.
        """
        for name in self.sample:
            if name in asked.sample:
                raise UsageError(f"--set sample.{name}={asked.sample[name]}: --{name} says it, too; keep one of them")
        sample, protocol = {**asked.sample, **self.sample}, self.protocol
        if protocol is not None:
            if protocol.omega == "open" and "omega" not in sample:
                raise UsageError(
                    f"--protocol {protocol.name}: its source does not state omega, and none is guessed; give --omega W"
                )
            usual = Evaluation(features=protocol.features, against=protocol.reference)
        return Evaluation(
            {**usual.sample, **sample},
            self.features or asked.features or usual.features,
            self.against or asked.against or usual.against,
            protocol,
        )


USUAL = (Evaluation(),)


def asked_for(omegas: Iterable[str], protocols: Iterable[str]) -> tuple[Evaluation, ...]:
    """An evaluation by each protocol at each strength of guidance.

    Raises UsageError for what is unknown, or there twice.
    """
    at = sweep(omegas)
    return tuple(Evaluation(each.sample, protocol=protocol) for protocol in parse(protocols) for each in at) or at


def sweep(omegas: Iterable[str]) -> tuple[Evaluation, ...]:
    """An evaluation at each strength of guidance. Raises UsageError for what is no number, or is there twice."""
    found: dict[float, Evaluation] = {}
    for text in omegas:
        try:
            omega = coerce(text.strip(), float, "--omega")
        except UsageError:
            said = f"--omega {text}" if text.strip() else "--omega, a number is missing"
            raise UsageError(f"{said}: write numbers with commas, for example 0,0.5,1,1.5,2") from None
        if omega in found:
            raise UsageError(f"--omega: {omega:g} is there twice; keep one of them")
        found[omega] = Evaluation({"omega": str(omega)})
    return tuple(found.values()) or USUAL


def check_apart(asked: Sequence[Evaluation], specs: Sequence[EvalSpec]) -> None:
    """Raises UsageError for evaluations that differ in an omega alone that is used nowhere, or that nobody chose.

    Those of two protocols, each at the omega that its source names first, would stand in tables as a sweep.
    asked: as they were asked for; specs: the same, spelled out.
    """
    for (mine, one), (its, other) in itertools.combinations(zip(asked, specs, strict=True), 2):
        if one == other or _at_omega_of(other, one) != other:
            continue
        values = f"{one.sample.omega:g} and {other.sample.omega:g}"
        if len(one.sample.omega_by_group) == 3:
            raise UsageError(
                f"omega {values} give the same images, as each group has one of its own (sample.omega_majority, "
                "omega_medium, omega_minority); leave one of these out, or --omega"
            )
        if mine.protocol and its.protocol and "omega" not in {**mine.sample, **its.sample}:
            raise UsageError(
                f"--protocol {mine.protocol.name},{its.protocol.name}: here they differ in omega alone, {values}; say "
                "which you want with --omega W,..., or name one of them"
            )


def _at_omega_of(other: EvalSpec, scored: EvalSpec) -> EvalSpec:
    return dataclasses.replace(scored, sample=dataclasses.replace(scored.sample, omega=other.sample.omega))


def departures(jobs: Iterable[Job], protocols: Iterable[str]) -> Iterator[str]:
    """A line for each protocol that other settings have made into another evaluation than the paper's."""
    made = {(job.eval.eval_id, job.run.protocol): job for job in jobs}.values()
    for protocol in parse(protocols):
        nearest = min((protocol.departs(job.eval) + _of_before(job) for job in made), key=len, default=[])
        if nearest:
            yield f"not protocol {protocol.name}, and no table calls it so: {', '.join(nearest)}"


def _of_before(job: Job) -> list[str]:
    """In what a run of an earlier version of the suite departs from every protocol."""
    return [] if job.run.protocol == PROTOCOL else [f"a run of protocol {job.run.protocol}, not {PROTOCOL}"]


def eval_spec(
    asked: Evaluation,
    usual: SamplingSpec,
    diffusion: DiffusionSpec,
    loaded: LongTail,
    data: DataOptions,
    execution: Execution,
    seeds: Iterable[int],
) -> EvalSpec:
    """An evaluation spelled out, where sampling is its protocol's, or `usual`, but for what is asked.

    Raises UsageError.
    """
    sample = sampler.override(asked.protocol.sample if asked.protocol else usual, asked.sample, diffusion.timesteps)
    check_sampling(sample, diffusion)
    data = dataclasses.replace(data, against=asked.against)
    assert asked.features is not None
    score_spec = make_score_spec(loaded, asked.features, data, execution)
    check_images(loaded, sample, seeds)
    return EvalSpec(**vars(score_spec), sample=sample)


def make_score_spec(loaded: LongTail, features: str, data: DataOptions, execution: Execution) -> ScoreSpec:
    """How images are scored against this dataset.

    Raises UsageError when the extractor's weights are missing, a metric from outside the package cannot be used, or
    there are no or too few real images of the set to score against.
    """
    features, sha256 = identify(features, execution.weights, data.folder)
    real, spec = loaded.real(reference := data.against or "balanced"), loaded.spec
    check_enough("real", counts_of(real), loaded.groups)
    return ScoreSpec(
        features=features,
        features_sha256=sha256,
        reference_sha256={"balanced": spec.reference_sha256, "train": spec.data_sha256}.get(reference) or real.sha256,
        groups=loaded.groups.as_dict(),
        score_version=SCORE_VERSION,
        metrics=plugin_metrics(),
        reference=cast(Reference, reference),
    )
