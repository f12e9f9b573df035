"""From images to their record in a run folder, with a picture of the best and worst of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone

import torch

from ltgen_bench.data.image_grid import save_extremes, save_grid
from ltgen_bench.data.images import Images
from ltgen_bench.data.long_tail import LongTail
from ltgen_bench.device import describe_device, pick_device
from ltgen_bench.diffusion import model_folder
from ltgen_bench.errors import UsageError
from ltgen_bench.runs.job import DataOptions, Execution, ExternalJob
from ltgen_bench.runs.record import Record, provenance
from ltgen_bench.runs.run_folder import RunFolder
from ltgen_bench.scoring.extractors import Progress, extractor
from ltgen_bench.scoring.metric_table import plugin_metrics
from ltgen_bench.scoring.scorer import RealImages, Scoring
from ltgen_bench.spec.specs import ExternalSpec, MetricSpec, RunSpec, ScoreSpec
from ltgen_bench.storage import lock
from ltgen_bench.training.stack import build_stack


def evaluate(
    run_folder: RunFolder,
    source: RunSpec | ExternalSpec,
    score_spec: ScoreSpec,
    images: Images,
    data: LongTail,
    options: DataOptions,
    execution: Execution,
    progress: Progress,
    device: torch.device | None = None,
) -> Record:
    """Score the images of a source against a dataset; the record and the picture are left in the run folder.

    Features are kept beside the runs, in RUNS/features, where every run of the dataset finds those of the reference.
    progress: called with (images done, all). device: by default the one of `execution`. Raises UsageError when the
    extractor's weights or the metrics from outside the package are not the ones that were planned with.
    """
    device = device or pick_device(execution.device)
    features = extractor(score_spec.features, execution.weights, device, options.folder)
    if features.sha256 != score_spec.features_sha256:
        raise UsageError(f"the weights of {features.id} have changed since this was planned; plan it again")
    if (metrics := plugin_metrics()) != score_spec.metrics:
        raise UsageError(
            f"the metrics from outside the package, {_names(metrics)}, are not those this was planned with, "
            f"{_names(score_spec.metrics)}; plan it again"
        )
    cache = run_folder.path.parents[2] / "features"
    scoring = Scoring(images, RealImages.of(data), features, cache=cache, seed=source.seed, progress=progress)
    scores, pulls = scoring.scores(), scoring.attribution()
    for classes in pulls.scores.values():
        for c, figures in classes.items():
            figures["class"] = data.class_names[int(c)]
    save_extremes(images, pulls.within_group, data, run_folder.extremes(score_spec.eval_id))
    methods = build_stack(source.methods).methods if isinstance(source, RunSpec) else ()
    record = Record(
        run=source,
        eval=score_spec,
        scores=scores | pulls.scores,
        training=model_folder.training_summary(run_folder.model) if isinstance(source, RunSpec) else {},
        provenance=provenance(describe_device(device)) | {"compiled": execution.compile, "finished": _now()},
        deviations={m.name: m.deviations for m in methods if m.deviations},
    )
    record.write(run_folder.result(score_spec.eval_id))
    return Record.read(run_folder.result(score_spec.eval_id))  # rounded, as everybody who comes later has it


def score_external(job: ExternalJob, progress: Progress) -> Record:
    """The record of images made elsewhere, made now or before. Raises UsageError when somebody else is at it."""
    run_folder = job.run_folder
    if (done := run_folder.record(job.eval.eval_id)) is not None:
        return done
    try:
        with lock.hold(run_folder.lock):
            run_folder.create(job.spec)
            if not run_folder.given.exists():
                title = f"{job.spec.dataset.name} {job.spec.name}, {len(job.images)} images made elsewhere"
                save_grid(job.images, job.data, run_folder.picture(job.eval), title=title)
                job.images.save(run_folder.given)
            return evaluate(run_folder, job.spec, job.eval, job.images, job.data, job.options, job.execution, progress)
    except lock.Held as held:
        raise UsageError(f"{held} is scoring these images; wait for it") from None


def _names(metrics: Iterable[MetricSpec]) -> str:
    return ", ".join(f"{m.name} (version {m.version})" for m in metrics) or "none"


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
