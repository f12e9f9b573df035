from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor

from ltgen_bench.scoring.metrics.frechet import Moments, distance, frechet, influence, principal_axes


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def exact(n: int, mean: Tensor, covariance: Tensor, seed: int) -> Tensor:
    """A sample whose mean and covariance (n - 1) are exactly these."""
    z = normal(n, len(mean), seed).double()
    z = z - z.mean(0)
    whitener = torch.linalg.inv(torch.linalg.cholesky(z.T @ z / (n - 1))).T
    return z @ whitener @ torch.linalg.cholesky(covariance).T + mean


def plain(x: Tensor, y: Tensor) -> float:
    """The nuclear norm of the product of the centred samples, by SVD."""
    x, y = x.double(), y.double()
    a, b = (x - x.mean(0)) / math.sqrt(len(x) - 1), (y - y.mean(0)) / math.sqrt(len(y) - 1)
    means = (x.mean(0) - y.mean(0)).square().sum()
    return float(means + a.square().sum() + b.square().sum() - 2 * torch.linalg.svdvals(a @ b.T).sum())


def sqrtm(x: Tensor, y: Tensor) -> float:
    """As in the public scorers."""
    from scipy import linalg

    a, b = np.cov(x.double().numpy(), rowvar=False), np.cov(y.double().numpy(), rowvar=False)
    gap = x.double().numpy().mean(0) - y.double().numpy().mean(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        root = linalg.sqrtm(a @ b)
    return float(gap @ gap + np.trace(a) + np.trace(b) - 2 * np.trace(root).real)


def test_two_gaussians_with_commuting_covariances_in_closed_form() -> None:
    mean, s, t = torch.tensor([1.0, -2.0, 0.5]).double(), torch.tensor([1.0, 4.0, 9.0]), torch.tensor([2.0, 0.5, 9.0])
    basis = torch.linalg.qr(normal(3, 3, 0).double()).Q
    x = exact(50, torch.zeros(3).double(), basis @ s.double().diag() @ basis.T, 1)
    y = exact(40, mean, basis @ t.double().diag() @ basis.T, 2)
    expected = float(mean.square().sum() + (s.double().sqrt() - t.double().sqrt()).square().sum())
    assert frechet(x, y).value == pytest.approx(expected, rel=1e-12)
    assert distance(x, y) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("n", "d"), [(100, 8), (8, 100), (31, 30), (30, 30)])
def test_a_set_is_at_distance_0_from_itself_and_never_below(n: int, d: int) -> None:
    x = normal(n, d, 0)
    for y in (x, x.flip(0)):
        assert 0 <= frechet(x, y).value < 1e-8
        assert 0 <= distance(x, y) < 1e-8


@pytest.mark.parametrize(
    ("n", "m", "d"), [(50, 40, 20), (15, 40, 20), (40, 15, 20), (15, 10, 20), (10, 15, 20), (21, 20, 20), (2, 2, 5)]
)
def test_every_sample_size_gives_the_exact_distance(n: int, m: int, d: int) -> None:
    x, y = normal(n, d, 1).relu(), normal(m, d, 2).relu() * 1.3
    expected = plain(x, y)
    assert distance(x, y) == pytest.approx(expected, rel=1e-10)
    assert frechet(x, y).value == pytest.approx(expected, rel=1e-10)
    if min(n, m) > d:
        assert expected == pytest.approx(sqrtm(x, y), rel=1e-8)


def test_equal_to_torch_fidelity_and_clean_fid_where_the_covariances_have_full_rank() -> None:
    from cleanfid.fid import frechet_distance
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    x, y = normal(300, 24, 1).relu(), normal(200, 24, 2).relu() * 1.2
    one, other = (fid_features_to_statistics(z) for z in (x, y))
    theirs = fid_statistics_to_metric(one, other, verbose=False)["frechet_inception_distance"]
    assert distance(x, y) == pytest.approx(theirs, rel=1e-6)  # their means are float32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        clean = frechet_distance(one["mu"], one["sigma"], other["mu"], other["sigma"])
    assert distance(x, y) == pytest.approx(clean, rel=1e-6)


def test_dead_and_dependent_features_change_nothing() -> None:
    x, y = normal(60, 8, 1), normal(50, 8, 2) + 0.3
    expected = distance(x, y)
    dead_in_both = [torch.cat([z, torch.full((len(z), 3), 7.0)], 1) for z in (x, y)]
    assert distance(*dead_in_both) == pytest.approx(expected, rel=1e-10)
    dead_in_one = torch.cat([x, torch.zeros(60, 1)], 1), torch.cat([y, torch.ones(50, 1)], 1)
    assert distance(*dead_in_one) == pytest.approx(expected + 1, rel=1e-10)
    rotation = torch.linalg.qr(normal(20, 20, 3).double()).Q[:8]  # 8 dimensions inside 20: no Cholesky factor
    inside = x.double() @ rotation, y.double() @ rotation
    assert distance(*inside) == pytest.approx(expected, rel=1e-6)
    assert frechet(*inside).se == pytest.approx(frechet(x, y).se, rel=1e-5)


@pytest.mark.parametrize("d", [5, 50])
def test_a_constant_set_has_no_spread_to_compare(d: int) -> None:
    """What a collapsed sampler makes."""
    x, y = normal(30, d, 1), torch.ones(20, d)
    expected = float((x.double().mean(0) - 1).square().sum() + x.double().var(0).sum())
    for one, other in ((x, y), (y, x)):
        assert distance(one, other) == pytest.approx(expected, rel=1e-10)
        assert frechet(one, other).value == pytest.approx(expected, rel=1e-10)
    assert frechet(x, y).se == pytest.approx(0, abs=1e-9)
    assert frechet(y, y).value == 0


def test_moments_of_groups_add_up_to_those_of_the_whole() -> None:
    x, y = normal(300, 20, 1) + 5, normal(200, 20, 2).exp()
    whole, added = Moments.of(torch.cat([x, y])), Moments.of(x) + Moments.of(y)
    assert added.n == 500
    torch.testing.assert_close(added.mean, whole.mean, rtol=1e-13, atol=0)
    torch.testing.assert_close(added.scatter, whole.scatter, rtol=1e-11, atol=1e-10)
    z = torch.cat([x, y])
    torch.testing.assert_close(whole.scatter, torch.from_numpy(np.cov(z.T.double().numpy())) * 499)
    w = normal(100, 20, 3)
    given, computed = frechet(w, z, (Moments.of(w), added)), frechet(w, z)
    assert (given.value, given.floor, given.se) == pytest.approx(
        (computed.value, computed.floor, computed.se), rel=1e-9
    )


@pytest.mark.parametrize(("n", "m", "d", "within"), [(300, 200, 8, 0.05), (1000, 2000, 8, 0.05), (100, 150, 24, 0.1)])
def test_the_floor_is_the_mean_distance_of_two_samples_of_one_distribution(
    n: int, m: int, d: int, within: float
) -> None:
    scale = torch.linspace(0.2, 2, d)
    draws = [frechet(normal(n, d, 2 * i) * scale, normal(m, d, 2 * i + 1) * scale) for i in range(100)]
    measured = float(np.mean([f.value for f in draws]))
    assert np.mean([f.floor for f in draws]) == pytest.approx(measured, rel=within)
    assert np.mean([f.debiased for f in draws]) == pytest.approx(0, abs=within * measured)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_the_standard_error_is_the_spread_of_new_generated_sets(shift: float) -> None:
    d, n = 16, 1000
    real = normal(4000, d, 0)
    draws = [frechet(real, normal(n, d, 100 + i) * 1.2 + shift) for i in range(150)]
    assert np.mean([f.se for f in draws]) == pytest.approx(np.std([f.value for f in draws], ddof=1), rel=0.15)


def test_influence_is_what_leaving_an_image_out_does() -> None:
    real, fake = normal(2000, 8, 1), normal(1000, 8, 2) * 1.1
    fake[:10] += 3
    pull = influence(real, fake)
    assert abs(float(pull.mean())) < 1e-9
    assert set(pull.topk(10).indices.tolist()) == set(range(10))
    full = distance(real, fake)
    left_out = torch.tensor([full - distance(real, torch.cat([fake[:i], fake[i + 1 :]])) for i in range(40)])
    torch.testing.assert_close(left_out.double(), pull[:40] / len(fake), rtol=0.1, atol=2e-4)


@pytest.mark.parametrize("n", [40, 300])
def test_order_and_threads_change_nothing(n: int) -> None:
    x, y = normal(n, 64, 1).relu(), normal(n, 64, 2).relu() * 1.1
    expected = frechet(x, y)
    shuffled = frechet(x[torch.randperm(n)], y[torch.randperm(n)])
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if threads > 1 else 2)
    try:
        threaded = frechet(x, y)
    finally:
        torch.set_num_threads(threads)
    for other in (shuffled, threaded):
        for name in ("value", "floor", "debiased", "se"):
            assert getattr(other, name) == pytest.approx(getattr(expected, name), rel=1e-9)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (torch.zeros(5, 3), torch.zeros(5, 4), "d = 3"),
        (torch.zeros(1, 3), torch.zeros(5, 3), "n >= 2"),
        (torch.zeros(5, 3), torch.full((5, 3), math.nan), "NaN"),
    ],
)
def test_what_has_no_distance_is_refused(x: Tensor, y: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        distance(x, y)


@pytest.mark.parametrize("n", [10, 60])
def test_the_features_are_left_as_they_are(n: int) -> None:
    x, y = normal(n, 20, 1).double(), normal(n, 20, 2).double()
    copies = x.clone(), y.clone()
    frechet(x, y)
    influence(x, y)
    principal_axes(x, 5)
    assert torch.equal(x, copies[0])
    assert torch.equal(y, copies[1])
