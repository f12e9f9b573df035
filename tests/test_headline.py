"""The distance that results are ranked by is one that their numbers of images allow to rank."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ltgen_bench.data.groups import Groups
from ltgen_bench.data.images import Images
from ltgen_bench.scoring.extractors import Extractor
from ltgen_bench.scoring.headline import headline, warning
from ltgen_bench.scoring.metrics.frechet import frechet, principal_axes
from ltgen_bench.scoring.scorer import RealImages, Scoring

GROUPS = ("overall", "majority", "minority")


def scores(features: str = "f@96", **flags: str | None) -> dict[str, Any]:
    """Of a record, with this flag on each distance of the minority; None: the distance is not there."""
    names = {"FD": "FID" if features == "inception" else f"FD-{features}"}
    found: dict[str, Any] = {}
    for distance, flag in flags.items():
        if flag is not None:
            suffix = "" if features == "inception" else f"-{features}"
            groups: dict[str, Any] = {group: {"value": 1.0} for group in GROUPS}
            groups["minority"] |= {"flag": flag} if flag else {}
            found[names.get(distance, f"{distance}{suffix}")] = groups
    return found


@pytest.mark.parametrize(
    ("n_real", "n_gen", "expected"),
    [(256, 256, None), (9999, 255, "n<4d"), (255, 9999, "n<4d"), (64, 64, "n<4d"), (63, 9999, "n<d")],
)
def test_four_images_per_dimension_on_the_smaller_side(n_real: int, n_gen: int, expected: str | None) -> None:
    assert warning(n_real, n_gen, 64) == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"FD": "", "FD64": "", "KID": ""}, "FD"),
        ({"FD": "memorised", "FD64": "", "KID": ""}, "FD"),  # a warning of another kind
        ({"FD": "n<4d", "FD64": "", "KID": ""}, "FD64"),
        ({"FD": "n<d", "FD64": "n<4d", "KID": ""}, "KID"),
        ({"FD": "n<d", "FD64": None, "KID": ""}, "KID"),  # from before FD64 existed
        ({"FD": "n<d", "FD64": None, "KID": None}, "FD"),
    ],
)
@pytest.mark.parametrize("features", ["f@96", "inception"])
def test_the_first_distance_with_enough_images(features: str, flags: dict[str, str | None], expected: str) -> None:
    assert headline([scores(features, **flags)], features, *GROUPS) == expected


def test_all_groups_and_results_are_ranked_by_one_distance() -> None:
    small = scores(FD="n<d", FD64="", KID="")
    assert headline([small], "f@96", "overall") == "FD"
    assert headline([small], "f@96", *GROUPS) == "FD64"
    assert headline([small, scores(FD="n<d", KID="")], "f@96", *GROUPS) == "KID"


def test_at_250_images_64_directions_rank_what_1280_features_get_wrong() -> None:
    """A generator with a fifth too little spread comes before a perfect one in all features, not in 64."""
    random = torch.Generator().manual_seed(0)
    scale = torch.arange(1, 1281) ** -0.5  # eigenvalues of features fall about like that

    def draw(n: int, spread: float = 1) -> torch.Tensor:
        return torch.randn(n, 1280, generator=random) * scale * spread

    real = draw(250)
    axes = principal_axes(real, 64)
    wrong = {"FD": 0, "FD64": 0}
    for _ in range(10):
        perfect, narrow = draw(250), draw(250, 0.8)
        wrong["FD"] += frechet(real, narrow).value < frechet(real, perfect).value
        of_perfect, of_narrow = (frechet(real.double() @ axes, fake.double() @ axes) for fake in (perfect, narrow))
        wrong["FD64"] += of_narrow.value < of_perfect.value
    assert wrong == {"FD": 10, "FD64": 0}


def test_fd64_is_the_distance_along_the_principal_directions_of_the_whole_reference() -> None:
    random, groups = np.random.default_rng(0), Groups.from_counts([30, 20, 10])
    labels = np.repeat(np.arange(3), 90)
    bright = (labels[:, None, None, None] + 1).astype(np.uint8)
    real, fake = (Images(random.integers(0, 64, (270, 5, 5, 3), np.uint8) * bright, labels) for _ in range(2))
    network = lambda x: (x.flatten(1), x[:, :0, 0, 0])  # noqa: E731
    extractor = Extractor("pixels", "0" * 64, 75, 5, 9, torch.device("cpu"), network)
    found = Scoring(fake, RealImages(real, groups), extractor).scores()["FD64-pixels"]
    x, y = (torch.from_numpy(images.pixels).permute(0, 3, 1, 2).flatten(1).double() for images in (real, fake))
    axes = torch.linalg.svd(x - x.mean(0), full_matrices=False).Vh[:64].T
    for name, ids in (("overall", [0, 1, 2]), *groups):
        chosen = torch.from_numpy(np.isin(labels, ids))
        expected = frechet((x @ axes)[chosen], (y @ axes)[chosen])
        assert found[name]["value"] == pytest.approx(expected.value, rel=1e-9), name
        assert found[name]["floor"] == pytest.approx(expected.floor, rel=1e-9), name
