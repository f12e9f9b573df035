"""Pictures of a line per method: leading methods and the baseline in colour, the others thin and grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ltgen_bench.drawing import drawable
from ltgen_bench.leaderboard.pictures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 2.9, 2.9
"""Inches of a panel; of a single one, twice the width."""


LEADING = 5
"""Lines that stand out; the baseline does besides."""


def draw_lines(shown: Mapping[str, Any]) -> Figure:
    """shown: title, below, x (its label), y, log (names of logarithmic axes), falling (x from right to left), baseline,
    ranked ([name, place on the page]), named ([x, what it is called], if anything), panels: [{title, lines: {name:
    {x, y, spread}}}]."""
    panels, baseline = shown["panels"], shown["baseline"]
    drawn = [name for name, _ in shown["ranked"] if any(name in content["lines"] for content in panels)]
    others = [name for name in drawn if name != baseline]
    leading = others if len(others) == LEADING + 1 else others[:LEADING]  # the name is as short as "1 other"
    colours = style.looks(shown["ranked"], baseline)
    looks = {name: colours[name] for name in drawn if name in leading or name == baseline}
    listed = looks | ({f"{more} others": _GREY} if (more := len(drawn) - len(looks)) else {})
    width, gap, left = 2 * WIDTH if len(panels) == 1 else WIDTH, 0.5, 0.75
    aside = left + len(panels) * (width + gap) - gap + 0.3
    across = aside + style.width_of(listed)
    figure = style.new_figure(across, HEIGHT + 0.9, shown["title"], shown["below"])
    for place, content in enumerate(panels):
        axes = style.panel(figure, left + place * (width + gap), 0.6, width, HEIGHT)
        style.label(axes, shown["x"], shown["y"] if place == 0 else "", content["title"])
        for name, line in content["lines"].items():
            _draw_line(axes, line, looks.get(name), front=name == baseline)
        _scale(axes, shown, content["lines"], [line for name, line in content["lines"].items() if name in looks])
    if "y" in shown["log"]:  # one quantity, one scale
        ends = [axes.get_ylim() for axes in figure.axes]
        for axes in figure.axes:
            axes.set_ylim(min(low for low, _ in ends), max(high for _, high in ends))
    style.list_names(figure, aside, style.head(shown["below"], across) + 0.35, listed)
    return figure


_DASHES = {"s": "--", "v": ":", "^": "-."}
"""Of lines whose colour comes a second time, or more often: markers may be far apart."""
_GREY = {"color": style.OTHERS, "marker": "_"}


def _draw_line(axes: Axes, line: Mapping[str, Any], look: Mapping[str, Any] | None, *, front: bool) -> None:
    if look is None:
        axes.plot(line["x"], line["y"], color=style.OTHERS, linewidth=0.7, alpha=0.8, zorder=2)
        return
    size = 0 if len(line["x"]) > 15 else 7 if look["marker"] == "*" else 4
    dashes = _DASHES.get(look["marker"], "-")
    axes.plot(line["x"], line["y"], **look, ls=dashes, markersize=size, linewidth=1.6, zorder=4 if front else 3)
    if spread := line.get("spread"):
        low, high = ([y + sign * s for y, s in zip(line["y"], spread, strict=True)] for sign in (-1, 1))
        axes.fill_between(line["x"], low, high, color=look["color"], alpha=0.1, linewidth=0, zorder=1)


def _scale(
    axes: Axes, shown: Mapping[str, Any], lines: Mapping[str, Mapping[str, Any]], whole: Sequence[Mapping[str, Any]]
) -> None:
    """whole: lines no part of which may be outside."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

    values = sorted({x for line in lines.values() for x in line["x"]})
    heights = [y for line in lines.values() for y in line["y"]]
    if "y" in shown["log"] and min(heights) > 0:
        axes.set_yscale("log")
        axes.set_ylim(0.95 * min(heights), 1.05 * max(heights))
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        low, high = style.ends(heights)
        axes.set_ylim(low, max([high, *(1.02 * y for line in whole for y in line["y"])]))
    if "x" in shown["log"] and values[0] > 0:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        named = {count: f"\n{drawable(name)}" for count, name in shown.get("named", ())}
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}{named.get(round(x), '')}"))
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
