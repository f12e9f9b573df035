"""The groups' distances against the width of the network."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltgen_bench.leaderboard.paired import mean_and_interval
from ltgen_bench.probes.pictures.drawing import COLOURS, MARKERS, drawing, tidy
from ltgen_bench.probes.width import GROUPS, Widths

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES = {"majority": "-", "minority": "--"}


def draw(widths: Widths, path: Path) -> None:
    """Distances, gap and differences to the baseline against parameters: a dot for each seed, a line through means."""
    others = [method for method in widths.methods if method != widths.base]
    with drawing(path, 3.6 * (3 if others else 2), 3.6) as figure:
        panels = figure.subplots(1, 3 if others else 2)
        for i, (method, cells) in enumerate(widths.methods.items()):
            for group in GROUPS:
                _line(panels[0], [(c.parameters, c.of(group)) for c in cells], (i, group), f"{method}, {group}")
            _line(panels[1], [(c.parameters, c.gap) for c in cells], (i, "majority"), method)
        tidy(panels[0], "distance of the groups", "parameters", widths.name)
        tidy(panels[1], "gap: minority less majority", "parameters")
        for i, method in enumerate(widths.methods):
            for group in GROUPS if method in others else ():
                found = [(cell.parameters, widths.beside_base(cell, group)) for cell in widths.methods[method]]
                paired = [(x, pair.differences) for x, pair in found if pair is not None]
                _line(panels[2], paired, (i, group), f"{method}, {group}")
        if others:
            tidy(panels[2], f"less {widths.base} (below 0: helps)", "parameters")
            panels[2].axhline(0, color="black", linewidth=0.8)
        counts = sorted({cell.parameters for cell in widths.cells})
        for axes in panels:
            axes.set_xscale("log")
            axes.set_xticks(counts, [_short(count) for count in counts])
            axes.minorticks_off()
            axes.legend(fontsize=6.5, frameon=False)


def _line(axes: Axes, found: Sequence[tuple[int, Mapping[int, float]]], style: tuple[int, str], label: str) -> None:
    """found: (parameters, value by seed). style: which method, and the group that the line's pattern stands for.

    Intervals may leave the panel, as those of two seeds are thirteen times as wide as the seeds are apart.
    """
    from matplotlib.collections import LineCollection

    method, group = style
    colour, marker, line = COLOURS[method % len(COLOURS)], MARKERS[method % len(MARKERS)], LINES[group]
    look: dict[str, Any] = {"color": colour, "markersize": 4}
    look["markerfacecolor"] = colour if group == "majority" else "white"
    beside = 1.04 ** (2 * method + (group == "minority"))  # so that dots and intervals do not hide each other
    known = [(x * beside, list(by_seed.values())) for x, by_seed in found if by_seed]
    axes.plot([], [], line + marker, label=label, **look)
    axes.plot([x for x, _ in known], [statistics.fmean(values) for _, values in known], line, color=colour, lw=1)
    intervals = []
    for x, values in known:
        axes.plot([x] * len(values), values, marker, **look)
        mean, half = mean_and_interval(values)
        intervals += [[(x, mean - half), (x, mean + half)]] if half is not None else []
    axes.add_collection(LineCollection(intervals, colors=colour, linewidths=0.8), autolim=False)


def _short(count: int) -> str:
    """12k, 1.1M."""
    return f"{count / 1e6:.1f}M" if count >= 999_500 else f"{count / 1e3:.0f}k"
