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


def dots(name: str, title: str, panels: Mapping[str, Sequence[Row]], y: str) -> Picture:
    """A panel for each set of rows; a column for each row, with a dot for each seed and a dash for their mean."""
    shown = {
        "title": title,
        "y": y,
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
    most = max((len(panel["rows"]) for panel in panels), default=1)
    longest = max((len(row["name"]) for panel in panels for row in panel["rows"]), default=0)
    figure = blank(max(6.0, 1.0 + len(panels) * (1.0 + 0.42 * most)), 3.6 + 0.055 * longest)
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for number, (axes, panel) in enumerate(zip(all_axes, panels, strict=True)):
        _panel(axes, panel["rows"], shown["colours"])
        scale = ", logarithmic beyond what most are" if axes.get_yscale() == "symlog" else ""
        tidy(axes, f"{panel['title']}{scale}", "", shown["y"] if number == 0 else "")
    for number, group in enumerate(GROUPS):
        all_axes[-1].plot([], [], MARKERS[number], color=shown["colours"][group], ms=3.5, label=group)
    figure.legend(loc="outside lower right", fontsize=7, frameon=False, ncols=3)
    figure.suptitle(drawable(shown["title"]), fontsize=9, parse_math=False)
    return figure


def _panel(axes: Axes, rows: Sequence[Mapping[str, Any]], colours: Mapping[str, str]) -> None:
    for place, row in enumerate(rows):
        for number, group in enumerate(GROUPS):
            if values := row["groups"][group]:
                x, colour = place + 0.22 * (number - 1), colours[group]
                axes.plot([x] * len(values), values, MARKERS[number], color=colour, ms=3.5, alpha=0.7)
                axes.hlines(statistics.fmean(values), x - 0.1, x + 0.1, color=colour, linewidth=1.5)
    axes.set_xticks(range(len(rows)), [drawable(row["name"]) for row in rows], rotation=90, fontsize=6.5)
    for tick in axes.get_xticklabels():
        tick.set_parse_math(False)
    axes.axhline(0, color="#888888", linewidth=0.8)
    _keep_legible(axes, [abs(value) for row in rows for values in row["groups"].values() for value in values])


def _keep_legible(axes: Axes, sizes: Sequence[float]) -> None:
    """Where a few are so large that all others would be a line, the scale is logarithmic beyond these."""
    if not sizes or max(sizes) <= FAR * (usual := statistics.median(sizes)) or usual == 0:
        return
    from matplotlib.ticker import FuncFormatter

    axes.set_yscale("symlog", linthresh=FAR / 5 * usual)  # most of them stay on the linear part
    axes.autoscale(axis="y")  # with margins of the new scale
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,g}"))
