"""Features of sets of images, kept in files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ltgen_bench.data.images import Images
from ltgen_bench.errors import UsageError
from ltgen_bench.scoring.extractor import Extractor, Progress
from ltgen_bench.storage.array_cache import Arrays, cached, key

_VERSION = 1  # of everything in the package that changes a feature


@dataclass(frozen=True)
class Features:
    """features float32 (n, d), logits float32 (n, k) and labels int64 (n,) of n images, in the images' order."""

    features: NDArray[np.float32]
    logits: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Features:
        return Features(self.features[index], self.logits[index], self.labels[index])


def features_of(
    images: Images, extractor: Extractor, cache: Path | None = None, progress: Progress | None = None
) -> Features:
    """Features and logits of images, read from the folder `cache` or computed and kept there.

    The key is the content of the images, the extractor's id, weights and code (of the suite's own its version). A
    damaged file is computed anew. Of several processes that want the same features one computes them, and the others
    wait.
    progress: called with (images done, n). Raises UsageError for NaN or infinite features.
    """
    identity = f"{images.sha256} {extractor.id} {extractor.sha256} {_VERSION}{extractor.code}" if cache else ""

    def unpack(arrays: Arrays) -> Features:
        features, logits = arrays["features"], arrays["logits"]
        if features.shape != (len(images), extractor.dim) or len(logits) != len(images):
            raise ValueError(f"{features.shape} features of {len(images)} images")
        return Features(features, logits, images.labels)

    return cached(
        cache and cache / f"{extractor.id}-{key(identity)}.npz",
        lambda: _computed(images, extractor, progress),
        lambda found: {"features": found.features, "logits": found.logits},
        unpack,
        lambda: progress(0, len(images)) if progress else None,
    )


def _computed(images: Images, extractor: Extractor, progress: Progress | None) -> Features:
    features, logits = extractor(images.pixels, progress)
    if not (np.isfinite(features).all() and np.isfinite(logits).all()):
        raise UsageError(f"{extractor.id} gives NaN or infinite features; are its weights whole?")
    return Features(features, logits, images.labels)
