"""Guidance by group, in an interval, on a schedule, away from another network; and how labels are drawn."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ltgen_bench.data.groups import Groups
from ltgen_bench.diffusion.schedule import alphas_cumprod
from ltgen_bench.errors import UsageError
from ltgen_bench.planning.checks import check_images, check_sampling
from ltgen_bench.rng import generator
from ltgen_bench.sampling.guidance import Guidance, check_groups, strength
from ltgen_bench.sampling.pipeline import Pipeline, labels_of
from ltgen_bench.sampling.shards import join_shards, make_shards
from ltgen_bench.spec.specs import DiffusionSpec, SamplingSpec

DIFFUSION = DiffusionSpec()
GROUPS = Groups((0,), (1,), (2,))
ABAR = alphas_cumprod(DIFFUSION).double()


class Linear(torch.nn.Module):
    """The exact noise of sets that hold one image each: of class y the constant `targets[y]`, and the last without."""

    def __init__(self, *targets: float) -> None:
        super().__init__()
        self.targets = torch.tensor(targets)
        config = {"num_class_embeds": len(targets), "in_channels": 1, "sample_size": 8}
        self.unet = type("Unet", (), {"config": type("Config", (), config), "device": torch.device("cpu")})
        self.images: list[int] = []  # of each call

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        self.images.append(len(x))
        abar = ABAR.float()[t][:, None, None, None]
        return (x - abar.sqrt() * self.targets[y][:, None, None, None]) / (1 - abar).sqrt()


def make(spec: SamplingSpec, y: list[int], net: Linear | None = None, general: Linear | None = None) -> Tensor:
    net = net or Linear(0.4, -0.2, 0.7, 0.1)
    pipeline = Pipeline(net, spec, DIFFUSION, seed=3, groups=GROUPS, general=general)  # type: ignore[arg-type]
    return pipeline.sample(range(len(y)), torch.tensor(y))


def ddim(image: int, towards: Callable[[int], float], steps: int = 50) -> Tensor:
    """DDIM written out, for a network that takes x to be noise around the constant `towards(t)`."""
    x = torch.randn(1, 8, 8, generator=generator("cpu", 3, "image", image)).double()
    for t in range(1000 - 1000 // steps, -1, -1000 // steps):
        eps = (x - ABAR[t].sqrt() * towards(t)) / (1 - ABAR[t]).sqrt()
        s = max(t - 1000 // steps, 0)
        x = ABAR[s].sqrt() * towards(t) + (1 - ABAR[s]).sqrt() * eps
    return x.float()


@pytest.mark.parametrize(
    ("settings", "omega"),
    [
        ({}, lambda t: 1.5),
        ({"omega_interval": (0.2, 0.6)}, lambda t: 1.5 if 200 <= t <= 600 else 0.0),
        ({"omega_schedule": "linear"}, lambda t: (1 - t / 1000) * 2.5 - 1),
        ({"omega_schedule": "gamma"}, lambda t: 100 ** (-t / 1000) * 2.5 - 1),
        ({"omega_schedule": "gamma", "omega_gamma": 0.2}, lambda t: (1 - 0.2 ** (1 - t / 1000)) * 2.5 - 1),
        (
            {"omega_schedule": "linear", "omega_interval": (0.0, 0.5)},
            lambda t: (1 - t / 1000) * 2.5 - 1 if t <= 500 else 0.0,
        ),
    ],
)
def test_images_are_those_of_the_formula_at_each_time(settings: dict[str, Any], omega: Callable[[int], float]) -> None:
    """For a linear network guidance moves its target to c + omega_t (c - u)."""
    made = make(SamplingSpec(**settings), [0])
    torch.testing.assert_close(made[0], ddim(0, lambda t: 0.4 + omega(t) * (0.4 - 0.1)), rtol=0, atol=1e-4)


def test_schedules_end_where_the_formulas_do() -> None:
    def ends(**settings: Any) -> list[float]:
        return [strength(SamplingSpec(**settings), 1.5, time) for time in (0, 1)]

    assert ends() == [1.5, 1.5]
    assert ends(omega_schedule="linear") == [1.5, -1]
    assert ends(omega_schedule="gamma") == pytest.approx([1.5, 2.5 / 100 - 1])
    assert ends(omega_schedule="gamma", omega_gamma=1) == [1.5, 1.5]
    assert ends(omega_schedule="gamma", omega_gamma=0.2) == pytest.approx([0.8 * 2.5 - 1, -1])


def test_an_interval_holds_both_its_ends_and_costs_one_call_an_image_outside() -> None:
    spec = SamplingSpec(omega_interval=(0.3, 0.7))
    assert [strength(spec, 1.5, t / 1000) for t in (299, 300, 700, 701)] == [0, 1.5, 1.5, 0]
    net = Linear(0.4, -0.2, 0.7, 0.1)
    make(spec, [0, 1], net)
    visited = range(980, -1, -20)
    assert net.images == [4 if 300 <= t <= 700 else 2 for t in visited]


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_each_class_is_guided_by_the_omega_of_its_group(sampler: str) -> None:
    """A group without one of its own by omega itself; the images are those of a set with that omega for all."""
    spec = SamplingSpec(sampler=sampler, steps=20, omega=0.5, omega_majority=2, omega_minority=0)
    made = make(spec, [0, 1, 2, 0])
    plain = dataclasses.replace(spec, omega_majority=None, omega_minority=None)
    for image, omega in enumerate([2, 0.5, 0, 2]):
        torch.testing.assert_close(made[image], make(dataclasses.replace(plain, omega=omega), [0, 1, 2, 0])[image])


@pytest.mark.parametrize(
    "settings",
    [
        {"omega_majority": 1.5, "omega_medium": 1.5, "omega_minority": 1.5},
        {"omega_interval": (0.0, 0.98)},
        {"omega_schedule": "gamma", "omega_gamma": 1.0},
    ],
)
def test_an_option_without_effect_gives_the_same_images(settings: dict[str, Any]) -> None:
    assert torch.equal(make(SamplingSpec(**settings), [0, 1, 2]), make(SamplingSpec(), [0, 1, 2]))


def test_guidance_away_from_another_network() -> None:
    """eps_full + omega (eps_full - eps_general), both with the label; no pass is without."""
    net, general = Linear(0.4, -0.2, 0.7, math.nan), Linear(0.3, 0.2, 0.1, math.nan)
    made = make(SamplingSpec(guide="general", omega=2), [0, 2], net, general)
    for image, target in enumerate([0.4 + 2 * (0.4 - 0.3), 0.7 + 2 * (0.7 - 0.1)]):
        torch.testing.assert_close(made[image], ddim(image, lambda t, to=target: to), rtol=0, atol=1e-4)  # type: ignore[misc]
    assert net.images == general.images == [2] * 50
    as_unconditional = make(SamplingSpec(guide="general"), [0, 2], general=Linear(0.1, 0.1, 0.1, 0.1))
    torch.testing.assert_close(as_unconditional, make(SamplingSpec(), [0, 2]))
    unguided, general.images = make(SamplingSpec(guide="general", omega=0), [0, 2], net, general), []
    assert torch.equal(unguided, make(SamplingSpec(omega=0), [0, 2], net))
    assert not general.images


def test_uniform_labels_are_drawn_by_the_seed_alone() -> None:
    spec = SamplingSpec(images=10_003, labels="uniform")  # need not be shared evenly
    y = labels_of(spec, 10, 3)
    assert torch.equal(y, labels_of(dataclasses.replace(spec, omega=0, steps=3), 10, 3))
    assert not torch.equal(y, labels_of(spec, 10, 4))
    counts = torch.bincount(y, minlength=10)
    assert ((counts - 1000.3).square() / 1000.3).sum() < 27.9  # chi-squared of 9 degrees of freedom, p = 0.001
    assert (y[1:] == y[:-1]).double().mean().item() == pytest.approx(0.1, abs=0.01)


def test_a_set_with_all_options_is_the_same_however_it_is_shared_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ltgen_bench.sampling.shards.SHARD", 20)
    monkeypatch.setattr("ltgen_bench.sampling.pipeline.batch_size", lambda device, size: 7)
    spec = SamplingSpec(
        images=50, steps=10, labels="uniform", omega_minority=0, omega_interval=(0.1, 0.8), omega_schedule="linear"
    )
    net: Any = Linear(0.4, -0.2, 0.7, 0.1)
    pipeline = Pipeline(net, spec, DIFFUSION, seed=3, groups=GROUPS)
    for part in range(2):
        make_shards(pipeline, tmp_path, part=part, parts=2, progress=lambda done, total: None)
    made, y = join_shards(tmp_path, 50), labels_of(spec, 3, 3)
    assert np.array_equal(made.labels, y.numpy())
    whole = (make(spec, y.tolist()) * 127.5 + 127.5).round().clamp(0, 255).permute(0, 2, 3, 1).numpy()
    assert np.abs(made.pixels - whole).max() <= 1  # a tie may round either way


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"omega_interval": (0.5,)}, "sample.omega_interval must be two times lo,hi as fractions of T.* not 0.5"),
        ({"omega_interval": (0.5, 0.2)}, "not 0.5,0.2"),
        ({"omega_interval": (200.0, 600.0)}, "not 200,600"),
        ({"omega_gamma": 10.0}, "sample.omega_gamma=10 says nothing of a constant schedule"),
        ({"omega_schedule": "gamma", "omega_gamma": 0.0}, "sample.omega_gamma must be from 1e-06"),
        ({"omega_minority": -2.0}, "sample.omega_minority must be from -1 to 1000, not -2"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_sampling(SamplingSpec(**settings), DIFFUSION)


def test_an_omega_of_a_group_that_is_not_there_is_refused() -> None:
    spec = SamplingSpec(omega_minority=2)
    check_groups(spec, GROUPS)
    with pytest.raises(UsageError, match=r"sample\.omega_minority: 2 classes make no medium group; use sample\.omega"):
        check_groups(spec, Groups.from_counts([90, 10]))
    assert Guidance(SamplingSpec(), 1000).at(5, torch.tensor([0])) == 1.5  # nobody asks for groups where none matter


def test_too_few_images_of_a_drawn_class_are_refused_before_any_work(digits: Any) -> None:
    spec = SamplingSpec(images=60, labels="uniform")
    fewest = int(torch.bincount(labels_of(spec, 10, 2)).min())
    with pytest.raises(UsageError, match=rf"uniform: seed 2 draws {fewest} of class \d, and scoring needs 4 of each"):
        check_images(digits, spec, [2])
    check_images(digits, dataclasses.replace(spec, images=203), [2])


def test_records_say_how_images_were_guided() -> None:
    assert SamplingSpec().guidance == "omega 1.5"
    spec = SamplingSpec(omega=0.5, omega_minority=2, omega_medium=1, omega_interval=(0.2, 0.8), guide="general")
    assert spec.guidance == (
        "omega 0.5 (medium 1, minority 2), from 0.2 T to 0.8 T, away from the network without its reserve"
    )
    assert SamplingSpec(omega_schedule="gamma", omega_gamma=10).guidance == "omega 1.5, gamma 10"
