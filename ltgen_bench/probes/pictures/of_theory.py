"""CM's theorems beside what is drawn, in one picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ltgen_bench.probes import theory
from ltgen_bench.probes.pictures.drawing import COLOURS, MARKERS, drawing, tidy
from ltgen_bench.probes.theory import Numbers
from ltgen_bench.probes.theory_simulation import Setup, Share, nearest, scalars, with_reserve
from ltgen_bench.rng import seed_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PARAMETERS = 4_000
"""Drawn for each dot of the picture."""
PLAIN = Setup()
RESERVE = Setup(a=0.9375, sigma=2.0)
SHAPE = (32, 32)
RANKS = (0, 1, 3, 6, 10, 16, 24, 32)
WEIGHTS = 2_000


@dataclasses.dataclass(frozen=True)
class Rank:
    """A reserve of that rank: its share of the directions, the theory of it, and what was drawn."""

    rank: int
    rho: float
    bound: float
    expected: float
    drawn: Share

    @classmethod
    def drawn_from(cls, rank: int) -> Rank:
        drawn, reserved = with_reserve(RESERVE, SHAPE, rank, WEIGHTS, seed_of("reserve", rank))
        rho, fixed = theory.reach(rank, *SHAPE), (RESERVE.mu, RESERVE.sigma, RESERVE.n, RESERVE.cos)
        bound = float(theory.theorem_3_1(theory.alpha(rho), *fixed))
        expected = theory.theorem_2_1(theory.with_reserve(RESERVE.a, reserved), *fixed)
        return cls(rank, rho, bound, float(expected.mean()), drawn)


def draw(path: Path, ranks: Sequence[Rank]) -> None:
    with drawing(path, 9.5, 5.6) as figure:
        panels = figure.subplots(2, 3, sharey=True)
        _curves(panels[0, 0], "a", np.linspace(0.25, 1, 7), "n", (8, 32, 128))
        tidy(panels[0, 0], "the majority's share", "a", "parameters that the majority decides")
        _curves(panels[0, 1], "n", np.exp2(np.arange(2.0, 10)), "cos", (-1.0, 0.0, 0.8))
        panels[0, 1].set_xscale("log", base=2)
        tidy(panels[0, 1], "the batch", "N")
        _curves(panels[0, 2], "cos", np.linspace(-1, 1, 11), "sigma", (2.0, 4.0, 8.0))
        tidy(panels[0, 2], "what the classes have in common", "cos")
        _curves(panels[1, 0], "sigma", np.exp2(np.arange(-1.0, 5)), "a", (0.625, 0.75, 1.0))
        panels[1, 0].set_xscale("log", base=2)
        tidy(panels[1, 0], "the noise of a gradient", "sigma / mu", "parameters that the majority decides")
        _numbers(panels[1, 1])
        tidy(panels[1, 1], "numbers with means of their own", "cos")
        _reserve(panels[1, 2], ranks)
        tidy(panels[1, 2], f"a reserve in weights of {SHAPE[0]} x {SHAPE[1]}", "rank")
        for axes in panels.flat:
            axes.legend(fontsize=6.5, frameon=False)
            axes.set_ylim(0, 1.03)


def _curves(axes: Axes, along: str, values: Numbers, by: str, lines: Sequence[float]) -> None:
    """Theorem 2.1 as lines and draws as dots, with two standard errors."""
    fine = np.geomspace(values[0], values[-1], 100) if values[0] > 0 else np.linspace(values[0], values[-1], 400)
    for i, value in enumerate(lines):
        fixed = {name: getattr(PLAIN, name) for name in ("a", "mu", "sigma", "n", "cos")} | {by: value}
        axes.plot(fine, theory.theorem_2_1(**fixed | {along: fine}), color=COLOURS[i], linewidth=1)
        setups = [Setup(**fixed | {along: x, "n": int(x if along == "n" else fixed["n"])}) for x in values.tolist()]
        drawn = [nearest(setup, PARAMETERS, seed_of(along, i, j)) for j, setup in enumerate(setups)]
        _dots(axes, values, drawn, i, f"{ {'n': 'N'}.get(by, by) } = {value:g}")


def _numbers(axes: Axes) -> None:
    fine, values = np.linspace(-1, 1, 400), np.linspace(-1, 1, 11)
    of = (PLAIN.a, PLAIN.mu, PLAIN.sigma, PLAIN.n)
    setups = [dataclasses.replace(PLAIN, cos=x) for x in values.tolist()]
    drawn = [scalars(setup, PARAMETERS, seed_of("numbers", j)) for j, setup in enumerate(setups)]
    axes.plot(fine, theory.theorem_2_1(*of, fine), color=COLOURS[0], linewidth=1, label="Theorem 2.1")
    for i, (function, name) in enumerate(((theory.scalar_share, "nearer to m1"), (theory.sign_share, "sign of m1")), 1):
        axes.plot(fine, [function(*of, x) for x in fine.tolist()], color=COLOURS[i], linewidth=1)
        _dots(axes, values, [shares[i - 1] for shares in drawn], i, name)


def _reserve(axes: Axes, ranks: Sequence[Rank]) -> None:
    """rho stands for what is in the reserve's directions; over weights of this size it hardly varies."""
    fine = np.arange(SHAPE[1] + 1)
    rho = np.array([theory.reach(rank, *SHAPE) for rank in fine.tolist()])
    of = (RESERVE.mu, RESERVE.sigma, RESERVE.n, RESERVE.cos)
    bound, expected = (
        theory.theorem_3_1(theory.alpha(rho), *of),
        theory.theorem_2_1(theory.with_reserve(RESERVE.a, rho), *of),
    )
    axes.plot(fine, bound, color=COLOURS[0], linewidth=1, label="Theorem 3.1 (bound, any a)")
    axes.plot(fine, expected, color=COLOURS[1], linewidth=1)
    x = np.array([row.rank for row in ranks], np.float64)
    _dots(axes, x, [row.drawn for row in ranks], 1, f"a = {RESERVE.a:g}")


def _dots(axes: Axes, x: Numbers, drawn: Sequence[Share], i: int, label: str) -> None:
    y, error = [share.value for share in drawn], [2 * share.se for share in drawn]
    axes.errorbar(x, y, error, color=COLOURS[i], fmt=MARKERS[i], markersize=3, linewidth=0.8, label=label)
