"""`probe pruning`, `probe reserve` and `probe dominance`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ltgen_bench.cli.options import (
    RUNS,
    Data,
    DataDir,
    Device,
    Features,
    FeaturesWeights,
    Reference,
    RunsDir,
    data_options,
)
from ltgen_bench.cli.probe import probe
from ltgen_bench.cli.probing import numbers, probe_runs
from ltgen_bench.errors import UsageError

if TYPE_CHECKING:
    from ltgen_bench.runs.job import DataOptions, Execution
    from ltgen_bench.runs.run_folder import RunFolder
    from ltgen_bench.spec.specs import EvalSpec

Names = Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs: the start of their ids, or folders.")]
Images = Annotated[int, typer.Option(metavar="N", min=1, help="Images of each class and kind, at most.")]
Draws = Annotated[int, typer.Option(metavar="N", min=1, help="Noises and times of each image.")]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Of images, noise and times: the same for all runs.")]
PerClass = Annotated[bool, typer.Option("--per-class", help="Print every class, too.")]
Score = Annotated[bool, typer.Option("--score", help="Also sample and score the changed networks.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="With --score: sample.images=500; as in the run's first score."),
]


@probe.command(
    epilog="""Examples:

`ltgen-bench probe pruning 3f2a 90c1`

`ltgen-bench probe pruning 3f2a --percent 5,10,20 --per network --score`"""
)
def pruning(
    names: Names,
    percent: Annotated[str, typer.Option(metavar="P,...", help="Of the weights; 1 to 50, or 0.")] = "10",
    per: Annotated[Literal["layer", "network"], typer.Option(help="Smallest of each layer, or of all.")] = "layer",
    score: Score = False,
    features: Features = None,
    features_weights: FeaturesWeights = None,
    set_: Settings = None,
    images: Images = 50,
    draws: Draws = 8,
    seed: Seed = 0,
    per_class: PerClass = False,
    device: Device = "auto",
    runs: RunsDir = RUNS,
    data: Data = None,
    reference: Reference = None,
    data_dir: DataDir = None,
) -> None:
    """Remove the smallest weights of trained networks: which classes lose most?

    Prints the relative change of each group's denoising loss, on training images and on held-out ones (of the test set
    or, where there is none, of the reference). Every class weighs the same. The runs themselves are not changed.
    """
    from ltgen_bench.probes.specs import DrawSpec, PruningSpec
    from ltgen_bench.probes.subject import trained

    percents = numbers(percent, "--percent", 0, 50)
    if any(0 < p < 1 for p in percents):
        raise UsageError(f"--percent {percent}: each must be 0, or from 1 to 50")
    options, execution = _how(data, reference, data_dir, device, features_weights)
    loss = DrawSpec(images, draws, seed)

    def plan(run_folder: RunFolder) -> PruningSpec:
        return PruningSpec(percents, per, loss, _evaluation(run_folder, score, set_, features, options, execution))

    probe_runs(names, runs, options, execution, plan, check=trained, per_class=per_class)


@probe.command(
    epilog="""Examples:

`ltgen-bench probe reserve 3f2a`

`ltgen-bench probe reserve 3f2a --score --set sample.images=500`"""
)
def reserve(
    names: Names,
    part: Annotated[str, typer.Option(metavar="P,...", help="Shares of its rank, in %.")] = "25,50,75",
    random: Annotated[int, typer.Option(metavar="N", min=0, help="Draws of a random one in its place.")] = 3,
    score: Score = False,
    features: Features = None,
    features_weights: FeaturesWeights = None,
    set_: Settings = None,
    images: Images = 50,
    draws: Draws = 8,
    seed: Seed = 0,
    per_class: PerClass = False,
    device: Device = "auto",
    runs: RunsDir = RUNS,
    data: Data = None,
    reference: Reference = None,
    data_dir: DataDir = None,
) -> None:
    """Take away what a method reserved for the minority, in whole or in part, or put a random one in its place.

    For runs of methods with a reserve (CM). Parts are the largest singular directions of each layer's BA; random ones
    have the same singular values. Prints the relative change of each group's denoising loss.
    """
    from ltgen_bench.probes.specs import DrawSpec, ReserveSpec
    from ltgen_bench.probes.subject import with_reserve

    shares = tuple(share / 100 for share in numbers(part, "--part", 1, 99))
    options, execution = _how(data, reference, data_dir, device, features_weights)
    loss = DrawSpec(images, draws, seed)

    def plan(run_folder: RunFolder) -> ReserveSpec:
        return ReserveSpec(shares, random, loss, _evaluation(run_folder, score, set_, features, options, execution))

    probe_runs(names, runs, options, execution, plan, check=with_reserve, per_class=per_class)


@probe.command(
    epilog="""Examples:

`ltgen-bench probe dominance 3f2a 90c1`

`ltgen-bench probe dominance 3f2a --images 2048 --singles 2048`"""
)
def dominance(
    names: Names,
    images: Annotated[int, typer.Option(metavar="N", min=64, help="Draws of each class, for its mean gradient.")] = 512,
    singles: Annotated[
        int, typer.Option(metavar="N", min=8, help="Single gradients of majority and minority, for Theorem 2.1.")
    ] = 512,
    parameters: Annotated[int, typer.Option(metavar="N", min=1, help="Of each single gradient, at random.")] = 10_000,
    seed: Seed = 0,
    per_class: PerClass = False,
    device: Device = "auto",
    runs: RunsDir = RUNS,
    data: Data = None,
    reference: Reference = None,
    data_dir: DataDir = None,
) -> None:
    """Measure whose gradients decide the update, at the last state of trainings.

    Runs that differ in train.steps alone (run --snapshots) show how that changes. Needs the run's checkpoint. The mean
    gradients of all classes lie on disk meanwhile, 16 bytes a parameter and class.
    """
    from ltgen_bench.probes.specs import DominanceSpec
    from ltgen_bench.probes.subject import with_checkpoint

    options, execution = _how(data, reference, data_dir, device, None)
    spec = DominanceSpec(images, singles, parameters, seed)
    probe_runs(names, runs, options, execution, lambda _: spec, check=with_checkpoint, per_class=per_class)


def _how(
    data: Path | None, reference: Path | None, data_dir: Path | None, device: str, weights: Path | None
) -> tuple[DataOptions, Execution]:
    from ltgen_bench.runs.job import Execution

    execution = Execution(device, str(weights) if weights else None)
    return data_options(None, None, data, reference, data_dir), execution


def _evaluation(
    run_folder: RunFolder,
    score: bool,
    settings: Sequence[str] | None,
    features: str | None,
    options: DataOptions,
    execution: Execution,
) -> EvalSpec | None:
    """How changed networks are scored: as the run was first, but for what is named."""
    from ltgen_bench.planning.plan import rescore
    from ltgen_bench.probes.subject import trained

    if not score:
        for option, value in (("--set", settings), ("--features", features)):
            if value:
                raise UsageError(f"{option} goes with --score")
        return None
    trained(run_folder)
    (job,) = rescore(run_folder, settings or (), features, options, execution)
    return job.eval
