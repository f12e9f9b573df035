"""`run`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from ltgen_bench.cli.app import app
from ltgen_bench.cli.closing import closing
from ltgen_bench.cli.options import (
    RUNS,
    Address,
    Against,
    CpusPerRun,
    Data,
    DataDir,
    DataName,
    Device,
    DryRun,
    Features,
    FeaturesWeights,
    GpusPerRun,
    Imbalance,
    LauncherName,
    MaxParallel,
    Methods,
    Omega,
    PresetName,
    ProtocolNames,
    Reference,
    RetryFailed,
    RunsDir,
    Seeds,
    Settings,
    Size,
    data_options,
    listed,
    whole_numbers,
)
from ltgen_bench.cli.outlook import fates, warnings
from ltgen_bench.cli.results import show_results
from ltgen_bench.cli.work import do_jobs, pick_launcher

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from ltgen_bench.cli.work import Launching
    from ltgen_bench.runs.job import Job


@app.command(
    epilog="""Examples:

`ltgen-bench run --method cm+cbdm --dataset digitslt`

`ltgen-bench run --method ddpm --method cm --dataset cifar10lt --preset mini --seeds 0,1,2`

`ltgen-bench run --method cm --dataset digitslt --set cm.w_div=1 --set train.steps=2000 --omega 0,0.5,1,1.5,2`

`ltgen-bench run --method cm --dataset cifar10lt --preset paper --protocol cm,cbdm --snapshots 100000,200000`

`ltgen-bench run --method cm --dataset imagefolder --data photos.zip --imbalance 50 --size 32 --dry-run`

Exit codes: 0 all done, 1 something failed, 2 a mistake in the command, 130 interrupted."""
)
def run(
    method: Methods,
    dataset: Annotated[list[str], typer.Option(metavar="NAME", help="Dataset. Repeatable.")],
    seeds: Seeds = "0",
    preset: PresetName = None,
    set_: Settings = None,
    omega: Omega = None,
    protocol: ProtocolNames = None,
    snapshots: Annotated[
        str | None,
        typer.Option(metavar="STEP,...", help="Score each training at these steps too, comma-separated."),
    ] = None,
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
    launcher: LauncherName = None,
    address: Address = None,
    gpus_per_run: GpusPerRun = None,
    cpus_per_run: CpusPerRun = None,
    max_parallel: MaxParallel = None,
    retry_failed: RetryFailed = False,
    again: Annotated[
        bool, typer.Option("--again", help="Make runs again from the start; keep nothing that was made of them.")
    ] = False,
    dry_run: DryRun = False,
    runs: RunsDir = RUNS,
    data_dir: DataDir = None,
) -> None:
    """Train, sample and score methods on datasets; show the scores.

    A run that was interrupted goes on when the same command is given again.
    """
    from ltgen_bench.cli.progress import console
    from ltgen_bench.planning.evaluations import asked_for, departures
    from ltgen_bench.planning.plan import Request, plan
    from ltgen_bench.runs.job import Execution

    out = console()
    request = Request(
        methods=method,
        datasets=dataset,
        seeds=whole_numbers("--seeds", seeds, "0,1,2"),
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
        snapshots=whole_numbers("--snapshots", snapshots, "60000,200000") if snapshots is not None else (),
    )
    jobs = plan(request, runs)
    for note in departures(jobs, listed(protocol)):
        out.print(note)
    launching = (launcher, address, gpus_per_run, cpus_per_run, max_parallel, device)
    code = carry_out(out, jobs, runs, launching, retry_failed=retry_failed, again=again, dry_run=dry_run)
    if code:
        raise typer.Exit(code)


def carry_out(
    out: Console, jobs: list[Job], runs: Path, options: Launching, *, retry_failed: bool, again: bool, dry_run: bool
) -> int:
    """Do what is left of planned jobs and show the scores, or only say what would be done; the exit code."""
    from ltgen_bench.planning.disk import check_writable, room_warning
    from ltgen_bench.runs.chains import chains, startable
    from ltgen_bench.storage.lock import Held

    pick_launcher(*options, len(chains(jobs)))  # refuses what is wrong
    if again and not dry_run:
        for run_folder in {job.run_folder: None for job in jobs}:
            with suppress(Held):  # it runs elsewhere, and is left alone
                run_folder.clear()
    todo = startable(jobs, retry_failed=retry_failed)
    done = [job for job in jobs if job.state == "done"]
    for fate in fates(jobs, todo, again=again):
        if dry_run or fate.news:
            out.print(f"{fate.job.title} ({fate.job.run.run_id}): {fate.words}")
    for warning in warnings(todo):
        out.print(warning)
    if dry_run:
        for job in {job.run.dataset: job for job in jobs}.values():
            print("\n".join(job.data.load(job.run.dataset.name).describe()))
        return 0
    if todo:
        check_writable(runs)
        if full := room_warning(todo, runs):
            out.print(full)
    for path in [job.run_folder.result(job.eval.eval_id) for job in todo]:
        if path.exists():
            out.print(f"{path} is damaged and will be made again")
    if len(done) == len(jobs):
        out.print("nothing to do: every run is done already")
    counts = do_jobs(out, todo, pick_launcher(*options, len(chains(todo))))
    finished = [(job, record) for job in jobs if (record := job.run_folder.record(job.eval.eval_id)) is not None]
    problems = show_results(out, finished, runs)
    unfinished = _sum_up(out, jobs)
    if not unfinished:
        for line in closing(jobs):
            out.print(line)
    if counts.get("unusable"):
        return 2
    return 1 if unfinished or problems else 0


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
