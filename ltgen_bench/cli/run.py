"""`run`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from ltgen_bench.cli.app import app
from ltgen_bench.cli.closing import closing, smaller
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
    Size,
    data_options,
    listed,
)
from ltgen_bench.cli.results import show_results
from ltgen_bench.cli.work import do_jobs, pick_launcher
from ltgen_bench.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from ltgen_bench.runs.job import Job


@app.command(
    epilog="""Examples:

`ltgen-bench run --method cm+cbdm --dataset digitslt`

`ltgen-bench run --method ddpm --method cm --dataset cifar10lt --preset mini --seeds 0,1,2`

`ltgen-bench run --method cm --dataset digitslt --set cm.w_div=1 --set train.steps=2000 --omega 0,0.5,1,1.5,2`

`ltgen-bench run --method cm --dataset imagefolder --data photos.zip --imbalance 50 --size 32 --dry-run`

Exit codes: 0 all done, 1 something failed, 2 a mistake in the command, 130 interrupted."""
)
def run(
    method: Annotated[
        list[str], typer.Option(metavar="NAME", help="Method, or several combined: cm+cbdm. Repeatable.")
    ],
    dataset: Annotated[list[str], typer.Option(metavar="NAME", help="Dataset. Repeatable.")],
    seeds: Annotated[str, typer.Option(metavar="N,...", help="Seeds, comma-separated.")] = "0",
    preset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Size of the job; default: the dataset's own."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a value: train.steps=1000, cm.w_div=1. Repeatable.",
        ),
    ] = None,
    omega: Omega = None,
    protocol: ProtocolNames = None,
    imbalance: Imbalance = None,
    size: Size = None,
    data: Data = None,
    reference: Reference = None,
    against: Against = None,
    data_name: DataName = None,
    features: Features = None,
    features_weights: FeaturesWeights = None,
    device: Device = "auto",
    compile_: Annotated[bool, typer.Option("--compile", help="Train through torch.compile.")] = False,
    track: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Experiment tracker beside train.jsonl: tensorboard. Repeatable."),
    ] = None,
    checkpoint_every: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Between checkpoints; default: 30, or so that they take 1 % of the time."),
    ] = None,
    launcher: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="ray or local; default: ray for more than one run, or with --address."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Ray cluster to use; default: that of RAY_ADDRESS, or one here."),
    ] = None,
    gpus_per_run: Annotated[
        float | None,
        typer.Option(metavar="N", help="A fraction, or a whole number that shares the training; default: 1 if any."),
    ] = None,
    cpus_per_run: Annotated[
        float | None,
        typer.Option(metavar="N", help="Cores and threads; default: 1, or 2 beside a GPU; all for a single run."),
    ] = None,
    max_parallel: Annotated[int | None, typer.Option(metavar="N", min=1, help="Runs at once, at most.")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try failed runs again.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Make runs again from the start; keep nothing that was made of them.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    runs: RunsDir = RUNS,
    data_dir: DataDir = None,
) -> None:
    """Train, sample and score methods on datasets; show the scores.

    A run that was interrupted goes on when the same command is given again.
    """
    from ltgen_bench.cli.progress import console
    from ltgen_bench.planning.disk import check_writable, room_warning
    from ltgen_bench.planning.evaluations import asked_for, departures
    from ltgen_bench.planning.plan import Request, plan
    from ltgen_bench.runs.chains import chains, startable
    from ltgen_bench.runs.job import Execution
    from ltgen_bench.storage.lock import Held

    out = console()
    request = Request(
        methods=method,
        datasets=dataset,
        seeds=_seeds(seeds),
        preset=preset,
        settings=set_ or (),
        on_gpu=gpus_per_run > 0 if gpus_per_run is not None else None,
        features=features,
        data=data_options(imbalance, size, data, reference, data_dir, data_name, against),
        execution=Execution(
            device=device,
            features_weights=str(features_weights) if features_weights else None,
            checkpoint_seconds=checkpoint_every,
            compile=compile_,
            track=tuple(track or ()),
        ),
        again=again,
        evaluations=asked_for(listed(omega), listed(protocol)),
    )
    jobs = plan(request, runs)
    for note in departures(jobs, listed(protocol)):
        out.print(note)
    options = (launcher, address, gpus_per_run, cpus_per_run, max_parallel, device)
    pick_launcher(*options, len(chains(jobs)))  # refuses what is wrong
    if again and not dry_run:
        for job in jobs:
            with suppress(Held):  # it runs elsewhere, and is left alone
                job.run_folder.clear()
    states = [job.state for job in jobs]
    todo = startable(jobs, retry_failed=retry_failed)
    for job, state in zip(jobs, states, strict=True):
        if dry_run or (job not in todo and state != "done"):
            out.print(f"{job.title} ({job.run.run_id}): {_fate(job, state, retry_failed, again)}")
    _announce(out, todo)
    if dry_run:
        for job in {job.run.dataset: job for job in jobs}.values():
            print("\n".join(job.data.load(job.run.dataset.name).describe()))
        return
    if todo:
        check_writable(runs)
        if warning := room_warning(todo, runs):
            out.print(warning)
    for path in [job.run_folder.result(job.eval.eval_id) for job in todo]:
        if path.exists():
            out.print(f"{path} is damaged and will be made again")
    if not todo and set(states) == {"done"}:
        out.print("nothing to do: every run is done already")
    counts = do_jobs(out, todo, pick_launcher(*options, len(chains(todo))))
    finished = [(job, record) for job in jobs if (record := job.run_folder.record(job.eval.eval_id)) is not None]
    problems = show_results(out, finished, runs)
    unfinished = _sum_up(out, jobs)
    if not unfinished:
        for line in closing(jobs):
            out.print(line)
    if counts.get("unusable"):
        raise typer.Exit(2)
    if unfinished or problems:
        raise typer.Exit(1)


def _seeds(text: str) -> list[int]:
    try:
        return [int(s) for s in text.split(",")]
    except ValueError:
        raise UsageError(f"--seeds {text}: write whole numbers with commas, for example 0,1,2") from None


def _announce(out: Console, todo: list[Job]) -> None:
    from ltgen_bench.cli.progress import duration
    from ltgen_bench.planning.training_time import training_seconds

    for job in {j.run.train: j for j in todo}.values():
        train = job.run.train
        if (untrained := train.ema**train.steps) > 0.01:
            out.print(
                f"with train.ema={train.ema:g}, {untrained:.0%} of the averaged weights are still the untrained ones "
                f"after {train.steps:,} steps; images will suffer"
            )
    for job in {j.run.config_id: j for j in todo}.values():
        seconds = training_seconds(job)
        if seconds > 3600:
            out.print(
                f"{job.title}: preset {job.run.preset} is large for this device: about {duration(seconds)} of training "
                f"a run, more for methods with several passes. Ctrl-C stops it; smaller: {smaller(job.run.preset)}"
            )


def _fate(job: Job, state: str, retry_failed: bool, again: bool) -> str:
    """What becomes of a job in this state."""
    run, scored = job.run, job.eval
    work = (
        f"{run.train.steps:,} steps x {run.train.batch}, {scored.sample.images:,} images, features {scored.features} "
        f"(preset {run.preset})"
    )
    if state == "running":
        return f"running elsewhere ({job.run_folder.owner()})"
    if again:
        return f"starts again {work}"
    if state == "failed" and not retry_failed:
        return f"failed before: {job.run_folder.why_failed()}; try again with --retry-failed"
    return {"done": "done already", "stopped": f"goes on with {work}"}.get(state, f"starts {work}")


def _sum_up(out: Console, jobs: list[Job]) -> int:
    """Say how many runs are done, what became of the others and what to do about it; how many are not done."""
    left = [(job, state) for job in jobs if (state := job.state) != "done"]
    if len(jobs) > 1 or left:
        out.print(f"{len(jobs) - len(left)} done, {len(left)} not")
    if len(jobs) > 1:
        for job, state in left:
            failed = state == "failed"
            out.print(f"  {job.title}: {state}{f', see {job.run_folder.log}' if failed else ''}")
        if any(state == "failed" for _, state in left):
            out.print("the same command tries the failed ones again with --retry-failed")
        if any(state != "failed" for _, state in left):
            out.print("the same command goes on with what is not done")
    return len(left)
