"""From images to their record in a run folder, with a picture of the best and worst of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from ltgen_bench.data.image_grid import save_extremes, save_grid
from ltgen_bench.data.images import Images
from ltgen_bench.data.long_tail import LongTail
from ltgen_bench.device import describe_device, pick_device
from ltgen_bench.diffusion import model_folder
from ltgen_bench.errors import UsageError
from ltgen_bench.runs.job import ExternalJob, Job
from ltgen_bench.runs.record import Record, provenance
from ltgen_bench.scoring.extractors import Progress, extractor
from ltgen_bench.scoring.metric_table import plugin_metrics
from ltgen_bench.scoring.scorer import RealImages, Scoring
from ltgen_bench.scoring.scoring_code import scoring_code
from ltgen_bench.spec.specs import EvalSpec, MetricSpec
from ltgen_bench.storage import lock
from ltgen_bench.training.stack import build_stack


def evaluate(
    job: Job | ExternalJob,
    images: Images,
    data: LongTail,
    progress: Progress,
    say: Callable[[str], None],
    device: torch.device | None = None,
) -> Record:
    """Score the images of a job against its dataset; the record and the picture are left in the run folder.

    Features are kept beside the runs, in RUNS/features, where every run of the dataset finds those of the reference.
    progress: called with (images done, all). device: by default the one of the job's execution. Raises UsageError when
    the extractor's weights or the metrics from outside the package are not the ones that were planned with.
    """
    run_folder, source, score_spec, execution = job.run_folder, job.run, job.eval, job.execution
    device = device or pick_device(execution.device)
    features = extractor(score_spec.features, execution.weights, device, job.data.folder)
    if features.sha256 != score_spec.features_sha256:
        raise UsageError(f"the weights of {features.id} have changed since this was planned; plan it again")
    if (metrics := plugin_metrics()) != score_spec.metrics:
        raise UsageError(
            f"the metrics from outside the package, {_names(metrics)}, are not those this was planned with, "
            f"{_names(score_spec.metrics)}; plan it again"
        )
    code = run_folder.code | scoring_code(score_spec.features)  # now: it may be edited while this goes on
    cache = run_folder.runs / "features"
    equal = not isinstance(score_spec, EvalSpec) or score_spec.sample.labels == "balanced"
    real = RealImages.of(data, score_spec.reference)
    scoring = Scoring(images, real, features, cache=cache, seed=source.seed, progress=progress, equal=equal)
    scores, pulls = scoring.scores(), scoring.attribution()
    for classes in pulls.scores.values():
        for c, figures in classes.items():
            figures["class"] = data.class_names[int(c)]
    extremes = run_folder.extremes(score_spec.eval_id)
    draw(extremes, say, lambda: save_extremes(images, pulls.within_group, data, extremes))
    methods = build_stack(source.methods).methods if source.methods else ()
    record = Record(
        run=source,
        eval=score_spec,
        scores=scores | pulls.scores,
        training=model_folder.training_summary(run_folder.model) if source.methods else {},
        provenance=provenance(describe_device(device)) | {"compiled": execution.compile, "code": code},
        deviations={m.name: m.deviations for m in methods if m.deviations},
    )
    record.write(run_folder.result(score_spec.eval_id))
    return Record.read(run_folder.result(score_spec.eval_id))  # rounded, as everybody who comes later has it


def draw(path: Path, say: Callable[[str], None], save: Callable[[], None]) -> None:
    """Save a picture. One that cannot be drawn, for whatever reason, costs a line of the log and nothing else."""
    try:
        save()
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        say(f"no picture {path.name}: {type(error).__name__}: {reason}")


def score_external(job: ExternalJob, progress: Progress, say: Callable[[str], None], *, again: bool = False) -> Record:
    """The record of images made elsewhere, made now or before; again: now. Raises UsageError when somebody else is at
    it."""
    run_folder = job.run_folder
    if not again and (done := run_folder.record(job.eval.eval_id)) is not None:
        return done
    try:
        with lock.hold(run_folder.lock):
            run_folder.create(job.run)
            if not run_folder.given.exists():
                title = f"{job.run.dataset.name} {job.run.name}, {len(job.images)} images made elsewhere"
                grid = run_folder.picture(job.eval)
                draw(grid, say, lambda: save_grid(job.images, job.loaded, grid, title=title))
                job.images.save(run_folder.given)
            return evaluate(job, job.images, job.loaded, progress, say)
    except lock.Held as held:
        raise UsageError(f"{held}, is scoring these images; wait for it") from None
    except lock.Lost as lost:
        raise UsageError(f"scoring these images was {lost}; ask again when it is done") from None


def _names(metrics: Iterable[MetricSpec]) -> str:
    return ", ".join(f"{m.name} (version {m.version})" for m in metrics) or "none"
