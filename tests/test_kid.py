from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ltgen_bench.scoring.metrics import kid as module
from ltgen_bench.scoring.metrics.kid import kid


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def plain(x: Tensor, y: Tensor) -> float:
    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    n, m = len(x), len(y)
    within = [(kernel(z, z).sum() - kernel(z, z).trace()) / (len(z) * (len(z) - 1)) for z in (x, y)]
    return float(within[0] + within[1] - 2 * kernel(x, y).sum() / (n * m))


@pytest.mark.parametrize(("n", "m"), [(50, 40), (7, 60), (2, 2)])
def test_is_the_u_statistic_of_all_pairs(n: int, m: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = normal(n, 6, 1), normal(m, 6, 2) + 0.5
    expected = plain(x, y)
    assert kid(x, y).value == pytest.approx(expected, rel=1e-11)
    monkeypatch.setattr(module, "_ROWS", 3)
    assert kid(x, y).value == pytest.approx(expected, rel=1e-11)
    assert kid(x.float(), y.float()).value == pytest.approx(expected, abs=1e-6)


def test_two_points_in_closed_form() -> None:
    """Constant sets of a and b: k(a, a) + k(b, b) - 2 k(a, b)."""
    x, y = torch.tensor([[1.0, 0.0]]).repeat(4, 1), torch.tensor([[0.0, 2.0]]).repeat(3, 1)
    result = kid(x, y)
    assert result.value == pytest.approx(1.5**3 + 3**3 - 2)
    assert result.se == pytest.approx(0, abs=1e-6)


def test_a_set_and_itself_are_two_sets() -> None:
    x = normal(30, 6, 1)
    assert kid(x, x).value == pytest.approx(plain(x, x), rel=1e-9)
    assert kid(x, x).value < 0  # unbiased for two draws, which these are not


def test_is_unbiased_where_the_distance_is_0() -> None:
    draws = [kid(normal(60, 8, 2 * i), normal(30, 8, 2 * i + 1)) for i in range(400)]
    spread = float(np.std([k.value for k in draws], ddof=1))
    assert abs(np.mean([k.value for k in draws])) < 4 * spread / math.sqrt(len(draws))


@pytest.mark.parametrize(("m", "shift"), [(200, 0.0), (200, 0.3), (60, 0.1)])
def test_the_standard_error_is_the_spread_of_new_generated_sets(m: int, shift: float) -> None:
    real = normal(500, 16, 0)
    draws = [kid(real, normal(m, 16, i) + shift) for i in range(1, 300)]
    predicted = math.sqrt(np.mean([k.se**2 for k in draws]))
    assert predicted == pytest.approx(np.std([k.value for k in draws], ddof=1), rel=0.2)


def test_order_and_threads_change_nothing() -> None:
    x, y = normal(1500, 16, 1).float(), normal(1200, 16, 2).float() + 0.1
    expected = kid(x, y)
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if threads > 1 else 2)
    try:
        other = kid(x.flip(0), y[torch.arange(1200).view(30, 40).T.flatten()])
    finally:
        torch.set_num_threads(threads)
    assert other.value == pytest.approx(expected.value, abs=1e-9)
    assert other.se == pytest.approx(expected.se, rel=1e-5)


def torch_fidelitys_subsets(real: int, generated: int, count: int, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Members of its subsets, draw for draw, generated before real: its first and second input."""
    draws = np.random.RandomState(seed)
    x, y = (torch.zeros(n, count, dtype=torch.float64) for n in (real, generated))
    for i in range(count):
        for members in (y, x):
            members[draws.choice(len(members), size, replace=False), i] = 1
    return x, y


def test_of_the_same_subsets_equal_to_torch_fidelity_and_as_clean_fid() -> None:
    from cleanfid.fid import kernel_distance
    from torch_fidelity.metric_kid import kid_features_to_metric

    x, y = normal(400, 8, 1), normal(300, 8, 2) + 0.4
    whole = kid(x, y, torch_fidelitys_subsets(400, 300, 60, 100, 3))
    assert whole.subsets
    mean, spread = whole.subsets
    theirs = kid_features_to_metric(y, x, kid_subsets=60, kid_subset_size=100, rng_seed=3, verbose=False)
    assert mean == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-9)
    assert spread == pytest.approx(theirs["kernel_inception_distance_std"], rel=1e-9)
    assert mean == pytest.approx(kid(x, y).value, abs=5 * spread / math.sqrt(60))
    assert (whole.value, whole.se) == (kid(x, y).value, kid(x, y).se)
    state = np.random.get_state()
    np.random.seed(0)
    clean = kernel_distance(x.numpy(), y.numpy(), num_subsets=60, max_subset_size=100)
    np.random.set_state(state)
    assert mean == pytest.approx(clean, abs=5 * spread / math.sqrt(60))


def test_what_has_no_kid_is_refused() -> None:
    with pytest.raises(ValueError, match="n >= 2"):
        kid(normal(1, 3, 0), normal(5, 3, 0))
