"""What this installation can do."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from ltgen_bench import registry
from ltgen_bench.data.prepare import data_folder
from ltgen_bench.device import describe_device, pick_device
from ltgen_bench.errors import UsageError
from ltgen_bench.scoring.extractors import identify


def findings(data_dir: Path | None) -> Iterator[tuple[str, str]]:
    """(what, finding) lines."""
    yield "python", f"{platform.python_version()} on {platform.platform()}, {os.cpu_count()} CPUs"
    for package in ("ltgen-bench", "torch", "torchvision", "diffusers", "ray"):
        try:
            yield package, importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            yield package, "not installed"
    yield "device", describe_device(pick_device("auto"))
    yield "data folder", str(data_folder(data_dir))
    for name in registry.datasets().entries():
        yield f"dataset {name}", _dataset(name, data_dir)
    for features in ("efflite0@96", "inception"):
        try:
            identity, sha256 = identify(features, None, data_dir)
            yield f"features {features}", f"ready ({identity}, weights {sha256[:12]})"
        except UsageError as error:
            yield f"features {features}", str(error)


def _dataset(name: str, data_dir: Path | None) -> str:
    kind = registry.datasets().load(name)
    if kind.takes_data:
        return "takes --data"
    try:
        data = kind(data_dir=data_dir).load()
    except UsageError as error:
        return str(error)
    counts = data.class_counts
    return f"ready: {sum(counts):,} training images, {max(counts):,} to {min(counts):,} per class"
