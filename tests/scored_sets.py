"""Sets of digits to score, and ways to spoil them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ltgen_bench.data.groups import Groups
from ltgen_bench.data.images import Images
from ltgen_bench.scoring.attribution import Scores
from ltgen_bench.scoring.extractors import Extractor, extractor
from ltgen_bench.scoring.scorer import RealImages, Scoring

GROUPS = Groups.from_counts([100 - c for c in range(10)])


@pytest.fixture(scope="module")
def efflite() -> Extractor:
    """Every fifth feature of the real network: a quarter of the time, and all figures behave the same."""
    whole = extractor("efflite0@32")

    def network(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features, logits = whole.network(x)
        return features[:, ::5], logits

    return dataclasses.replace(whole, dim=256, network=network)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of the real network, shared by the tests."""
    return tmp_path_factory.mktemp("features")


def score(
    generated: Images,
    reference: Images,
    groups: Groups,
    extractor: Extractor,
    train: Images | None = None,
    test: Images | None = None,
    **options: Any,
) -> Scores:
    return Scoring(generated, RealImages(reference, groups, train, test), extractor, **options).scores()


def fake_extractor(dim: int = 5) -> Extractor:
    """Features are fixed random projections of the pixels, logits the first of them."""
    weights = torch.randn(3 * 64, dim, generator=torch.Generator().manual_seed(0)) / 1000

    def network(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = x.flatten(1) @ weights
        return features, features[:, :4]

    return Extractor("fake", "0" * 64, dim, 8, 16, torch.device("cpu"), network)


@pytest.fixture(scope="module")
def halves() -> tuple[Images, Images]:
    """Two disjoint halves of scikit-learn's digits, 85 of each class."""
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = (data.images * (255 / 16)).round().astype(np.uint8)[..., None]
    places = [np.flatnonzero(data.target == c)[:170] for c in range(10)]
    labels = data.target.astype(np.int64)
    first, second = (np.concatenate([p[start::2] for p in places]) for start in (0, 1))
    return Images(pixels[first], labels[first]), Images(pixels[second], labels[second])


def values(scores: Scores, metric: str) -> dict[str, Any]:
    (name,) = (m for m in scores if m == metric or m.startswith(f"{metric}-"))
    return {group: figures["value"] for group, figures in scores[name].items()}


def changed(images: Images, keep: NDArray[np.bool_] | None = None, **fields: Any) -> Images:
    images = images if keep is None else images[np.flatnonzero(keep)]
    return Images(fields.get("pixels", images.pixels), fields.get("labels", images.labels))


def noise(images: Images, level: float) -> Images:
    added = images.pixels + np.random.default_rng(0).normal(0, level, images.pixels.shape)
    return changed(images, pixels=added.round().clip(0, 255).astype(np.uint8))


def blur(images: Images, level: float) -> Images:
    from scipy.ndimage import gaussian_filter

    blurred = gaussian_filter(images.pixels.astype(float), (0, level, level, 0))
    return changed(images, pixels=blurred.round().astype(np.uint8))


def drop(images: Images, classes: int) -> Images:
    """The last classes show what the first ones show."""
    pixels = images.pixels.copy()
    for c in range(10 - classes, 10):
        pixels[images.labels == c] = images.pixels[images.labels == c % (10 - classes)]
    return changed(images, pixels=pixels)


def collapse(images: Images, distinct: int) -> Images:
    pixels = images.pixels.copy()
    for c in range(10):
        at = np.flatnonzero(images.labels == c)
        pixels[at] = images.pixels[at[np.arange(len(at)) % distinct]]
    return changed(images, pixels=pixels)


def balanced(images: Images, n: int) -> Images:
    """n of each class, again from the start where there are fewer."""
    return images[np.concatenate([np.resize(np.flatnonzero(images.labels == c), n) for c in range(10)])]


def repeated(images: Images, times: int) -> Images:
    return images[np.repeat(np.arange(len(images)), times)]
