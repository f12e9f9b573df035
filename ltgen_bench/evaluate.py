"""From images to their record in a run folder, with a picture of the best and worst of them."""

from __future__ import annotations

from datetime import datetime, timezone

import torch

from ltgen_bench import model
from ltgen_bench.dataset import LongTail
from ltgen_bench.device import describe_device, pick_device
from ltgen_bench.errors import UsageError
from ltgen_bench.features import Progress, extractor
from ltgen_bench.images import Images
from ltgen_bench.picture import save_extremes
from ltgen_bench.plan import DataOptions, Execution, build_stack
from ltgen_bench.record import Record, provenance
from ltgen_bench.scorer import Scoring
from ltgen_bench.spec import RunSpec, SamplesSpec, ScoreSpec
from ltgen_bench.store import RunFolder


def evaluate(
    place: RunFolder,
    source: RunSpec | SamplesSpec,
    how: ScoreSpec,
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
    extractor's weights are not the ones that were planned with.
    """
    device = device or pick_device(execution.device)
    features = extractor(how.features, execution.weights, device, options.folder)
    if features.sha256 != how.features_sha256:
        raise UsageError(f"the weights of {features.id} have changed since this was planned; plan it again")
    cache = place.path.parents[2] / "features"
    real, groups, seed = data.reference, data.groups, source.seed
    scoring = Scoring(
        images, real, groups, features, train=data.train, test=data.test, cache=cache, seed=seed, progress=progress
    )
    scores, pulls = scoring.scores(), scoring.attribution()
    for classes in pulls.scores.values():
        for c, figures in classes.items():
            figures["class"] = data.class_names[int(c)]
    save_extremes(images, pulls, data, place.extremes(how.eval_id))
    methods = build_stack(source.methods).methods if isinstance(source, RunSpec) else ()
    record = Record(
        run=source,
        eval=how,
        scores=scores | pulls.scores,
        training=model.training_summary(place.model) if isinstance(source, RunSpec) else {},
        provenance=provenance(describe_device(device)) | {"compiled": execution.compile, "finished": _now()},
        deviations={m.name: m.deviations for m in methods if m.deviations},
    )
    record.write(place.result(how.eval_id))
    return Record.read(place.result(how.eval_id))  # rounded, as everybody who comes later has it


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
