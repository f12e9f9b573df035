"""Groups side by side, every seed a dot."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ltgen_bench.data.image_grid import COLOURS
from ltgen_bench.drawing import drawable
from ltgen_bench.leaderboard.pictures.picture import Picture
from ltgen_bench.probes.claims import GROUPS, Row
from ltgen_bench.probes.pictures.drawing import MARKERS, blank, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FAR = 20
"""Times the median."""


def dots(name: str, title: str, panels: Mapping[str, Sequence[Row]], x: str) -> Picture:
    """A panel for each set of rows; a line for each row, with a dot for each seed and a dash for their mean."""
    shown = {
        "title": title,
        "x": x,
        "colours": dict(COLOURS),
        "panels": [
            {
                "title": panel,
                "rows": [
                    {"name": row.name, "groups": {g: list(row.groups.get(g, {}).values()) for g in GROUPS}}
                    for row in rows
                ],
            }
            for panel, rows in panels.items()
        ],
    }
    return Picture(name, f"{title}: each group by method, a dot for each seed", shown, _draw)


def _draw(shown: Mapping[str, Any]) -> Figure:
    panels = shown["panels"]
    names = [[row["name"] for row in panel["rows"]] for panel in panels]
    most, longest = (max((size(each) for each in names), default=0) for size in (len, _longest))
    alike = all(each == names[0] for each in names)
    labels = 0.065 * longest * (1 if alike else len(panels))
    figure = blank(1.0 + labels + 3.0 * len(panels), 1.3 + 0.34 * most)
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for number, (axes, panel) in enumerate(zip(all_axes, panels, strict=True)):
        _panel(axes, panel["rows"], shown["colours"], named=number == 0 or not alike)
        tidy(axes, panel["title"], shown["x"], "")
    if shown["x"]:  # one quantity, one scale
        _scale(all_axes, [row for panel in panels for row in panel["rows"]])
    for number, group in enumerate(GROUPS):
        all_axes[-1].plot([], [], MARKERS[number], color=shown["colours"][group], ms=3.5, label=group)
    figure.legend(loc="outside lower right", fontsize=7, frameon=False, ncols=3)
    figure.suptitle(drawable(shown["title"]), fontsize=9, parse_math=False)
    return figure


def _longest(names: Sequence[str]) -> int:
    return max(map(len, names), default=0)


def _panel(axes: Axes, rows: Sequence[Mapping[str, Any]], colours: Mapping[str, str], *, named: bool) -> None:
    for place, row in enumerate(rows):
        for number, group in enumerate(GROUPS):
            if values := row["groups"][group]:
                y, colour = place + 0.24 * (number - 1), colours[group]
                axes.plot(values, [y] * len(values), MARKERS[number], color=colour, ms=3.5, alpha=0.7)
                axes.vlines(statistics.fmean(values), y - 0.11, y + 0.11, color=colour, linewidth=1.5)
        if place:
            axes.axhline(place - 0.5, color="#e6e6e6", linewidth=0.7, zorder=0)
    axes.set_ylim(max(1, len(rows)) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [drawable(row["name"]) if named else "" for row in rows], fontsize=7)
    axes.grid(axis="y", visible=False)
    for tick in axes.get_yticklabels():
        tick.set_parse_math(False)
    axes.axvline(0, color="#888888", linewidth=0.8)


def _scale(all_axes: Sequence[Axes], rows: Sequence[Mapping[str, Any]]) -> None:
    """Where a few are so large that all others would be a line, the scale is logarithmic beyond these, and says so."""
    from matplotlib.ticker import FuncFormatter

    sizes = [abs(value) for row in rows for values in row["groups"].values() for value in values]
    usual = statistics.median(sizes) if sizes else 0
    if usual and max(sizes) > FAR * usual:
        linear = FAR / 5 * usual  # most of them stay on this part
        for axes in all_axes:
            axes.set_xscale("symlog", linthresh=linear)
            axes.autoscale(axis="x")  # with margins of the new scale
            axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,g}"))
            note = axes.annotate(f"logarithmic beyond {linear:.2g}", (1, 1), (0, 2), "axes fraction", "offset points")
            note.set(fontsize=6.5, ha="right", va="bottom", color="#666666")
    ends = [axes.get_xlim() for axes in all_axes]
    for axes in all_axes:
        axes.set_xlim(min(low for low, _ in ends), max(high for _, high in ends))
