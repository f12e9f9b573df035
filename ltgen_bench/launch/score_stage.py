"""From images to their record in a run folder, with a picture of the best and worst of them."""

from __future__ import annotations

from datetime import datetime, timezone

import torch

from ltgen_bench.data.dataset import LongTail
from ltgen_bench.data.image_grid import save_extremes
from ltgen_bench.data.images import Images
from ltgen_bench.device import describe_device, pick_device
from ltgen_bench.diffusion import model_folder
from ltgen_bench.errors import UsageError
from ltgen_bench.planning.plan import DataOptions, Execution, build_stack
from ltgen_bench.runs.record import Record, provenance
from ltgen_bench.runs.run_folder import RunFolder
from ltgen_bench.scoring.extractors import Progress, extractor
from ltgen_bench.scoring.scorer import Scoring
from ltgen_bench.spec.specs import RunSpec, SamplesSpec, ScoreSpec


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
        training=model_folder.training_summary(place.model) if isinstance(source, RunSpec) else {},
        provenance=provenance(describe_device(device)) | {"compiled": execution.compile, "finished": _now()},
        deviations={m.name: m.deviations for m in methods if m.deviations},
    )
    record.write(place.result(how.eval_id))
    return Record.read(place.result(how.eval_id))  # rounded, as everybody who comes later has it


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
