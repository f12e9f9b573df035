"""Feature extractors, one family per file, found by name."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import torch

from ltgen_bench._plugin_path import extend
from ltgen_bench.errors import unknown
from ltgen_bench.registry import Registry
from ltgen_bench.scoring.extractor import Extractor, ExtractorFamily, Progress, resize
from ltgen_bench.source_code import fingerprint

__all__ = ["Extractor", "ExtractorFamily", "Progress", "extractor", "identify", "load_family", "plugin_code", "resize"]

BUILT_IN = Path(__file__).parent

extend(__path__, "extractors")


def extractor(
    name: str, weights: Path | None = None, device: torch.device | str = "cpu", data_dir: Path | None = None
) -> Extractor:
    """The extractor of that name: `efflite0@S` (EfficientNet-Lite0 on S x S pixels), `inception`, `inception-legacy`,
    `dinov2`, or another.

    weights: a weights file, in place of the one installed with the suite or found in `data_folder(data_dir)`. Raises
    UsageError for an unknown name, and for weights that are missing or not the ones the name stands for.
    """
    family = load_family(name)()
    size = family.size_of(name)
    known, path = family.find(weights, data_dir)
    device = torch.device(device)
    built = family.build(known, path, size, device)
    batch = built.batch if device.type == "cpu" else 128
    code = "".join(plugin_code(name).values())
    return Extractor(name, family.sha256(known), built.dim, size, batch, device, built.network, family.resampling, code)


def identify(name: str, weights: Path | None = None, data_dir: Path | None = None) -> tuple[str, str]:
    """Id and SHA-256 (of the weights) of an extractor, without loading it. Errors as in `extractor`."""
    family = load_family(name)()
    family.size_of(name)
    return name, family.sha256(family.find(weights, data_dir)[0])


def plugin_code(name: str) -> dict[str, str]:
    """{"extractor mine": fingerprint}, by its family, where that is from outside the package. Errors as in
    `extractor`."""
    kind = load_family(name)
    built_in = Path(inspect.getfile(kind)).parent == BUILT_IN
    return {} if built_in else {f"extractor {kind.name}": fingerprint(kind)}


def load_family(name: str) -> type[ExtractorFamily]:
    """Of an extractor's name, with or without its size. Raises UsageError as `extractor`."""
    registry: Registry[ExtractorFamily] = Registry("extractor", __path__, __name__)
    kind = name.partition("@")[0]
    if kind not in registry.entries():
        raise unknown("extractor", name, _known(registry))
    return registry.load(kind)


def _known(registry: Registry[ExtractorFamily]) -> Iterator[str]:
    for name, entry in registry.entries().items():
        yield from entry.constants.get("examples", (name,))
