"""The command line: parse, call, print. Torch is imported by the commands that need it, not by --help or list."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from ltgen_bench import __version__
from ltgen_bench.errors import RunFailed, UsageError, unknown

if TYPE_CHECKING:
    from rich.console import Console

    from ltgen_bench.launch.launcher import Launcher
    from ltgen_bench.runs.job import DataOptions, ExternalJob, Job
    from ltgen_bench.runs.record import Record

app = typer.Typer(
    name="ltgen-bench",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="The benchmark suite for class-conditional diffusion models on long-tailed data.",
    epilog="Start with: `ltgen-bench run --method cm+cbdm --dataset digitslt`",
)

# Optional[X], not X | None: typer evaluates these on Python 3.10 too.
# ruff: noqa: UP045
RunsDir = Annotated[Path, typer.Option("--runs", help="Folder of the runs.", envvar="LTGEN_RUNS")]
DataDir = Annotated[
    Optional[Path],
    typer.Option("--data-dir", help="Folder of the prepared datasets.", envvar="LTGEN_DATA"),
]
Data = Annotated[Optional[Path], typer.Option(help="Folder or zip of class folders (imagefolder).")]
Reference = Annotated[
    Optional[Path], typer.Option(help="Folder or zip of class folders to score against (imagefolder).")
]
Size = Annotated[Optional[int], typer.Option(metavar="PIXELS", help="Reduce images to this size.")]
Features = Annotated[
    Optional[str],
    typer.Option(
        metavar="NAME", help="Feature extractor of the scores: inception, efflite0@96; default: the preset's."
    ),
]
FeaturesWeights = Annotated[Optional[Path], typer.Option(help="File of the extractor's weights.")]
Imbalance = Annotated[
    Optional[str],
    typer.Option(metavar="RATIO", help="Largest class / smallest class; none: images as they come."),
]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda or cuda:N.")]
Boards = Annotated[Path, typer.Option("--folder", help="Folder of the leaderboards.")]
SHOWN = 3
"""Runs whose scores `run` prints one by one; of more, the leaderboard is easier to read."""
RUNS, BOARDS = Path("runs"), Path("leaderboards")

OMEGA_HELP = "Guidance is eps_c + omega (eps_c - eps_u), as in the papers: the usual scale minus 1."


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(__version__)
        raise typer.Exit


@app.command(
    epilog="""Examples:

`ltgen-bench run --method cm+cbdm --dataset digitslt`

`ltgen-bench run --method ddpm --method cm --dataset cifar10lt --preset mini --seeds 0,1,2`

`ltgen-bench run --method cm --dataset digitslt --set cm.w_div=1 --set train.steps=2000 --set sample.omega=0.8`

`ltgen-bench run --method cm --dataset imagefolder --data photos.zip --imbalance 50 --size 32 --dry-run`"""
)
def run(
    method: Annotated[
        list[str], typer.Option(metavar="NAME", help="Method, or several combined: cm+cbdm. Repeatable.")
    ],
    dataset: Annotated[list[str], typer.Option(metavar="NAME", help="Dataset. Repeatable.")],
    seeds: Annotated[str, typer.Option(metavar="N,...", help="Seeds, comma-separated.")] = "0",
    preset: Annotated[
        Optional[str],
        typer.Option(metavar="NAME", help="Size of the job; default: the dataset's own."),
    ] = None,
    set_: Annotated[
        Optional[list[str]],
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help=f"Change a value: train.steps=1000, cm.w_div=1. Repeatable. {OMEGA_HELP}",
        ),
    ] = None,
    imbalance: Annotated[
        Optional[str],
        typer.Option(metavar="RATIO", help="Largest class / smallest class; none: images as they come."),
    ] = None,
    size: Size = None,
    data: Data = None,
    reference: Reference = None,
    features: Features = None,
    features_weights: FeaturesWeights = None,
    device: Device = "auto",
    compile_: Annotated[bool, typer.Option("--compile", help="Train through torch.compile.")] = False,
    checkpoint_every: Annotated[
        Optional[float],
        typer.Option(metavar="SECONDS", help="Between checkpoints; default: 30, or so that they take 1 % of the time."),
    ] = None,
    launcher: Annotated[
        Optional[str],
        typer.Option(metavar="NAME", help="ray or local; default: ray for more than one run, or with --address."),
    ] = None,
    address: Annotated[
        Optional[str],
        typer.Option(metavar="ADDRESS", help="Ray cluster to use; default: one here.", envvar="RAY_ADDRESS"),
    ] = None,
    gpus_per_run: Annotated[
        Optional[float],
        typer.Option(metavar="N", help="A fraction, or a whole number that shares the training; default: 1 if any."),
    ] = None,
    cpus_per_run: Annotated[
        Optional[float],
        typer.Option(metavar="N", help="Cores and threads; default: 1, or 2 beside a GPU; all for a single run."),
    ] = None,
    max_parallel: Annotated[Optional[int], typer.Option(metavar="N", min=1, help="Runs at once, at most.")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try failed runs again.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    runs: RunsDir = RUNS,
    data_dir: DataDir = None,
) -> None:
    """Train, sample and score methods on datasets; show the scores.

    A run that was interrupted goes on when the same command is given again.
    """
    from ltgen_bench.cli.progress import console
    from ltgen_bench.planning.plan import Request, plan
    from ltgen_bench.runs.job import Execution

    out = console()
    request = Request(
        methods=method,
        datasets=dataset,
        seeds=_seeds(seeds),
        preset=preset,
        settings=set_ or (),
        on_gpu=gpus_per_run > 0 if gpus_per_run is not None else None,
        features=features,
        data=_data_options(imbalance, size, data, reference, data_dir),
        execution=Execution(
            device=device,
            features_weights=str(features_weights) if features_weights else None,
            checkpoint_seconds=checkpoint_every,
            compile=compile_,
        ),
    )
    jobs = plan(request, runs)
    states = [job.state for job in jobs]
    startable = {"waiting", "stopped", "failed"} if retry_failed else {"waiting", "stopped"}
    todo = [job for job, state in zip(jobs, states, strict=True) if state in startable]
    for job, state in zip(jobs, states, strict=True):
        if dry_run or (job not in todo and state != "done"):
            out.print(f"{job.title} ({job.run.run_id}): {_fate(job, state, retry_failed)}")
    _announce(out, todo)
    if dry_run:
        return
    for path in [job.place.result(job.eval.eval_id) for job in todo]:
        if path.exists():
            out.print(f"{path} is damaged and will be made again")
    if not todo and set(states) == {"done"}:
        out.print("nothing to do: every run is done already")
    counts = _work(out, todo, _launcher(launcher, address, gpus_per_run, cpus_per_run, max_parallel, device, len(todo)))
    finished = [(job, record) for job in jobs if (record := job.place.record(job.eval.eval_id)) is not None]
    problems = _show_results(out, finished, runs)
    unfinished = _sum_up(out, jobs)
    if counts.get("unusable"):
        raise typer.Exit(2)
    if unfinished or problems:
        raise typer.Exit(1)


@app.command(
    "list",
    epilog="Examples:\n\n`ltgen-bench list methods`\n\n`ltgen-bench list presets`\n\n`ltgen-bench list runs`",
)
def list_(
    what: Annotated[str, typer.Argument(help="methods, datasets, presets or runs; default: all but runs.")] = "all",
    runs: RunsDir = RUNS,
) -> None:
    """List methods, datasets, presets or runs."""
    from ltgen_bench.cli.show import list_plugins, list_presets, list_runs

    tables = {"methods": list_plugins, "datasets": list_plugins, "presets": list_presets, "runs": list_runs}
    if what not in (*tables, "all"):
        raise unknown("kind", what, tables, "list")
    for name in ("methods", "datasets", "presets") if what == "all" else (what,):
        print(name)
        tables[name](name, runs)


@app.command(epilog="Examples:\n\n`ltgen-bench show method cm`\n\n`ltgen-bench show run 3f2a`")
def show(
    kind: Annotated[str, typer.Argument(help="method, dataset, preset or run.")],
    name: Annotated[str, typer.Argument(help="Its name; of a run, the start of its id or its folder.")],
    runs: RunsDir = RUNS,
) -> None:
    """Show all about a method, dataset, preset or run."""
    from ltgen_bench.cli.show import show_dataset, show_method, show_preset, show_run

    kinds = {"method": show_method, "dataset": show_dataset, "preset": show_preset, "run": show_run}
    if kind not in kinds:
        raise unknown("kind", kind, kinds, "show")
    kinds[kind](name, runs)


@app.command(epilog="Examples:\n\n`ltgen-bench status`\n\n`ltgen-bench status --runs /scratch/runs`")
def status(runs: RunsDir = RUNS) -> None:
    """Show the state of every run, also from another terminal while runs are going on."""
    from ltgen_bench.cli.show import list_runs

    list_runs("runs", runs)


@app.command(
    epilog="""Examples:

`ltgen-bench prepare cifar100lt`

`ltgen-bench prepare cifar10lt --from cifar-10-python.tar.gz`

`ltgen-bench prepare fashionmnistlt --from FashionMNIST/raw`"""
)
def prepare(
    name: Annotated[str, typer.Argument(help="Dataset.")],
    source: Annotated[
        Optional[Path],
        typer.Option("--from", help="File or folder to import; default: download."),
    ] = None,
    data: Data = None,
    size: Size = None,
    data_dir: DataDir = None,
) -> None:
    """Fetch or import a dataset, once. Runs never download."""
    from ltgen_bench import registry

    kind = registry.datasets().load(name, f"prepare {name}")
    print(kind(data=data, size=size, data_dir=data_dir).prepare(source))


@app.command(
    epilog="""Examples:

`ltgen-bench score 3f2a --features inception`

`ltgen-bench score 3f2a --set sample.omega=0.8 --set sample.images=10000`

`ltgen-bench score --samples mine.npz --dataset cifar10lt --name "my method"`"""
)
def score(
    run_: Annotated[
        Optional[str],
        typer.Argument(metavar="[RUN]", help="A trained run: the start of its id, or its folder.", show_default=False),
    ] = None,
    samples: Annotated[
        Optional[Path],
        typer.Option(
            help="Images made elsewhere, as many of each class: an npz with uint8 images (n, h, w, c) or (n, c, h, w) "
            "and integer labels, or a folder or zip of class folders."
        ),
    ] = None,
    dataset: Annotated[
        Optional[str], typer.Option(metavar="NAME", help="Dataset to compare them with, for --samples.")
    ] = None,
    name: Annotated[
        Optional[str],
        typer.Option(metavar="NAME", help="What tables call them, for --samples; default: the file's name."),
    ] = None,
    features: Features = None,
    features_weights: FeaturesWeights = None,
    set_: Annotated[
        Optional[list[str]],
        typer.Option(
            "--set", metavar="KEY=VALUE", help=f"Change how it is sampled: sample.omega=0.8. Repeatable. {OMEGA_HELP}"
        ),
    ] = None,
    imbalance: Imbalance = None,
    size: Size = None,
    data: Data = None,
    reference: Reference = None,
    device: Device = "auto",
    runs: RunsDir = RUNS,
    data_dir: DataDir = None,
) -> None:
    """Score a trained run again, with other features or sampling; or images from any other trainer.

    A run is not trained again; what is not named stays as in its first score.
    """
    from ltgen_bench.cli.progress import console
    from ltgen_bench.launch.launcher import Resources, local
    from ltgen_bench.planning.external_images import take, take_again
    from ltgen_bench.planning.plan import rescore
    from ltgen_bench.runs.job import Execution
    from ltgen_bench.runs.run_folder import find_run
    from ltgen_bench.spec.specs import SamplesSpec

    if (run_ is None) == (samples is None):
        raise UsageError("score takes either a RUN or --samples FILE, and not both")
    for option, value in {"dataset": dataset, "name": name, "imbalance": imbalance, "size": size}.items():
        if samples is None and value is not None:
            raise UsageError(f"--{option} goes with --samples: a run has its own, leave it out")
    out = console()
    options = _data_options(imbalance, size, data, reference, data_dir)
    execution = Execution(device, str(features_weights) if features_weights else None)
    if samples is not None:
        if dataset is None:
            raise UsageError("--samples needs --dataset NAME, what to compare the images with")
        return _score_given(out, take(samples, name, dataset, features, options, execution, runs), set_, runs)
    place = find_run(runs, run_ or "")
    if isinstance(spec := place.spec, SamplesSpec):
        return _score_given(out, take_again(place, spec, features, options, execution), set_, runs)
    job = rescore(place, set_ or (), features, options, execution)
    counts = _work(out, [job] if job.state != "done" else [], nullcontext(local(Resources())))
    if (record := job.place.record(job.eval.eval_id)) is None:
        raise typer.Exit(2 if counts.get("unusable") else 1)
    _show_results(out, [(job, record)], runs)


@app.command(epilog="Example:\n\n`ltgen-bench export 3f2a my-model`")
def export(
    name: Annotated[str, typer.Argument(metavar="RUN", help="A trained run: the start of its id, or its folder.")],
    folder: Annotated[Path, typer.Argument(help="Folder to write; must not exist.")],
    runs: RunsDir = RUNS,
) -> None:
    """Write a trained network as a folder that plain diffusers loads: UNet2DModel.from_pretrained(FOLDER)."""
    import shutil

    from ltgen_bench.runs.run_folder import find_run

    found = find_run(runs, name)
    if not found.model.exists():
        raise UsageError(f"{found.path.name} has no trained network")
    if folder.exists():
        raise UsageError(f"{folder} exists already; name a new folder")
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of an export that was interrupted
    shutil.copytree(found.model, part)
    part.replace(folder)
    print(f"wrote {folder}: diffusers.UNet2DModel.from_pretrained({str(folder)!r})")


@app.command(epilog="Example:\n\n`ltgen-bench publish 3f2a 90c1 && ltgen-bench leaderboard`")
def publish(
    names: Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs: the start of their ids, or folders.")],
    runs: RunsDir = RUNS,
    folder: Boards = BOARDS,
) -> None:
    """Copy the results of runs to the leaderboards' records."""
    from ltgen_bench.runs.run_folder import find_run

    found: list[Record] = []
    for place in [find_run(runs, name) for name in names]:
        records, problems = place.results()
        if problems:
            raise UsageError(f"nothing published: {problems[0]}")
        if not records:
            raise UsageError(f"run {place.path.name} has no result yet")
        found += records
    for record in found:
        run = record.run
        target = folder / "results" / run.dataset.name / run.method / f"{record.run_id}-{record.eval_id}.json"
        if target.exists():
            print(f"{target} exists already; left as it is")
            continue
        record.write(target)
        print(f"wrote {target}")


@app.command(
    epilog="""Examples:

`ltgen-bench leaderboard`

`ltgen-bench leaderboard --check`

`ltgen-bench leaderboard --csv all.csv`"""
)
def leaderboard(
    check: Annotated[bool, typer.Option("--check", help="Write no page; exit 1 when one is out of date.")] = False,
    csv: Annotated[
        Optional[Path],
        typer.Option(metavar="FILE", help="Also write every figure: a row per result, metric and group."),
    ] = None,
    folder: Boards = BOARDS,
) -> None:
    """Rebuild the leaderboard pages from their records."""
    from ltgen_bench.cli.show import complain
    from ltgen_bench.leaderboard.pages import build, figures
    from ltgen_bench.runs.record import read_records

    records, problems = read_records(folder / "results", "**/*.json")
    if not records:
        print(f"no results in {folder / 'results'}")
    outdated = False
    for dataset, text in build(records).items():
        path = folder / f"{dataset}.md"
        same = path.exists() and path.read_bytes() == text.encode()
        outdated |= not same
        if check:
            print(f"{path} {'is up to date' if same else 'is not what the records give; run ltgen-bench leaderboard'}")
        elif not same:
            _write(path, text)
            print(f"wrote {path}")
    if csv is not None:
        _write(csv, figures(records).to_csv(index=False))
        print(f"wrote {csv}")
    complain(problems)
    if problems or (check and outdated):
        raise typer.Exit(1)


@app.command("check", epilog="Example:\n\n`ltgen-bench check method mymethod`")
def check_(
    kind: Annotated[str, typer.Argument(help="method.")],
    name: Annotated[str, typer.Argument(help="Its name; several combined: cm+mymethod.")],
) -> None:
    """Put a method, also one of your own, through the contract that every method keeps."""
    if kind != "method":
        raise unknown("kind", kind, ["method"], "check")
    from ltgen_bench.training.method_contract import check_method

    failed = False
    for claim, problem in check_method(name):
        print(f"{'ok    ' if problem is None else 'FAILED'} {claim}{f': {problem}' if problem else ''}")
        failed |= problem is not None
    if failed:
        raise typer.Exit(1)


@app.command(epilog="Example:\n\n`ltgen-bench doctor`")
def doctor(data_dir: DataDir = None) -> None:
    """Show what this installation can do: versions, device, prepared datasets, feature weights."""
    from ltgen_bench.cli.doctor import findings

    for name, finding in findings(data_dir):
        print(f"{name:<22}  {finding}", flush=True)


def main() -> None:
    """The entry point: one clear sentence and exit code 2 for anything the user can mend."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # ± and arrows, where the locale has none
    try:
        code = app(prog_name="ltgen-bench", standalone_mode=False)
    except (UsageError, RunFailed) as error:
        sys.exit(_fail(str(error), 2 if isinstance(error, UsageError) else 1))
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except BrokenPipeError:
        # Nobody reads on; Python's own flush at exit must not complain about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        sys.exit(_fail(str(error), 1))
    except Exception as error:
        # Typer carries its own copy of click; its usage errors know how to say themselves.
        if not hasattr(error, "format_message"):
            raise
        message = error.format_message()  # empty when it was to show the help, which is done
        sys.exit(_fail(message, 2) if message else 2)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code


def _seeds(text: str) -> list[int]:
    try:
        return [int(s) for s in text.split(",")]
    except ValueError:
        raise UsageError(f"--seeds {text}: write whole numbers with commas, for example 0,1,2") from None


def _data_options(
    imbalance: str | None, size: int | None, data: Path | None, reference: Path | None, data_dir: Path | None
) -> DataOptions:
    from ltgen_bench.runs.job import DataOptions

    ratio: float | str | None = "default"
    if imbalance == "none":
        ratio = None
    elif imbalance is not None:
        try:
            ratio = float(imbalance)
        except ValueError:
            raise UsageError(f"--imbalance {imbalance}: give a number, for example 100, or none") from None
    # Absolute, because workers may run elsewhere.
    paths = [str(p.expanduser().absolute()) if p else None for p in (data, reference, data_dir)]
    return DataOptions(ratio, size, None, *paths)


def _announce(out: Console, todo: list[Job]) -> None:
    from ltgen_bench.cli.progress import duration
    from ltgen_bench.planning.training_time import training_seconds

    for job in {j.run.config_id: j for j in todo}.values():
        train = job.run.train
        if (untrained := train.ema**train.steps) > 0.01:
            out.print(
                f"{job.title}: with train.ema={train.ema:g}, {untrained:.0%} of the averaged weights are still the "
                f"untrained ones after {train.steps:,} steps; images will suffer"
            )
        seconds = training_seconds(job)
        if seconds > 3600:
            out.print(
                f"{job.title}: preset {job.run.preset} is large for this device: about {duration(seconds)} of training "
                "a run, more for methods with several passes. Ctrl-C stops it; smaller: --preset mini or smoke"
            )


def _fate(job: Job, state: str, retry_failed: bool) -> str:
    """What becomes of a job in this state."""
    run, scored = job.run, job.eval
    work = (
        f"{run.train.steps:,} steps x {run.train.batch}, {scored.sample.images:,} images, features {scored.features} "
        f"(preset {run.preset})"
    )
    if state == "running":
        return f"running elsewhere ({job.place.owner()})"
    if state == "failed" and not retry_failed:
        return f"failed before: {job.place.why_failed()}; try again with --retry-failed"
    return {"done": "done already", "stopped": f"goes on with {work}"}.get(state, f"starts {work}")


def _sum_up(out: Console, jobs: list[Job]) -> int:
    """Say how many runs are done, what became of the others and what to do about it; how many are not done."""
    left = [(job, state) for job in jobs if (state := job.state) != "done"]
    if len(jobs) > 1 or left:
        out.print(f"{len(jobs) - len(left)} done, {len(left)} not")
    if len(jobs) > 1:
        for job, state in left:
            failed = state == "failed"
            out.print(f"  {job.title}: {state}{f', see {job.place.log}' if failed else ''}")
        if any(state == "failed" for _, state in left):
            out.print("the same command tries the failed ones again with --retry-failed")
        if any(state != "failed" for _, state in left):
            out.print("the same command goes on with what is not done")
    return len(left)


def _launcher(
    name: str | None,
    address: str | None,
    gpus: float | None,
    cpus: float | None,
    max_parallel: int | None,
    device: str,
    jobs: int,
) -> AbstractContextManager[Launcher]:
    """What does the jobs, as the options say; see their help for the defaults."""
    from ltgen_bench.device import pick_device
    from ltgen_bench.launch.launcher import Resources, local

    if name not in (None, "ray", "local"):
        raise unknown("launcher", name, ["ray", "local"], "--launcher")
    if gpus is None:
        gpus = float(pick_device(device).type == "cuda")
    if name == "local" or not jobs or (name is None and jobs == 1 and address is None):
        if name == "local" and max_parallel not in (None, 1):
            raise UsageError("--launcher local does one run after another; use --launcher ray for --max-parallel")
        return nullcontext(local(Resources(gpus, cpus)))
    from ltgen_bench.launch.ray_cluster import Cluster

    return Cluster(Resources(gpus, cpus or (2 if gpus else 1)), address, max_parallel)


def _work(out: Console, jobs: list[Job], launcher: AbstractContextManager[Launcher]) -> dict[str, int]:
    """Do the jobs; the count of each outcome. Ctrl-C and SIGTERM let the workers write checkpoints, then exit."""
    from ltgen_bench.cli.progress import Terminal

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with launcher as launch, Terminal(out, len(jobs)) as show:
            return launch(jobs, show)
    except KeyboardInterrupt:
        out.print("stopped; run the same command to go on")
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _score_given(out: Console, given: ExternalJob, settings: list[str] | None, runs: Path) -> None:
    """Score images made elsewhere, in this process: there is nothing to resume or to share out."""
    from rich.progress import Progress

    from ltgen_bench.launch.score_stage import score_external

    if settings:
        raise UsageError(f"--set {settings[0]}: images made elsewhere are scored as they are, leave it out")
    with Progress(console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task("features", total=None)
        record = score_external(given, lambda done, total: bar.update(task, completed=done, total=total))
    _show_results(out, [(given, record)], runs)


def _show_results(out: Console, finished: Sequence[tuple[Job | ExternalJob, Record]], runs: Path) -> list[str]:
    """Print the scores of what is done and rebuild the pages of this runs folder; problems with its files."""
    from ltgen_bench.cli.show import complain
    from ltgen_bench.leaderboard.pages import build, score_text
    from ltgen_bench.runs.record import read_records

    for work, record in finished if len(finished) <= SHOWN else ():
        out.print(f"\n{score_text(record)}\nsamples: {work.place.picture(record.eval)}")
    records, problems = read_records(runs, "*/*/*/result-*.json")
    pages = build(records)
    for dataset in dict.fromkeys(record.run.dataset.name for _, record in finished):
        path = runs / f"{dataset}.md"
        _write(path, pages[dataset])
        out.print(f"\nleaderboard: {path}")
    complain(problems)
    return problems


def _write(path: Path, text: str) -> None:
    from ltgen_bench.storage.atomic_files import replacing

    with replacing(path) as file:
        file.write(text.encode())
