"""`score`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ltgen_bench.cli.app import app
from ltgen_bench.cli.options import (
    RUNS,
    Against,
    Data,
    DataDir,
    DataName,
    Device,
    Features,
    FeaturesWeights,
    Imbalance,
    Omega,
    ProtocolNames,
    Reference,
    RunsDir,
    Samples,
    Size,
    data_options,
    listed,
)
from ltgen_bench.cli.results import show_results
from ltgen_bench.cli.work import do_jobs
from ltgen_bench.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from ltgen_bench.runs.job import ExternalJob


@app.command(
    epilog="""Examples:

`ltgen-bench score 3f2a --features inception`

`ltgen-bench score 3f2a --omega 0,0.5,1,1.5,2 --set sample.images=10000`

`ltgen-bench score --samples mine.npz --dataset cifar10lt --name "my method"`"""
)
def score(
    run_: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", help="A trained run: the start of its id, or its folder.", show_default=False),
    ] = None,
    samples: Samples = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Dataset to compare them with, for --samples.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What tables call them, for --samples; default: the file's name."),
    ] = None,
    features: Features = None,
    features_weights: FeaturesWeights = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change how it is sampled: sample.steps=250. Repeatable."),
    ] = None,
    omega: Omega = None,
    protocol: ProtocolNames = None,
    imbalance: Imbalance = None,
    size: Size = None,
    data: Data = None,
    reference: Reference = None,
    against: Against = None,
    data_name: DataName = None,
    device: Device = "auto",
    again: Annotated[
        bool, typer.Option("--again", help="Score images again where they were: with metrics that are new, or edited.")
    ] = False,
    runs: RunsDir = RUNS,
    data_dir: DataDir = None,
) -> None:
    """Score a trained run again, with other features or sampling; or images from any other trainer.

    A run is not trained again (one that was stopped half way is trained on first); what is not named stays as in its
    first score.
    """
    from ltgen_bench.cli.progress import console
    from ltgen_bench.launch.launcher import Resources, local
    from ltgen_bench.planning.evaluations import asked_for, departures
    from ltgen_bench.planning.external_images import take, take_again
    from ltgen_bench.planning.plan import rescore
    from ltgen_bench.runs.job import Execution
    from ltgen_bench.runs.run_folder import find_run
    from ltgen_bench.spec.specs import ExternalSpec

    if (run_ is None) == (samples is None):
        raise UsageError("score takes either a RUN or --samples FILE, and not both")
    own = {"dataset": dataset, "name": name, "imbalance": imbalance, "size": size, "data-name": data_name}
    for option, value in own.items():
        if samples is None and value is not None:
            raise UsageError(f"--{option} goes with --samples: a run has its own, leave it out")
    out = console()
    named = {"omega": omega, "protocol": protocol}
    asked = [f"--set {setting}" for setting in set_ or ()]
    asked += [f"--{option} {value}" for option, value in named.items() if value is not None]
    evaluations = asked_for(listed(omega), listed(protocol))
    options = data_options(imbalance, size, data, reference, data_dir, data_name, against)
    execution = Execution(device, str(features_weights) if features_weights else None)
    if samples is not None:
        if dataset is None:
            raise UsageError("--samples needs --dataset NAME, what to compare the images with")
        return _score_given(
            out, take(samples, name, dataset, features, options, execution, runs), asked, runs, again=again
        )
    run_folder = find_run(runs, run_ or "")
    if isinstance(spec := run_folder.spec, ExternalSpec):
        return _score_given(out, take_again(run_folder, spec, features, options, execution), asked, runs, again=again)
    jobs = rescore(run_folder, set_ or (), features, options, execution, evaluations, again=again)
    for note in departures(jobs, listed(protocol)):
        out.print(note)
    before = [job.run_folder.record(job.eval.eval_id) if again else None for job in jobs]
    counts = do_jobs(out, [job for job in jobs if again or job.state != "done"], nullcontext(local(Resources())))
    found = [job.run_folder.record(job.eval.eval_id) for job in jobs]
    finished = [
        (job, record)
        for job, record, old in zip(jobs, found, before, strict=True)
        if record is not None and record != old
    ]
    show_results(out, finished, runs)
    if len(finished) < len(jobs):
        raise typer.Exit(2 if counts.get("unusable") else 1)


def _score_given(out: Console, given: ExternalJob, sampling: list[str], runs: Path, *, again: bool) -> None:
    """Score images made elsewhere, in this process: there is nothing to resume or to share out.

    sampling: the options that say how to sample, which are refused.
    """
    from rich.progress import Progress

    from ltgen_bench.launch.score_stage import score_external
    from ltgen_bench.scoring.scoring_code import scoring_code

    if sampling:
        raise UsageError(f"{sampling[0]}: images made elsewhere are scored as they are, leave it out")
    if not again:
        given.run_folder.check_scored_with(given.eval.eval_id, scoring_code(given.eval.features))
    with Progress(console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task("features", total=None)
        record = score_external(
            given, lambda done, total: bar.update(task, completed=done, total=total), out.print, again=again
        )
    show_results(out, [(given, record)], runs)
