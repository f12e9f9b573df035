"""CM's theorems: the formulas against draws, their limits, and what happens where they do not apply."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ltgen_bench.errors import UsageError
from ltgen_bench.probes import theory, theory_page
from ltgen_bench.probes.pictures import of_theory
from ltgen_bench.probes.theory_measured import assess
from ltgen_bench.probes.theory_simulation import Setup, Share, nearest, scalars, serves_more, with_reserve

PARAMETERS = 8_000
PLAIN = Setup()


def formula(setup: Setup) -> float:
    return float(theory.theorem_2_1(setup.a, setup.mu, setup.sigma, setup.n, setup.cos))


def agrees(share: Share, expected: float) -> bool:
    return abs(share.value - expected) < 3.5 * share.se


@pytest.mark.parametrize("change", [
    {}, {"a": 0.5}, {"a": 0.25}, {"a": 1.0}, {"n": 8}, {"n": 128}, {"cos": -1.0}, {"cos": 0.9}, {"cos": 1.0},
    {"sigma": 1.5}, {"mu": 2.5}, {"size": 2}, {"size": 16}, {"elsewhere": 5.0},
])  # fmt: skip
def test_theorem_2_1_is_what_is_drawn(change: dict[str, float]) -> None:
    setup = dataclasses.replace(PLAIN, **change)
    assert agrees(nearest(setup, PARAMETERS, 1), formula(setup))
    assert agrees(serves_more(setup, PARAMETERS, 2), formula(setup))


def test_it_is_the_papers_formula_to_the_letter() -> None:
    a, mu, sigma, n, cos = 0.9, 1.3, 7.0, 64, 0.2
    argument = (2 * a - 1) * mu * math.sqrt(2 * n * (1 - cos)) / (2 * sigma)
    expected = (1 + math.erf(argument / math.sqrt(2))) / 2
    assert float(theory.theorem_2_1(a, mu, sigma, n, cos)) == pytest.approx(expected, abs=1e-12)
    assert float(theory.theorem_3_1(1 - (2 * a - 1), mu, sigma, n, cos)) == pytest.approx(expected, abs=1e-12)


def test_limits_and_directions() -> None:
    assert float(theory.theorem_2_1(0.5, 1, 2, 32, -0.5)) == 0.5  # no majority
    assert float(theory.theorem_2_1(0.9, 1, 2, 32, 1)) == 0.5  # nothing to decide
    assert float(theory.theorem_2_1(0.6, 1, 2, 1e6, 0)) == pytest.approx(1)
    for name, rises in (("a", True), ("mu", True), ("n", True), ("sigma", False), ("cos", False)):
        values = np.linspace(0.51, 0.99, 20)
        at = {"a": 0.8, "mu": 1.0, "sigma": 4.0, "n": 32.0, "cos": 0.0} | {name: values}
        steps = np.diff(theory.theorem_2_1(**at))
        assert (steps > 0).all() if rises else (steps < 0).all(), name


def test_for_means_of_unequal_norm_the_distance_of_the_means_is_what_counts() -> None:
    setup = dataclasses.replace(PLAIN, norm_ratio=3.0)
    first, second = setup.means
    assert np.linalg.norm(second) == pytest.approx(3)
    assert first @ second == pytest.approx(0)
    found = nearest(setup, PARAMETERS, 3)
    separation = float(np.linalg.norm(first - second))
    assert agrees(found, float(theory.decided(setup.a, separation, setup.sigma, setup.n)))
    assert not agrees(found, formula(setup))
    # The larger gradient wins most steps, whoever has the more images.
    assert serves_more(setup, PARAMETERS, 4).value < 0.5 < found.value


def test_unequal_noise_counts_by_the_shares_of_the_batch() -> None:
    setup = dataclasses.replace(PLAIN, sigma_ratio=3.0)
    pooled = setup.sigma * math.sqrt(setup.a + (1 - setup.a) * 9)
    found = nearest(setup, PARAMETERS, 5)
    assert agrees(found, formula(dataclasses.replace(setup, sigma=pooled)))
    assert not agrees(found, formula(setup))


def test_a_batch_that_is_drawn_has_its_composition_as_noise() -> None:
    setup = dataclasses.replace(PLAIN, sigma=0.5, n=4, a=0.75, fixed=False)
    found = nearest(setup, PARAMETERS, 6)
    assert found.value < formula(setup) - 10 * found.se


def test_numbers_with_means_of_their_own_stay_below_the_theorem() -> None:
    for cos in (-1.0, -0.3, 0.5):
        setup = dataclasses.replace(PLAIN, cos=cos)
        of = (setup.a, setup.mu, setup.sigma, setup.n, cos)
        nearer, agreeing = scalars(setup, 4 * PARAMETERS, 7)
        assert agrees(nearer, theory.scalar_share(*of))
        assert agrees(agreeing, theory.sign_share(*of))
        assert nearer.value < formula(setup)
    # Signs agree where the classes want the same, and there is nothing to decide.
    assert theory.scalar_share(0.75, 1, 4, 32, 1) == 0.5
    assert theory.sign_share(0.75, 1, 4, 1e9, 1) == pytest.approx(1, abs=1e-3)


def test_opposite_numbers_of_one_size_follow_the_majoritys_sign_as_the_theorem_says() -> None:
    rng = np.random.default_rng(8)
    setup = dataclasses.replace(PLAIN, cos=-1.0)
    mean = (2 * setup.a - 1) * setup.mu
    batch = rng.normal(mean, setup.sigma / math.sqrt(setup.n), 4 * PARAMETERS)
    assert agrees(Share.of(batch), formula(setup))


def test_a_reserve_takes_from_the_majority_what_it_reaches() -> None:
    setup, shape = Setup(a=0.9375, sigma=2.0), (12, 8)
    before = 1.0
    for rank in (0, 1, 2, 4, 8):
        found, reserved = with_reserve(setup, shape, rank, 1_500, 9)
        assert reserved.mean() == pytest.approx(theory.reach(rank, *shape), abs=0.01)
        share = theory.with_reserve(setup.a, reserved)
        expected = theory.theorem_2_1(share, setup.mu, setup.sigma, setup.n, setup.cos)
        assert agrees(found, float(expected.mean()))
        bound = theory.theorem_3_1(theory.alpha(reserved), setup.mu, setup.sigma, setup.n, setup.cos)
        assert (expected <= bound + 1e-12).all()
        assert expected.mean() < before
        before = float(expected.mean())


def test_a_balanced_reserve_leaves_the_majority_the_rest() -> None:
    assert float(theory.alpha(0.19, a_reserved=0.5)) == pytest.approx(0.19)
    assert float(theory.alpha(0.19)) == pytest.approx(0.38)
    assert float(2 * theory.with_reserve(0.9, 0.19, 0.5) - 1) == pytest.approx(0.8 * (1 - 0.19))
    assert theory.reach(0, 16, 8) == 0
    assert theory.reach(8, 16, 8) == 1


def gradients(parameters: int, images: int, cos: float, sigma: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Of both groups, as `scalar_share` assumes them."""
    rng = np.random.default_rng(seed)
    first, other = rng.normal(size=(2, parameters))
    second = cos * first + math.sqrt(1 - cos**2) * other
    return tuple(rng.normal(mean, sigma, (images, parameters)) for mean in (first, second))  # type: ignore[return-value]


def test_measured_gradients_of_the_assumed_kind_agree_with_the_theory() -> None:
    found = assess(*gradients(6_000, 400, -0.3, 5.0, 0), a=0.75, n=64)
    assert found.cos == pytest.approx(-0.3, abs=0.05)
    assert found.mu_majority == pytest.approx(1, abs=0.05)
    assert found.sigma_minority == pytest.approx(5, abs=0.05)
    assert found.scalar is not None
    assert found.sign is not None
    assert found.nearest == pytest.approx(found.scalar, abs=0.02)
    assert found.agreement == pytest.approx(found.sign, abs=0.02)
    assert found.formula == pytest.approx(float(theory.theorem_2_1(0.75, 1, 5, 64, -0.3)), abs=0.02)
    assert found.scaled == pytest.approx(found.formula, abs=0.02)
    assert max(abs(found.kurtosis_majority), abs(found.means_kurtosis), found.noise_spread) < 0.2
    assert 0 < found.nearest_se < 0.01


def test_parameters_with_noise_of_their_own_are_taken_in_units_of_it() -> None:
    """As in networks, where a few parameters have most of all gradients."""
    majority, minority = gradients(6_000, 400, -0.3, 5.0, 0)
    alike = assess(majority, minority, a=0.75, n=64)
    units = np.random.default_rng(1).lognormal(0, 2, 6_000)
    units[:10] = 0
    found = assess(majority * units, minority * units, a=0.75, n=64)
    assert found.parameters == 5_990
    assert found.noise_spread > 3
    for name in ("scaled", "scalar", "sign", "nearest", "agreement", "cos_scaled", "means_kurtosis"):
        assert getattr(found, name) == pytest.approx(getattr(alike, name), abs=0.01), name


def noise() -> np.ndarray:
    """Gradients of two groups whose halves disagree, so that their means are less than nothing."""
    return np.random.default_rng(0).normal(size=(2, 40, 50)) + np.repeat([1, -1], 20)[:, None]


def test_gradients_that_are_noise_have_no_cosine() -> None:
    found = assess(*noise(), a=0.75, n=8)
    assert found.mu_majority is None
    assert found.cos is None
    assert found.formula is None


def test_the_error_of_a_measured_cosine_is_its_spread() -> None:
    rng = np.random.default_rng(3)
    means = rng.normal(size=(2, 100)) + rng.normal(size=100)
    found = [assess(*(rng.normal(mean, 3.0, (64, 100)) for mean in means), a=0.75, n=8) for _ in range(100)]
    for value, error in (("cos", "cos_se"), ("cos_scaled", "cos_scaled_se")):
        values, errors = (np.array([getattr(one, name) for one in found], float) for name in (value, error))
        assert math.sqrt(np.mean(errors**2)) == pytest.approx(values.std(), rel=0.3)


def test_a_cosine_beyond_one_is_not_taken_for_one() -> None:
    found = [assess(*gradients(60, 40, 1.0, 3.0, seed), a=0.75, n=8) for seed in range(20)]
    beyond = [one for one in found if one.cos is not None and one.cos > 1]
    assert beyond
    assert len(beyond) < 20
    for one in beyond:
        assert one.formula is None
        assert "| ≥ 1 ± " in theory_page.measured_tables([("cm", one)])


def test_what_cannot_be_assessed_is_refused_in_a_sentence() -> None:
    majority, minority = gradients(10, 40, 0.0, 1.0, 0)
    with pytest.raises(UsageError, match=r"the same for all images"):
        assess(np.ones((40, 10)), np.ones((40, 10)), a=0.75, n=8)
    with pytest.raises(UsageError, match=r"holds only one of the groups"):
        assess(majority, minority, a=0.99, n=8)
    with pytest.raises(UsageError, match=r"batches of 24 \+ 8 need more gradients than 40 .*with 96 of each"):
        assess(majority, minority, a=0.75, n=32)


def test_the_page_is_the_same_each_time(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(theory_page, "MANY", 500)
    monkeypatch.setattr(of_theory, "PARAMETERS", 50)
    monkeypatch.setattr(of_theory, "WEIGHTS", 20)
    found = []
    for name in ("once", "again"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "reading-theory.md").write_text("Seen so.\n")
        done = cli("probe", "theory", "--page", tmp_path / name)
        assert done.code == 0, done.err
        assert done.out.split() == [str(tmp_path / name / "theory.md"), str(tmp_path / name / "theory.png")]
        found.append([Path(line).read_bytes() for line in done.out.split()])
    assert found[0] == found[1]
    assert found[0][1].startswith(b"\x89PNG")
    text = found[0][0].decode()
    assert "{" not in text
    assert "![Formulas and draws](theory.png)" in text
    assert "\n\nSeen so.\n\nNothing was measured yet.\n" in text


def test_a_file_in_the_place_of_the_pages_folder_is_refused(cli: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = cli("probe", "theory", "--page", tmp_path / "file")
    assert done.code == 2
    assert "--page" in done.err
    assert "name a folder" in done.err


def test_no_leaderboards_are_made_unasked(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in ("theory", "page"):
        done = cli("probe", command)
        assert done.code == 2
        assert "there is no leaderboards" in done.err
    assert not [*tmp_path.iterdir()]


def test_measured_gradients_have_their_line_on_the_page() -> None:
    line = theory_page.measured_tables([("cm, step 100", assess(*gradients(500, 200, 0.2, 4.0, 2), a=0.75, n=32))])
    assert "| cm, step 100 |" in line
    assert "hidden in noise" in theory_page.measured_tables([("ddpm", assess(*noise(), a=0.75, n=8))])


def test_parameters_that_differ_are_bounded_by_the_root_mean_square_of_their_separation_in_units_of_noise() -> None:
    rng = np.random.default_rng(4)
    separation, sigma = rng.lognormal(0, 1, (2, 5_000))
    share = float(theory.decided(0.8, separation, sigma, 64).mean())
    bound = float(theory.decided(0.8, math.sqrt(np.mean((separation / sigma) ** 2)), 1.0, 64))
    assert 0.5 < share < bound
    # Root mean squares of each are no bound: noise that is large in a few parameters hides what all others do.
    few = np.where(np.arange(5_000) < 50, 1e4, 1.0)
    assert float(theory.decided(0.8, 1.0, few, 64).mean()) > float(
        theory.decided(0.8, 1.0, math.sqrt(np.mean(few**2)), 64)
    )
