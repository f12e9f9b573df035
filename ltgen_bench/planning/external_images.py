"""Images made by anybody's trainer: read, checked, and scored in a run folder of their own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ltgen_bench import registry
from ltgen_bench.data.external import read
from ltgen_bench.data.images import Images
from ltgen_bench.data.names import normal
from ltgen_bench.errors import UsageError
from ltgen_bench.planning.checks import check_execution
from ltgen_bench.planning.evaluations import make_score_spec
from ltgen_bench.runs.job import DataOptions, Execution, ExternalJob
from ltgen_bench.runs.run_folder import RunFolder
from ltgen_bench.scoring.checks import check
from ltgen_bench.scoring.feature_sets import canonical
from ltgen_bench.spec.presets import PRESETS
from ltgen_bench.spec.specs import ExternalSpec


def take(
    path: Path,
    name: str | None,
    dataset: str,
    features: str | None,
    options: DataOptions,
    execution: Execution,
    runs: Path,
) -> ExternalJob:
    """Images from a file or folder, to be compared with a dataset. Writes nothing yet; raises UsageError.

    name: what tables call them, by default as the file. features: by default those of the dataset's preset.
    """
    check_execution(execution)
    own_name = path.absolute().name if path.is_dir() else path.stem
    name = _checked_name(name if name is not None else normal(own_name))
    kind, data_name = registry.dataset(dataset, f"--dataset {dataset}")
    options = options.named(data_name)
    data = options.open(kind).load()
    images = read(path, data)
    check(images, data.real(options.against or "balanced"), data.groups, cut=False)
    images = images[canonical(images)[0]]
    spec = ExternalSpec(name, data.spec, len(images), images.sha256)
    score_spec = make_score_spec(data, features or PRESETS[kind.preset].features, options, execution)
    return ExternalJob(RunFolder.of(runs, spec), spec, images, data, score_spec, options, execution)


def take_again(
    run_folder: RunFolder, spec: ExternalSpec, features: str | None, options: DataOptions, execution: Execution
) -> ExternalJob:
    """Images that were taken before, to be scored in other features. Raises UsageError."""
    check_execution(execution)
    options = dataclasses.replace(options, imbalance=spec.dataset.imbalance, size=spec.dataset.size)
    data = options.load(spec.dataset.name)
    if data.spec != spec.dataset:
        raise UsageError(f"the images of {spec.dataset.name} here are not those that {spec.name} was compared with")
    first = run_folder.first_eval()
    default = first.features if first else PRESETS[registry.dataset(spec.dataset.name)[0].preset].features
    options = dataclasses.replace(options, against=options.against or (first.reference if first else None))
    score_spec = make_score_spec(data, features or default, options, execution)
    return ExternalJob(run_folder, spec, Images.load(run_folder.given), data, score_spec, options, execution)


def _checked_name(name: str) -> str:
    if not 1 <= len(name) <= 60 or not name.isprintable() or any(c in name for c in "|`"):
        raise UsageError(f"--name {name!r}: give 1 to 60 printable characters, without | and `")
    return name
