from __future__ import annotations

import pytest
import torch

from ltgen_bench.scoring.metrics.linear_classifier import calibration, fit


def clusters(n: int, seed: int, scale: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    means = 3 * torch.eye(4, 10)
    labels = torch.arange(4).repeat(n)
    return means[labels] + scale * torch.randn(4 * n, 10, generator=generator), labels


def test_is_scikit_learns_shrunk_discriminant_analysis() -> None:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    x, y = clusters(40, 0)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3, priors=[0.25] * 4).fit(x.numpy(), y.numpy())
    new, _ = clusters(100, 1)
    ours = fit(x, y, 4).logits(new)
    # They divide the covariance by n, not by n - classes; equal priors add a constant.
    expected = torch.from_numpy(theirs.decision_function(new.numpy())).double()
    difference = ours - expected * (156 / 160)
    torch.testing.assert_close(difference, difference[:, :1].expand_as(difference), rtol=0, atol=1e-4)
    assert (ours.argmax(1) == expected.argmax(1)).all()


def test_new_images_are_recognised_even_from_fewer_images_than_features() -> None:
    x, y = clusters(2, 0, 0.3)
    new, truth = clusters(100, 1, 0.3)
    assert float((fit(x, y, 4).logits(new).argmax(1) == truth).double().mean()) > 0.95


def test_the_order_of_the_images_changes_nothing() -> None:
    x, y = clusters(50, 0)
    order = torch.randperm(len(x))
    one, other = fit(x, y, 4), fit(x[order], y[order], 4)
    torch.testing.assert_close(one.weights, other.weights, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(one.bias, other.bias, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("factor", [0.01, 1.0, 30.0])
def test_calibration_finds_the_factor_of_the_smallest_cross_entropy(factor: float) -> None:
    x, y = clusters(300, 0, 2.0)
    logits = (x[:, :4].double() * factor).contiguous()
    found = calibration(logits, y)
    best = torch.nn.functional.cross_entropy(logits * found, y)
    for other in (0.99, 1.01):
        assert best < torch.nn.functional.cross_entropy(logits * found * other, y)


def test_the_nearest_mean_decides_where_nothing_varies() -> None:
    x, y = clusters(3, 0, 0.0)
    new, truth = clusters(100, 1, 0.5)
    assert (fit(x, y, 4).logits(new).argmax(1) == truth).all()


def test_a_class_of_one_image_is_refused() -> None:
    with pytest.raises(ValueError, match="each twice"):
        fit(torch.randn(5, 3), torch.tensor([0, 0, 1, 1, 2]), 3)
