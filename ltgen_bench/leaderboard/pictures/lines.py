"""Pictures of a line per method: leading methods and the baseline in colour, the others thin and grey."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ltgen_bench.leaderboard.pictures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 2.9, 2.9
"""Inches of a panel; of a single one, twice the width."""


def draw_lines(shown: Mapping[str, Any]) -> Figure:
    """shown: title, below, x (its label), y, log (names of logarithmic axes), falling (x from right to left), baseline,
    panels: [{title, lines: {name: {x, y, spread}}}], names in order of rank."""
    panels, names = shown["panels"], shown["names"]
    width = 2 * WIDTH if len(panels) == 1 else WIDTH
    gap, left = 0.5, 0.75
    aside = left + len(panels) * (width + gap) - gap + 0.3
    out = style.stands_out(names, shown["baseline"])
    height = max(style.HEAD + 0.3 + HEIGHT + 0.6, style.HEAD + 0.4 + 0.205 * sum(out))
    figure = style.new_figure(aside + 2.6, height, shown["title"], shown["below"])
    looks = style.looks(names, shown["baseline"])
    for place, content in enumerate(panels):
        axes = style.panel(figure, left + place * (width + gap), 0.6, width, height - style.HEAD - 0.95)
        style.label(axes, shown["x"], shown["y"] if place == 0 else "", content["title"])
        for name, look, stands in zip(names, looks, out, strict=True):
            if name in content["lines"]:
                _draw_line(axes, content["lines"][name], look if stands else None, front=name == shown["baseline"])
        _scale(axes, shown, content)
    listed = [(name, look) for name, look, stands in zip(names, looks, out, strict=True) if stands]
    if not all(out):
        listed.append((f"{out.count(False)} others", {"color": style.OTHERS, "marker": "_"}))
    style.list_names(figure, aside, style.HEAD + 0.3, [name for name, _ in listed], [look for _, look in listed])
    return figure


def _draw_line(axes: Axes, line: Mapping[str, Any], look: Mapping[str, Any] | None, *, front: bool) -> None:
    if look is None:
        axes.plot(line["x"], line["y"], color=style.OTHERS, linewidth=0.7, alpha=0.8, zorder=2)
        return
    size = 0 if len(line["x"]) > 30 else 7 if look["marker"] == "*" else 4
    axes.plot(line["x"], line["y"], **look, markersize=size, linewidth=1.6, zorder=4 if front else 3)
    if spread := line.get("spread"):
        low, high = ([y + sign * s for y, s in zip(line["y"], spread, strict=True)] for sign in (-1, 1))
        axes.fill_between(line["x"], low, high, color=look["color"], alpha=0.1, linewidth=0, zorder=1)


def _scale(axes: Axes, shown: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    values = sorted({x for line in content["lines"].values() for x in line["x"]})
    axes.set_ylim(*_limits(content, logarithmic="y" in shown["log"]))
    if "y" in shown["log"]:
        axes.set_yscale("log")
    if "x" in shown["log"] and values and values[0] > 0:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        if len(values) <= 12:
            axes.xaxis.set_major_locator(FixedLocator(_apart(values)))
    if shown["falling"]:
        axes.invert_xaxis()


def _apart(values: list[float]) -> list[float]:
    """Of ascending positive numbers those that leave room for their labels on a logarithmic axis."""
    kept = [values[-1]]
    for value in reversed(values[:-1]):
        if kept[-1] / value > (values[-1] / values[0]) ** 0.09:
            kept.append(value)
    return kept


def _limits(content: Mapping[str, Any], *, logarithmic: bool) -> tuple[float, float]:
    low, high = style.ends(y for line in content["lines"].values() for y in line["y"])
    lowest = min(y for line in content["lines"].values() for y in line["y"])
    return (max(low, 0.9 * lowest) if logarithmic else low), high
