from __future__ import annotations

import contextlib
import io
import math

import pytest
import torch
from torch import Tensor

from ltgen_bench.scoring.metrics import precision_recall as module
from ltgen_bench.scoring.metrics.precision_recall import Neighbours, neighbours

METRICS = ("precision", "recall", "density", "coverage")


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def values(result: Neighbours) -> dict[str, float]:
    return {name: getattr(result, name).value for name in METRICS}


def prdc(real: Tensor, fake: Tensor, k: int) -> dict[str, float]:
    from prdc import compute_prdc

    with contextlib.redirect_stdout(io.StringIO()):
        return {name: float(value) for name, value in compute_prdc(real.numpy(), fake.numpy(), k).items()}


def plain(real: Tensor, fake: Tensor, k: int) -> dict[str, float]:
    """The definitions, in float64, with all n x n differences."""

    def squared(a: Tensor, b: Tensor) -> Tensor:
        return torch.stack([(row - b.double()).square().sum(1) for row in a.double()])

    cross, same = squared(real, fake), 1 + 1e-12
    in_real = cross <= squared(real, real).kthvalue(k + 1).values[:, None] * same
    in_fake = cross <= squared(fake, fake).kthvalue(k + 1).values * same
    return {
        "precision": float(in_real.any(0).double().mean()),
        "recall": float(in_fake.any(1).double().mean()),
        "density": float(in_real.double().sum(0).mean() / k),
        "coverage": float(in_real.any(1).double().mean()),
    }


CASES = {
    "random": (normal(300, 16, 1), normal(300, 16, 2) * 0.9),
    "unequal n": (normal(300, 8, 1), normal(170, 8, 2) + 0.1),
    "duplicates": (normal(300, 8, 1), normal(20, 8, 2).repeat(15, 1)),
    "duplicates in both": (normal(50, 8, 1).repeat(4, 1), normal(70, 8, 2).repeat(3, 1)),
    "far from 0": (normal(300, 8, 1) + 100, normal(300, 8, 2) + 100.1),
    "almost copies": (normal(300, 8, 1) + 3, normal(20, 8, 2).repeat(15, 1) + 3 + 1e-4 * normal(300, 8, 3)),
    "outliers": (
        torch.cat([normal(300, 8, 1), normal(5, 8, 2) * 1e4]), torch.cat([normal(300, 8, 3), normal(5, 8, 4) * 1e5])
    ),
    "two values": (normal(300, 8, 1).sign(), normal(300, 8, 2).sign()),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_decision_is_the_one_of_float64(name: str) -> None:
    real, fake = CASES[name]
    for result in neighbours(real, fake, (5, 3, 1)):
        assert values(result) == pytest.approx(plain(real, fake, result.k), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("two values", "outliers")])
def test_equal_to_prdc(name: str) -> None:
    """Not where distances tie, as prdc's balls exclude their surface, nor where its rounding decides (outliers)."""
    real, fake = CASES[name]
    for result in neighbours(real, fake, (5, 3, 1)):
        assert values(result) == pytest.approx(prdc(real, fake, result.k), rel=1e-6)


@pytest.mark.parametrize("name", [name for name in CASES if name != "outliers"])
def test_without_their_surface_balls_are_prdcs_and_cbdms(name: str) -> None:
    """Of CBDM's score/improved_prd.py: distances < the k-th other's, in float64. Distances tie in "two values"."""
    real, fake = CASES[name]
    for result in neighbours(real, fake, (5, 3, 1), surface=False):
        assert values(result) == pytest.approx(prdc(real, fake, result.k), rel=1e-6)
    if name == "two values":
        assert neighbours(real, fake)[0].recall.value > neighbours(real, fake, surface=False)[0].recall.value


@pytest.mark.parametrize("name", ["random", "unequal n", "duplicates", "almost copies"])
def test_equal_to_torch_fidelity(name: str) -> None:
    from torch_fidelity.metric_prc import prc_features_to_metric

    real, fake = CASES[name]
    for result in neighbours(real, fake):
        theirs = prc_features_to_metric(
            fake, real, prc_neighborhood=result.k, prc_batch_size=100, save_cpu_ram=False, verbose=False
        )
        assert result.precision.value == pytest.approx(theirs["precision"], rel=1e-6)
        assert result.recall.value == pytest.approx(theirs["recall"], rel=1e-6)


def test_several_blocks_decide_like_one(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = normal(500, 16, 1), normal(450, 16, 2)
    whole = neighbours(real, fake)
    monkeypatch.setattr(module, "_SIDE", 64)
    monkeypatch.setattr(module, "_ENTRIES", 5000)
    monkeypatch.setattr(module, "_CACHED", 100)
    assert neighbours(real, fake) == whole


def test_rounding_in_float32_alone_would_decide_otherwise() -> None:
    """The cases above really need the second look in float64."""
    real, fake = CASES["far from 0"]
    gram = real @ fake.T
    squared = real.square().sum(1)[:, None] + fake.square().sum(1) - 2 * gram
    exact = (real.double()[:, None] - fake.double()).square().sum(2)
    assert ((squared - exact).abs() / exact).max() > 1e-3


def test_precision_and_recall_are_not_swapped() -> None:
    wide, tight = normal(500, 4, 1) * 10, normal(500, 4, 2) * 0.1
    result = values(neighbours(real=wide, generated=tight)[0])
    assert result["precision"] > 0.95
    assert result["recall"] < 0.02
    swapped = values(neighbours(real=tight, generated=wide)[0])
    assert swapped["precision"] < 0.02
    assert swapped["recall"] > 0.95


def test_a_copy_is_precise_and_complete() -> None:
    real = normal(200, 8, 1)
    five, three = neighbours(real, real.flip(0))
    assert values(five) == pytest.approx({"precision": 1, "recall": 1, "density": 6 / 5, "coverage": 1})
    assert values(three)["density"] == pytest.approx(4 / 3)


def test_order_and_threads_change_nothing() -> None:
    real, fake = normal(400, 32, 1), normal(300, 32, 2)
    expected = neighbours(real, fake)
    for shuffled, result in zip(
        neighbours(real[torch.randperm(400)], fake[torch.randperm(300)]), expected, strict=True
    ):
        assert values(shuffled) == pytest.approx(values(result), rel=1e-12)
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if threads > 1 else 2)
    try:
        assert neighbours(real, fake) == expected
    finally:
        torch.set_num_threads(threads)


def test_standard_errors_are_those_of_a_mean() -> None:
    result = neighbours(*CASES["random"])[0]
    p = result.recall.value
    assert result.recall.se == pytest.approx(math.sqrt(p * (1 - p) / 299))


def test_too_few_points_and_nan_are_refused() -> None:
    with pytest.raises(ValueError, match="n >= 6"):
        neighbours(normal(5, 4, 1), normal(50, 4, 2))
    with pytest.raises(ValueError, match="NaN"):
        neighbours(normal(50, 4, 1), torch.full((50, 4), math.inf))
