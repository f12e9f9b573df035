from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ltgen_bench.scoring.metrics.inception_score import SPLITS, InceptionScore, _splits, inception_scores


def some_logits(n: int, k: int) -> torch.Tensor:
    return torch.randn(n, k, generator=torch.Generator().manual_seed(0)) * 3


def ranks(n: int, seed: int = 0) -> NDArray[np.uint64]:
    return np.random.default_rng(seed).permutation(n).astype(np.uint64)


def inception_score(logits: torch.Tensor, labels: NDArray[np.int64], seed: int = 0) -> InceptionScore:
    return inception_scores(logits, labels, [np.unique(labels).tolist()], ranks(len(labels), seed))[0]


def test_certain_and_balanced_is_the_number_of_classes_and_undecided_is_1() -> None:
    labels = np.repeat(np.arange(20), 50)
    certain = 1000.0 * torch.eye(20)[torch.from_numpy(labels)]
    result = inception_score(certain, labels, 0)
    assert result.value == pytest.approx(20, rel=1e-12)
    assert result.split_std == pytest.approx(0, abs=1e-12)
    assert inception_score(torch.zeros(1000, 20), labels, 0).value == pytest.approx(1, rel=1e-12)


def test_is_exp_of_the_mean_divergence_from_the_marginal() -> None:
    logits, labels = some_logits(5000, 7), np.arange(5000) % 10  # more than one block
    p = logits.double().softmax(1)
    divergence = (p * (p / p.mean(0)).log()).sum(1).mean()
    assert inception_score(logits, labels, 0).value == pytest.approx(math.exp(divergence), rel=1e-12)


def test_equal_to_torch_fidelity_for_one_split() -> None:
    from torch_fidelity.metric_isc import isc_features_to_metric

    logits = some_logits(700, 12)
    theirs = isc_features_to_metric(logits, splits=1)["inception_score_mean"]
    assert inception_score(logits, np.arange(700) % 10, 0).value == pytest.approx(theirs, rel=1e-12)


def test_the_mean_of_the_splits_is_torch_fidelitys_for_the_same_splits() -> None:
    fidelity = pytest.importorskip("torch_fidelity.metric_isc", reason="torch-fidelity, of the extra [test]")
    logits, labels = some_logits(700, 12), np.arange(700) % 10
    by_split = torch.from_numpy(np.argsort(_splits(labels, ranks(700)), kind="stable"))
    theirs = fidelity.isc_features_to_metric(logits[by_split], splits=SPLITS, shuffle=False)
    given = inception_score(logits, labels)
    assert given.split_mean == pytest.approx(theirs["inception_score_mean"], rel=1e-12)
    assert given.split_std == pytest.approx(theirs["inception_score_std"] * math.sqrt(10 / 9), rel=1e-6)
    assert given.split_mean < given.value  # the marginal of few images lies nearer to each of them


def test_the_mean_of_the_splits_is_that_of_their_own_scores() -> None:
    logits, labels = some_logits(500, 9), np.arange(500) % 5
    split = _splits(labels, ranks(500))
    parts = [logits[torch.from_numpy(np.flatnonzero(split == s))].double().softmax(1) for s in range(SPLITS)]
    scores = [float((p * (p / p.mean(0)).log()).sum(1).mean().exp()) for p in parts]
    given = inception_score(logits, labels)
    assert given.split_mean == pytest.approx(np.mean(scores), rel=1e-12)
    assert given.split_std == pytest.approx(np.std(scores, ddof=1), rel=1e-6)


def test_images_sorted_by_class_score_like_shuffled_ones() -> None:
    labels = np.repeat(np.arange(10), 30)
    logits = some_logits(300, 10) + 20 * torch.eye(10)[torch.from_numpy(labels)]
    order = np.random.default_rng(0).permutation(300)
    (shuffled,) = inception_scores(logits[torch.from_numpy(order)], labels[order], [range(10)], ranks(300)[order])
    given = inception_score(logits, labels)
    for name in ("value", "split_mean", "split_std"):
        assert getattr(shuffled, name) == pytest.approx(getattr(given, name), rel=1e-12)
    assert given.value > 9
    assert given.split_mean > 9  # contiguous splits of sorted images would give 1
    assert given.split_std < 0.5
    assert given.se == pytest.approx(given.split_std / math.sqrt(SPLITS))


@pytest.mark.parametrize("per_class", [3, 25, 40])
def test_every_split_has_the_same_share_of_every_class(per_class: int) -> None:
    labels = np.repeat(np.arange(10), per_class)
    split = _splits(labels, ranks(len(labels)))
    table = np.zeros((10, SPLITS), int)
    np.add.at(table, (labels, split), 1)
    assert set(np.bincount(split)) == {per_class}
    assert table.max() - table.min() <= 1
    assert (split != _splits(labels, ranks(len(labels), 1))).any()


def test_a_changed_image_moves_no_more_than_one_image_from_split_to_split() -> None:
    labels, drawn = np.repeat(np.arange(4), 100), 2 * ranks(400)
    split = _splits(labels, drawn)
    for new in (np.uint64(1), np.uint64(999)):
        changed = drawn.copy()
        changed[17] = new
        assert ((_splits(labels, changed) != split)[np.arange(400) != 17]).sum() < SPLITS


def test_too_few_images_and_nan_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 10"):
        inception_score(torch.zeros(9, 3), np.zeros(9, np.int64), 0)
    with pytest.raises(ValueError, match="NaN"):
        inception_score(torch.full((20, 3), math.nan), np.zeros(20, np.int64), 0)
