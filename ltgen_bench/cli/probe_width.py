"""`probe width`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
    PresetName,
    Reference,
    RetryFailed,
    RunsDir,
    Seeds,
    Settings,
    Size,
    data_options,
    whole_numbers,
)
from ltgen_bench.cli.paths import path_option
from ltgen_bench.cli.probe import probe

if TYPE_CHECKING:
    from rich.console import Console

    from ltgen_bench.planning.plan import Request
    from ltgen_bench.runs.job import Job


@probe.command(
    epilog="""Examples:

`ltgen-bench probe width --method ddpm --method cm --dataset fashionmnistlt --dry-run`

`ltgen-bench probe width --method ddpm --method cm --dataset fashionmnistlt --seeds 0,1,2`

`ltgen-bench probe width --method ddpm --method cm --dataset digitslt --widths 8,16,32`

Exit codes: 0 all done, 1 something failed, 2 a mistake in the command, 130 interrupted."""
)
def width(
    method: Methods,
    dataset: Annotated[str, typer.Option(metavar="NAME", help="Dataset.")],
    widths: Annotated[
        str | None,
        typer.Option(
            metavar="N,...",
            help="Channels of the first level, multiples of 4; the others in proportion. Default: four or five, from "
            "10,000 to 40,000 parameters up to about 1 million; --dry-run shows them.",
        ),
    ] = None,
    seeds: Seeds = "0",
    preset: PresetName = None,
    set_: Settings = None,
    imbalance: Imbalance = None,
    size: Size = None,
    data: Data = None,
    reference: Reference = None,
    against: Against = None,
    data_name: DataName = None,
    features: Features = None,
    features_weights: FeaturesWeights = None,
    device: Device = "auto",
    launcher: LauncherName = None,
    address: Address = None,
    gpus_per_run: GpusPerRun = None,
    cpus_per_run: CpusPerRun = None,
    max_parallel: MaxParallel = None,
    retry_failed: RetryFailed = False,
    dry_run: DryRun = False,
    page: Annotated[
        Path | None, path_option("--page", "Folder of the page; default: that of the runs.", holds="folder")
    ] = None,
    runs: RunsDir = RUNS,
    data_dir: DataDir = None,
) -> None:
    """Train methods in networks of several widths: does the gap between groups close, and where does a method help?

    The first method is what the others are compared with. All runs are ordinary ones, in the folder of the runs; an
    interrupted grid goes on when the same command is given again. --dry-run shows the networks and the time. Two
    methods at the default widths of preset mini take two to three hours of one idle core for each seed.
    """
    import shlex

    from ltgen_bench.cli.progress import console
    from ltgen_bench.cli.run import carry_out
    from ltgen_bench.planning.plan import Request
    from ltgen_bench.planning.widths import check_widths, plan_widths
    from ltgen_bench.runs.job import Execution

    out = console()
    request = Request(
        methods=method,
        datasets=[dataset],
        seeds=whole_numbers("--seeds", seeds, "0,1,2"),
        preset=preset,
        settings=set_ or (),
        on_gpu=gpus_per_run > 0 if gpus_per_run is not None else None,
        features=features,
        data=data_options(imbalance, size, data, reference, data_dir, data_name, against),
        execution=Execution(device=device, features_weights=str(features_weights) if features_weights else None),
    )
    chosen = check_widths(whole_numbers("--widths", widths, "8,16,32")) if widths is not None else None
    jobs = plan_widths(request, chosen, runs)
    launching = (launcher, address, gpus_per_run, cpus_per_run, max_parallel, device)
    if dry_run:
        for line in _outlook(jobs):
            out.print(line)
    code = carry_out(out, jobs, runs, launching, retry_failed=retry_failed, again=False, dry_run=dry_run)
    if not dry_run:
        _show(out, jobs, page or runs, shlex.join(_command(request, chosen)))
    if code:
        raise typer.Exit(code)


def _outlook(jobs: Sequence[Job]) -> Iterator[str]:
    """The networks, and what the grid costs."""
    from ltgen_bench.cli.progress import duration
    from ltgen_bench.planning.training_time import sampling_seconds, training_seconds
    from ltgen_bench.planning.widths import parameters

    total = 0.0
    for channels in dict.fromkeys(job.run.net.channels for job in jobs):
        its = [job for job in jobs if job.run.net.channels == channels]
        seconds = training_seconds(its[0]) + sampling_seconds(its[0])
        total += seconds * sum(job.state != "done" for job in its)
        shape = "-".join(map(str, channels))
        yield f"channels {shape}: {parameters(its[0].run):,} parameters, {len(its)} runs of about {duration(seconds)}"
    yield (
        f"about {duration(total)} for what is left, one after another and as busy as this machine is; methods with "
        "several passes a step take longer"
    )


def _show(out: Console, jobs: Sequence[Job], folder: Path, command: str) -> None:
    """What is known so far, in the terminal and as a page."""
    from ltgen_bench.planning.widths import grid_name, parameters
    from ltgen_bench.probes.width import Widths
    from ltgen_bench.probes.width_page import notes, table, write_page

    found = [job.run_folder.record(job.eval.eval_id) for job in jobs]
    records = [record for record in found if record is not None]
    if len({job.run.net.channels for job, record in zip(jobs, found, strict=True) if record is not None}) < 2:
        out.print("no two widths have results yet, so there is no page")
        return
    left = [f"{job.title}: {job.state}" for job, record in zip(jobs, found, strict=True) if record is None]
    widths = Widths.of(records, list(dict.fromkeys(job.run.label for job in jobs)), parameters)
    print("\n".join(["", table(widths), "", notes(widths), *widths.answers, ""]))
    for path in write_page(widths, folder, grid_name(jobs), command, left):
        print(path)


def _command(request: Request, widths: Sequence[int] | None) -> list[str]:
    """Without paths, which are of this machine."""
    words = ["ltgen-bench", "probe", "width"]
    for method in request.methods:
        words += ["--method", method]
    words += ["--dataset", request.datasets[0], "--seeds", ",".join(map(str, request.seeds))]
    if widths is not None:
        words += ["--widths", ",".join(map(str, widths))]
    if request.preset:
        words += ["--preset", request.preset]
    if request.data.imbalance != "default":
        words += ["--imbalance", "none" if request.data.imbalance is None else f"{request.data.imbalance:g}"]
    if request.data.against:
        words += ["--against", request.data.against]
    if request.features:
        words += ["--features", request.features]
    return words + [word for setting in request.settings for word in ("--set", setting)]
