"""Figures as the papers have them, from 50,000 images: recall and precision of all, F8 and F1/8.

Figures of CBDM's released code (score/prd_score.py) are for distributions in closed form.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ltgen_bench.data.groups import Groups
from ltgen_bench.data.images import Images
from ltgen_bench.scoring import scopes
from ltgen_bench.scoring.extractors import Extractor
from ltgen_bench.scoring.feature_sets import Comparison, FeatureSet, keys_of
from ltgen_bench.scoring.metrics import prd
from ltgen_bench.scoring.metrics.precision_recall import neighbours
from ltgen_bench.scoring.scorer import RealImages, Scoring

STATES = np.arange(40)
REAL = (STATES + 1) / (STATES + 1).sum()
SQUARES = np.where(STATES < 30, np.cos(STATES) ** 2, 0)
GENERATED = SQUARES / SQUARES.sum()

PRECISION = [5.670731707e-11, 0.0008690386023, 0.2055089492, 0.4198881645, 0.7344575206, 1, 1]
RECALL = [0.5670731707, 0.553246667, 0.4961424922, 0.4198881645, 0.3042222661, 0.001570797719, 1.000000695e-10]
F8, F_EIGHTH = 0.4993362035, 0.835372153


def test_the_curve_is_that_of_the_released_code() -> None:
    precision, recall = prd.curve(GENERATED, REAL)
    places = [0, 1, 250, 500, 750, 999, 1000]
    assert precision[places] == pytest.approx(PRECISION, abs=1e-9)
    assert recall[places] == pytest.approx(RECALL, abs=1e-9)
    assert prd.largest_f(precision, recall, 8) == pytest.approx(F8, abs=1e-9)
    assert prd.largest_f(precision, recall, 1 / 8) == pytest.approx(F_EIGHTH, abs=1e-9)


def plain(generated: NDArray[np.float64], real: NDArray[np.float64], beta: float) -> float:
    """The definitions, one slope and one cluster after the other."""
    best = 0.0
    for step in range(1001):
        slope = np.tan(1e-10 + step * (np.pi / 2 - 2e-10) / 1000)
        precision = sum(min(slope * p, q) for p, q in zip(real, generated, strict=True))
        recall = sum(min(p, q / slope) for p, q in zip(real, generated, strict=True))
        if precision + recall > 0:
            best = max(best, (1 + beta**2) * precision * recall / (beta**2 * precision + recall))
    return best


@pytest.mark.parametrize("beta", [8, 1 / 8, 1])
def test_the_largest_f_is_that_of_the_definitions(beta: float) -> None:
    found = prd.largest_f(*prd.curve(GENERATED, REAL), beta)
    assert found == pytest.approx(plain(GENERATED, REAL, beta), abs=1e-8)


def test_equal_distributions_score_1_and_disjoint_ones_0() -> None:
    first, second = np.array([0.5, 0.5, 0, 0]), np.array([0, 0, 0.5, 0.5])
    for beta in (8, 1 / 8):
        assert prd.largest_f(*prd.curve(first, first), beta) == pytest.approx(1, abs=1e-6)
        assert prd.largest_f(*prd.curve(first, second), beta) == pytest.approx(0, abs=1e-6)


def images(centres: list[int], spread: float, seed: int) -> FeatureSet:
    """20 points around each of these of ten centres; their labels are those of four classes in turn."""
    random = np.random.default_rng(seed)
    places = np.random.default_rng(0).normal(0, 10, (10, 8))
    points = np.repeat(places[centres], 20, 0) + random.normal(0, spread, (20 * len(centres), 8))
    labels = np.sort(np.arange(len(points)) % 4)
    digests = np.arange(len(points), dtype=np.uint64)
    features = torch.from_numpy(points.astype(np.float32))
    return FeatureSet(features, features[:, :0], labels, digests, keys_of(labels, digests))


def test_f8_sees_what_is_missing_and_f_eighth_what_is_strange(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prd, "RUNS", 3)
    half, whole = [0, 1, 2, 3, 4] * 2, list(range(10))
    f8, f_eighth = prd.both(Comparison(images(whole, 1, 1), images(half, 1, 2), 0), 12)
    assert f8.value < 0.6
    assert f_eighth.value > 0.9
    f8, f_eighth = prd.both(Comparison(images(half, 1, 1), images(whole, 1, 2), 0), 12)
    assert f8.value > 0.9
    assert f_eighth.value < 0.6
    same = Comparison(images(whole, 1, 1), images(whole, 1, 2), 0)
    for f in prd.both(same, 12):
        assert f.value > 0.9
        assert 0 <= f.runs_std < 0.1
    assert prd.both(same, 12) == prd.both(same, 12)


def test_from_many_images_there_are_the_figures_of_the_papers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    random, labels = np.random.default_rng(0), np.repeat(np.arange(4), 40)
    real, fake = (Images(random.integers(0, 256, (160, 4, 4, 3), np.uint8), labels) for _ in range(2))
    network = lambda x: (x.flatten(1), x[:, :0, 0, 0])  # noqa: E731
    extractor = Extractor("pixels", "0" * 64, 48, 4, 16, torch.device("cpu"), network)
    groups = Groups.from_counts([40, 30, 20, 10])
    names = {f"{name}-pixels" for name in ("recall-all", "precision-all", "F8", "F1/8")}
    plain = Scoring(fake, RealImages(real, groups), extractor).scores()
    assert not names & plain.keys()  # of no more images than the usual figures are from
    monkeypatch.setattr(scopes, "NEIGHBOURS_CAP", 150)
    monkeypatch.setattr(prd, "RUNS", 2)
    monkeypatch.setattr(prd, "CLUSTERS", 3)
    whole = Scoring(fake, RealImages(real, groups), extractor).scopes
    given = whole.as_papers_do("overall")
    assert given is not None
    assert given.features[0].data_ptr() == whole.whole.features[0].data_ptr()  # sets of 50,000 are not copied
    scores = [Scoring(fake, RealImages(real, groups), extractor, cache=tmp_path).scores() for _ in range(2)]
    assert scores[0] == scores[1]  # also with the radii that were kept
    assert scores[0].keys() == plain.keys() | names
    sizes = {"overall": 160, "majority": 40, "medium": 40, "minority": 80}
    for name in names:
        assert {group: (f["n_real"], f["n_gen"]) for group, f in scores[0][name].items()} == {
            group: (n, n) for group, n in sizes.items()
        }
    x, y = (torch.from_numpy(i.pixels.transpose(0, 3, 1, 2).reshape(160, -1)).float() for i in (real, fake))
    five, three = neighbours(x, y, surface=False)
    overall = scores[0]["recall-all-pixels"]["overall"]
    assert (overall["value"], overall["k"], overall["k3"]) == (five.recall.value, 5, three.recall.value)
    assert scores[0]["precision-all-pixels"]["overall"]["value"] == five.precision.value
    assert 0 < scores[0]["F8-pixels"]["overall"]["value"] <= 1
    # A group with fewer images than clusters has no F8: here the minority, against 40 + 5 training images.
    monkeypatch.setattr(prd, "CLUSTERS", 25)
    monkeypatch.setattr(scopes, "NEIGHBOURS_CAP", 100)
    tail = Scoring(fake, RealImages(real[np.arange(125)], groups, balanced=real), extractor).scores()
    assert list(tail["F8-pixels"]) == ["overall", "majority", "medium"]
    assert tail["recall-all-pixels"]["minority"]["n_real"] == 44
    # Where a run drew the class of each image, all count, too.
    drawn = Images(fake.pixels, np.sort(random.integers(0, 4, 160)))
    uneven = Scoring(drawn, RealImages(real, groups), extractor, equal=False).scores()
    assert uneven["recall-all-pixels"]["overall"]["n_gen"] == uneven["F8-pixels"]["overall"]["n_gen"] == 160
    assert uneven["recall-all-pixels"]["overall"]["value"] == five.recall.value
