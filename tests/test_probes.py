"""What the probes measure, on networks whose answer is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ltgen_bench.data.groups import Groups
from ltgen_bench.data.images import Images
from ltgen_bench.data.long_tail import LongTail
from ltgen_bench.diffusion.noise_prior import NoisePrior
from ltgen_bench.probes import dominance, pruning, reserve, tables
from ltgen_bench.probes.draws import DenoisingLoss
from ltgen_bench.probes.estimates import changes, means
from ltgen_bench.probes.gradients import Gradients, MeanGradient
from ltgen_bench.probes.specs import DrawSpec, PruningSpec
from ltgen_bench.probes.subject import Subject
from ltgen_bench.probes.work_folder import working
from ltgen_bench.rng import generator
from ltgen_bench.runs.record import Record
from ltgen_bench.runs.run_folder import RunFolder
from ltgen_bench.spec.specs import DiffusionSpec, RunSpec

CPU = torch.device("cpu")
TWO = Groups((0,), (), (1,))
NINE = 9
"""The rarest of the digits."""


def silent(*_: object) -> None:
    pass


class TwoPaths(nn.Module):
    """Predicts the same for every class; for the nines by small weights that are made up for behind them."""

    def __init__(self) -> None:
        super().__init__()
        self.large, self.small = (nn.Conv2d(1, 1, 1, bias=False) for _ in range(2))
        nn.init.constant_(self.large.weight, 0.5)
        nn.init.constant_(self.small.weight, 0.005)

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return torch.where((y == NINE)[:, None, None, None], 100 * self.small(x), self.large(x))


def test_a_class_that_lives_in_small_weights_is_found(
    digits: LongTail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_record: Callable[..., Record]
) -> None:
    run = make_record().run
    assert isinstance(run, RunSpec)
    subject = Subject(RunFolder(tmp_path), run, digits, CPU)
    monkeypatch.setattr(Subject, "network", lambda self: (TwoPaths(), None))
    spec = PruningSpec(percents=(0.0, 50.0), per="network", loss=DrawSpec(images=8, draws=16))
    with working(subject.run_folder, spec) as work:
        found = pruning.measure(subject, spec, work, silent)
    assert found["removed"] == {"0%": 0, "50%": 1}
    for part in found["losses"].values():
        assert all(figures["value"] == figures["se"] == 0 for figures in part["change"]["0%"].values())
        halved = part["change"]["50%"]
        assert {scope for scope, figures in halved.items() if figures["value"] != 0} == {"overall", "minority", "9"}
        assert halved["9"]["value"] > 3 * halved["9"]["se"] > 0


def test_pruning_removes_the_smallest_of_each_layer_or_of_all() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Linear(2, 2), nn.Embedding(2, 2), nn.GroupNorm(1, 4))
    small, large = torch.tensor([1.0, -2.0, 3.0, -4.0]), torch.tensor([[-50.0, 60.0], [70.0, 80.0]])

    def pruned(percent: float, per: str) -> tuple[int, list[float]]:
        with torch.no_grad():
            net[0].weight.copy_(small.view(4, 1, 1, 1))
            net[1].weight.copy_(large)
        return pruning.prune(net, percent, per), [*net[0].weight.flatten().tolist(), *net[1].weight.flatten().tolist()]

    others = {name: value.clone() for name, value in net.state_dict().items() if "bias" in name or name[0] in "23"}
    assert pruned(0, "layer") == pruned(0, "network") == (0, [1, -2, 3, -4, -50, 60, 70, 80])
    assert pruned(50, "layer") == (4, [0, 0, 3, -4, 0, 0, 70, 80])
    assert pruned(50, "network") == (4, [0, 0, 0, 0, -50, 60, 70, 80])
    assert all(torch.equal(net.state_dict()[name], value) for name, value in others.items())


def test_classes_weigh_the_same_whatever_their_number_of_images() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1])
    before, after = np.array([1.0, 3, 1, 3, 4, 8]), np.array([2.0, 4, 2, 4, 4, 10])
    found = means(before, labels, TWO)
    assert {scope: figures["value"] for scope, figures in found.items()} == {
        "overall": 4, "majority": 2, "minority": 6, "0": 2, "1": 6
    }  # fmt: skip
    assert found["minority"]["se"] == pytest.approx(np.std([4, 8], ddof=1) / math.sqrt(2))
    assert found["overall"]["se"] == pytest.approx(math.hypot(found["0"]["se"], found["1"]["se"]) / 2)
    change = changes(before, after, labels, TWO)
    assert change["overall"]["value"] == pytest.approx(5 / 4 - 1)
    assert change["0"]["value"] == pytest.approx(1 / 2)
    alone = changes(before[:5], after[:5], labels[:5], TWO)
    assert alone["1"]["se"] is None
    assert alone["overall"]["se"] is None
    assert "minority" not in changes(before[:4], after[:4], labels[:4], TWO)


def test_the_error_of_a_change_is_that_of_pairs() -> None:
    rng = np.random.default_rng(0)
    labels, found = np.zeros(200, np.int64), []
    for _ in range(300):
        before = rng.uniform(0.5, 2, 200)
        after = before * 1.1 + rng.normal(0, 0.05, 200)
        found.append(changes(before, after, labels, TWO)["0"])
    values, errors = (np.array([figures[key] for figures in found]) for key in ("value", "se"))
    assert values.mean() == pytest.approx(0.1, abs=0.001)
    assert errors.mean() == pytest.approx(values.std(), rel=0.15)


def test_draws_are_the_same_for_every_network_and_stratified_in_time(digits: LongTail) -> None:
    def loss(seed: int = 0, prior: NoisePrior | None = None) -> DenoisingLoss:
        return DenoisingLoss.of({"training": digits.train}, DrawSpec(6, 4, seed), DiffusionSpec(), CPU, prior)

    first, again, other = loss(), loss(), loss(1)
    for a, b, c in zip(first.sets["training"], again.sets["training"], other.sets["training"], strict=True):
        assert torch.equal(a.x0, b.x0)
        assert torch.equal(a.t, b.t)
        assert torch.equal(a.noise, b.noise)
        assert not torch.equal(a.noise, c.noise)
        assert torch.equal(a.t // 250, torch.arange(4).expand(len(a.t), 4))
    net = TwoPaths()
    assert np.array_equal(first(net)["training"], again(net)["training"])
    zero = NoisePrior(torch.zeros(10, 1, 8, 8), torch.full((10,), 2.0))
    assert loss(prior=zero)(net)["training"].mean() > 2 * first(net)["training"].mean()


def test_images_that_were_trained_on_are_not_held_out(digits: LongTail, make_record: Callable[..., Record]) -> None:
    run = make_record().run
    assert isinstance(run, RunSpec)
    unseen = Subject(RunFolder(Path()), run, digits, CPU).held_out
    seen = {image.tobytes() for image in digits.train.pixels}
    assert len(unseen) > 500
    assert not any(image.tobytes() in seen for image in unseen.pixels)


@pytest.fixture
def low_rank() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Weights with a reserve in one of two layers, and without: BA of rank 2 x 3, laid out as CM's."""
    rng = torch.Generator().manual_seed(0)
    general = {name: torch.randn(16, 12, 3, 3, generator=rng) for name in ("first", "second")}
    b, a = torch.randn(48, 6, generator=rng), torch.randn(6, 36, generator=rng)
    return general | {"second": general["second"] + 0.1 * (b @ a).view(16, 12, 3, 3)}, general


def test_a_reserve_has_the_rank_that_it_was_made_with(low_rank: tuple[dict[str, Tensor], dict[str, Tensor]]) -> None:
    full, general = low_rank
    found = reserve.reserve(full, general)
    assert list(found) == ["second"]
    assert len(found["second"].values) == 6
    whole = (full["second"] - general["second"]).view(48, 36).double()
    assert torch.allclose(found["second"].part(1.0), whole, atol=1e-5)
    for share, rank in ((0.5, 3), (0.25, 2)):
        left = torch.linalg.svdvals(whole - found["second"].part(share))
        assert torch.allclose(left[0], found["second"].values[rank], rtol=1e-4)
    assert reserve.reserve(general, general) == {}


def test_a_random_reserve_has_the_spectrum_and_nothing_else_of_it(
    low_rank: tuple[dict[str, Tensor], dict[str, Tensor]],
) -> None:
    spectrum = reserve.reserve(*low_rank)["second"]
    drawn = [spectrum.random(generator("cpu", seed)) for seed in range(200)]
    assert torch.allclose(torch.linalg.svdvals(drawn[0])[:6], spectrum.values)
    overlap = torch.stack([(one * spectrum.part(1.0)).sum() for one in drawn]) / spectrum.values.square().sum()
    assert overlap.abs().max() < 0.3
    assert overlap.mean().abs() < 0.02
    # Of uniformly random direction, every entry has the same mean square.
    squares = torch.stack(drawn).square().mean(0) * 48 * 36 / spectrum.values.square().sum()
    assert squares.mean(1).std() < 0.1
    assert squares.mean(0).std() < 0.1


def known(vector: np.ndarray, inside: np.ndarray) -> MeanGradient:
    """A mean gradient without noise."""
    squares = [[(vector[part] ** 2).sum()] * 4 for part in (~inside, inside)]
    return MeanGradient(np.array([vector] * 4), np.array(squares), 1)


class TestLinearModel:
    """eps_k = w_k x_k: with one image per class, the mean gradient has a closed form."""

    SIZE, STEPS = 8, 50

    @property
    def weights(self) -> Tensor:
        return torch.linspace(0.2, 1.2, self.SIZE**2).view(1, self.SIZE, self.SIZE).requires_grad_()

    def gradients(self) -> Gradients:
        rng = np.random.default_rng(0)
        pixels = rng.integers(0, 256, (2, self.SIZE, self.SIZE, 1)).astype(np.uint8)
        abar = torch.linspace(0.99, 0.3, self.STEPS)
        weights = self.weights
        return Gradients(lambda x, t, y: weights * x, [weights], Images(pixels, np.arange(2)), abar)

    def exact(self, label: int) -> np.ndarray:
        """E 2/d (w x_t - e) x_t = 2/d (w (abar x0^2 + 1 - abar) - sqrt(1 - abar)), averaged over times."""
        made = self.gradients()
        x0 = made.images.pixels[label].astype(np.float64).ravel() / 127.5 - 1
        abar = made.alphas_cumprod.double().numpy()[:, None]
        w = self.weights.detach().double().numpy().ravel()
        return (2 / self.SIZE**2 * (w * (abar * x0**2 + 1 - abar) - np.sqrt(1 - abar))).mean(0)

    def test_mean_gradients_are_those_of_the_closed_form_within_their_stated_error(self) -> None:
        for label in (0, 1):
            found = self.gradients().mean(label, 20_000, [False], silent)
            assert not found.squares[1].any()
            batches = found.squares[0].sum() / found.blocks.shape[0] / found.batches
            mean = found.blocks.mean(0)
            stated = (batches - (mean**2).sum()) / (found.blocks.shape[0] * found.batches - 1)
            assert 0.5 < ((mean - self.exact(label)) ** 2).sum() / stated < 2

    def test_groups_compare_as_in_the_closed_form(self) -> None:
        first, second = self.exact(0), self.exact(1)
        a = 0.8
        update = a * first + (1 - a) * second
        inside = np.arange(len(first)) < 20
        made = [self.gradients().mean(label, 20_000, [False], silent) for label in (0, 1)]
        exact = [known(first, inside), known(second, inside)]
        for of_classes, within in ((exact, 1e-12), (made, 0.02)):
            found = dominance.compare(of_classes, np.array([a, 1 - a]), TWO, inside)
            cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
            assert found["minority"]["to_majority"] == pytest.approx(cosine, abs=within)
            assert found["1"] == found["minority"]
            assert found["minority"]["serves"] == pytest.approx(second @ update / (second @ second), abs=within)
            assert found["overall"]["norm"] == pytest.approx(np.linalg.norm(update), rel=within)
            share = (second[inside] ** 2).sum() / (second**2).sum()
            assert found["minority"]["reserve"] == pytest.approx(share, abs=within)
            if of_classes is exact:
                assert found["minority"]["same_sign"] == np.mean(second * update > 0)
                opposed = first * second < 0
                assert opposed.sum() > 0
                assert found["minority"]["opposed_same_sign"] == np.mean((second * update > 0)[opposed])

    def test_noise_neither_lowers_a_cosine_nor_lengthens_a_norm(self) -> None:
        rng, size = np.random.default_rng(1), 200_000
        true = rng.normal(size=size)
        measured = [single(true + rng.normal(0, 4, (4, size))) for _ in range(2)]
        found = compared(measured)
        assert found["majority"]["to_minority"] == pytest.approx(1, abs=0.03)  # 0.2 as measured
        assert found["majority"]["norm"] == pytest.approx(math.sqrt(size), rel=0.05)  # 2.2 times that
        assert found["majority"]["noise"] == pytest.approx(0.8, abs=0.02)
        hidden = compared([single(np.array([true, -true, true, -true]))] * 2)
        assert hidden["majority"]["norm"] is None
        assert hidden["majority"]["to_minority"] is None
        assert hidden["majority"]["to_minority_se"] is None


def single(blocks: np.ndarray) -> MeanGradient:
    """Of one batch in each block, (blocks, P), none of it in the reserve."""
    return MeanGradient(blocks, np.array([(blocks**2).sum(1), np.zeros(len(blocks))]), 1)


def compared(means: list[MeanGradient]) -> dict[str, dict[str, float | None]]:
    return dominance.compare(means, np.array([0.5, 0.5]), TWO, np.zeros(means[0].blocks.shape[1], bool))


def test_the_error_of_a_cosine_is_the_spread_of_what_is_measured() -> None:
    rng, size = np.random.default_rng(0), 300
    true = rng.normal(size=(2, size)) + rng.normal(size=size)
    found = [compared([single(mean + rng.normal(0, 1.5, (4, size))) for mean in true])["majority"] for _ in range(300)]
    values, errors = (np.array([figures[key] for figures in found]) for key in ("to_minority", "to_minority_se"))
    exact = true[0] @ true[1] / np.linalg.norm(true[0]) / np.linalg.norm(true[1])
    assert values.mean() == pytest.approx(exact, abs=0.02)
    assert math.sqrt(np.mean(errors**2)) == pytest.approx(values.std(), rel=0.3)


def test_a_cosine_that_noise_carries_beyond_one_is_told_as_that() -> None:
    assert tables.cosine(1.3, 0.25) == "≥ 1 ± 0.250"
    assert tables.cosine(-1.3, None) == "≤ -1 ± –"
    assert tables.cosine(1 + 1e-15, 0.0) == "1.000 ± 0.000"
    assert tables.cosine(0.5, 0.125) == "0.500 ± 0.125"
    assert tables.cosine(None, None) == "–"
    rng, size = np.random.default_rng(2), 50
    true = rng.normal(size=size)
    found = [
        compared([single(true + rng.normal(0, 2, (4, size))) for _ in range(2)])["majority"]["to_minority"]
        for _ in range(50)
    ]
    assert any(value is not None and value > 1 for value in found)
    assert not any(value == 1 for value in found)
