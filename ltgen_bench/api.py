"""What scripts and notebooks call: plan a grid and run it, score runs and images. Reached as `ltgen_bench.plan`.

What reads results is in `leaderboard.loading`, which needs no torch.

Errors are those of the command line: UsageError, in one sentence, for whatever the caller can mend.
"""

from __future__ import annotations

import inspect
import operator
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_type_hints

from typing_extensions import Unpack

from ltgen_bench.cli.progress import Terminal, console
from ltgen_bench.data.external import read
from ltgen_bench.data.images import Images
from ltgen_bench.device import pick_device
from ltgen_bench.errors import RunFailed, UsageError, unknown
from ltgen_bench.launch.launcher import Launcher, Resources, local
from ltgen_bench.planning.disk import check_writable
from ltgen_bench.planning.evaluations import Evaluation, asked_for
from ltgen_bench.planning.plan import Request
from ltgen_bench.planning.plan import plan as plan_request
from ltgen_bench.planning.plan import rescore as rescore_run
from ltgen_bench.runs.chains import startable
from ltgen_bench.runs.job import DataOptions, Execution, Job
from ltgen_bench.runs.record import Record
from ltgen_bench.runs.run_folder import find_run
from ltgen_bench.scoring.extractors import extractor
from ltgen_bench.scoring.scorer import RealImages, Scoring
from ltgen_bench.spec.presets import PRESETS
from ltgen_bench.spec.serialise import typed
from ltgen_bench.spec.specs import RunSpec

if TYPE_CHECKING:
    from ltgen_bench.scoring.attribution import Scores

AnyPath = str | os.PathLike[str]


class Options(TypedDict, total=False):
    """What `plan` and `score` know besides, as the command line has it.

    imbalance: largest class / smallest class, None for the images as they come; size: pixels to reduce images to; data,
    reference: the images of `imagefolder`; data_name: gives them a page of their own; data_dir: of prepared datasets;
    against: the real images to score against, "balanced" (as many of each class; the default), "train" or "test";
    features: the extractor, by default the preset's; features_weights: its file; device: auto, cpu, cuda or cuda:N.
    """

    imbalance: float | None
    size: int
    data: AnyPath
    data_name: str
    reference: AnyPath
    against: str
    data_dir: AnyPath
    features: str
    features_weights: AnyPath
    device: str


class EvaluationOptions(Options, total=False):
    """What `plan` and `rescore` know besides.

    omega: strengths of guidance to sample and score each run at, by default the preset's. protocol: of papers to sample
    and score each run by, as `ltgen-bench list protocols` has them; other settings win.
    """

    omega: float | Iterable[float]
    protocol: str | Iterable[str]


class PlanOptions(EvaluationOptions, total=False):
    """What `plan` knows besides.

    snapshots: steps of each training to score besides its end, as runs of so many steps.
    """

    snapshots: Iterable[int]


def plan(
    methods: str | Iterable[str],
    datasets: str | Iterable[str],
    *,
    seeds: Iterable[int] = (0,),
    preset: str | None = None,
    settings: Mapping[str, object] | None = None,
    runs: AnyPath = "runs",
    track: str | Iterable[str] = (),
    **options: Unpack[PlanOptions],
) -> list[Job]:
    """The runs of a grid, methods x datasets x seeds, for `run`. Loads the datasets; trains and writes nothing.

    methods: names, combined ones as "cm+cbdm". preset: by default the dataset's own. settings: as after `--set`:
    {"train.steps": 1000, "net.channels": (32, 64)}. runs: folder of the run folders. track: names of experiment
    trackers, such as "tensorboard".
    """
    _refuse_unknown(options, PlanOptions, plan)
    request = Request(
        methods=_names(methods),
        datasets=_names(datasets),
        seeds=_whole("seeds", seeds),
        preset=preset,
        settings=_settings(settings),
        features=options.get("features"),
        data=_data(options),
        execution=replace(_execution(options), track=tuple(_names(track))),
        evaluations=_evaluations(options),
        snapshots=_whole("snapshots", options.get("snapshots", ())),
    )
    return plan_request(request, _path(runs))


def rescore(
    run: AnyPath,
    *,
    settings: Mapping[str, object] | None = None,
    runs: AnyPath = "runs",
    **options: Unpack[EvaluationOptions],
) -> list[Job]:
    """The jobs that score a trained run with other sampling or features, for `run`; nothing is trained again.

    run: the start of its id, or its folder. settings: of sampling, {"sample.steps": 250}. What is not named stays as in
    its first score.
    """
    _refuse_unknown(options, EvaluationOptions, rescore)
    for name in ("imbalance", "size", "data_name"):
        if name in options:
            raise UsageError(f"rescore(..., {name}=...): a run has its own, leave it out")
    run_folder = find_run(_path(runs), os.fspath(run))
    if not isinstance(run_folder.spec, RunSpec):
        raise UsageError(f"{run}: images made elsewhere are scored as they are; use score(images, dataset)")
    how = (_data(options), _execution(options), _evaluations(options))
    return rescore_run(run_folder, _settings(settings), options.get("features"), *how)


def run(
    jobs: Iterable[Job],
    *,
    launcher: Literal["local", "ray"] | Launcher = "local",
    retry_failed: bool = False,
    quiet: bool = False,
) -> list[Record]:
    """Train, sample and score what is not done yet; the records of all jobs, in their order.

    What was interrupted goes on where it was. launcher: "local" does one run after another; "ray" as many at once as
    there are GPUs, or cores without them, on this machine or the cluster named by RAY_ADDRESS. retry_failed: try again
    what failed before. quiet: show no progress. Raises RunFailed, after the others are done, when a run has no result.
    """
    jobs = list(jobs)
    if wrong := [job for job in jobs if not isinstance(job, Job)]:
        raise UsageError(f"run takes the jobs that plan gives, not {wrong[0]!r}")
    todo = startable(jobs, retry_failed=retry_failed)
    for folder in {job.run_folder.runs for job in todo}:
        check_writable(folder)
    if todo:
        with _launcher(launcher, todo) as launch, Terminal(console(quiet=quiet), todo) as show:
            launch(todo, show)
    records = [job.run_folder.record(job.eval.eval_id) for job in jobs]
    if left := [job for job, record in zip(jobs, records, strict=True) if record is None]:
        which = "; ".join(f"{job.title} {job.state}, see {job.folder}" for job in left)
        raise RunFailed(f"{len(left)} of {len(jobs)} runs have no result: {which}")
    return [record for record in records if record is not None]


def score(
    images: Images | AnyPath, dataset: str, *, cache: AnyPath | None = None, **options: Unpack[Options]
) -> Scores:
    """Every figure of images, from any trainer, against a dataset: {metric: {"overall" or group: {"value": ...}}}.

    images: as many of each class; or an npz, folder or zip of them, as `ltgen-bench score --samples` reads it.
    features: by default those of the dataset's preset. cache: folder to keep features in. Nothing else is written.
    """
    from ltgen_bench import registry

    _refuse_unknown(options, Options, score)
    if not isinstance(images, Images | str | os.PathLike):
        raise UsageError(
            f"images: give Images(pixels, labels) or the path of a file or folder, not {type(images).__name__}"
        )
    kind, data_name = registry.dataset(dataset, f"score(..., {dataset!r})")
    data = _data(options).named(data_name).open(kind).load()
    real = RealImages.of(data, options.get("against") or "balanced")
    given = images if isinstance(images, Images) else read(_path(images), data)
    name = options.get("features") or PRESETS[kind.preset].features
    execution = _execution(options)
    network = extractor(name, execution.weights, pick_device(execution.device), _data(options).folder)
    folder = _path(cache) if cache is not None else None
    return Scoring(given, real, network, cache=folder).scores()


def _launcher(launcher: Literal["local", "ray"] | Launcher, jobs: list[Job]) -> AbstractContextManager[Launcher]:
    if callable(launcher):
        return nullcontext(launcher)
    gpus = float(any(pick_device(job.execution.device).type == "cuda" for job in jobs))
    if launcher == "local":
        return nullcontext(local(Resources(gpus)))
    if launcher == "ray":
        from ltgen_bench.launch.ray_cluster import Cluster

        return Cluster(Resources(gpus, 2 if gpus else 1), os.environ.get("RAY_ADDRESS") or None, named="RAY_ADDRESS")
    raise UsageError(f"launcher {launcher!r}: give 'local', 'ray' or a function")


def _refuse_unknown(options: Mapping[str, object], kind: type, function: Callable[..., object]) -> None:
    """Raises UsageError, with the near miss, for an option that would say nothing."""
    known = {*get_type_hints(kind), *inspect.signature(function).parameters} - {"options"}
    for name in options.keys() - known:
        raise unknown("option", name, known, f"{function.__name__}(...)")


def _settings(settings: Mapping[str, object] | None) -> list[str]:
    """As they are typed after --set."""
    return [f"{name}={typed(value)}" for name, value in (settings or {}).items()]


def _evaluations(options: EvaluationOptions) -> tuple[Evaluation, ...]:
    omega = options.get("omega", ())
    omegas = map(typed, omega if isinstance(omega, Iterable) and not isinstance(omega, str) else [omega])
    return asked_for(omegas, _names(options.get("protocol", ())))


def _whole(name: str, numbers: Iterable[int]) -> list[int]:
    try:
        return [operator.index(number) for number in numbers]  # also NumPy's
    except TypeError:
        raise UsageError(f"{name}={numbers!r}: give a list of whole numbers, such as [0, 1, 2]") from None


def _names(names: str | Iterable[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _path(path: AnyPath) -> Path:
    """Absolute, because workers may run elsewhere."""
    return Path(path).expanduser().absolute()


def _data(options: Mapping[str, Any]) -> DataOptions:
    paths = {name: str(_path(options[name])) for name in ("data", "reference", "data_dir") if options.get(name)}
    name = options.get("data_name")
    return DataOptions(
        options.get("imbalance", "default"),
        options.get("size"),
        None,
        **paths,
        data_name=name,
        against=options.get("against"),
    )


def _execution(options: Mapping[str, Any]) -> Execution:
    weights = options.get("features_weights")
    return Execution(options.get("device", "auto"), str(_path(weights)) if weights else None)
