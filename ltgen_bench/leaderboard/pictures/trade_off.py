"""What a method does for the minority, at what price for the majority: every seed a dot."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ltgen_bench.leaderboard.board import Board
from ltgen_bench.leaderboard.pictures import style
from ltgen_bench.leaderboard.pictures.picture import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def trade_off(name: str, title: str, board: Board) -> Picture | None:
    """None where fewer than two rows have both distances."""
    record, rows, names = board.records[0], board.all_rows, style.named(board.all_rows)
    lines = []
    for row, drawn in zip(rows, names, strict=True):
        majority, minority = row.by_seed(board.majority), row.by_seed(board.minority)
        if seeds := [[majority[seed], minority[seed]] for seed in sorted(majority.keys() & minority.keys())]:
            lines.append({"name": drawn, "seeds": seeds})
    if len(lines) < 2:
        return None
    shown = {
        "title": f"{title}: minority against majority",
        "below": f"{board.title} · small: each seed, large: their mean · lower left is better",
        "x": board.majority.title(record),
        "y": board.minority.title(record),
        "baseline": style.baseline_name(board, rows, names),
        "lines": lines,
    }
    return Picture(name, f"{title}: distance of the minority against that of the majority, by method", shown, _draw)


def _draw(shown: Mapping[str, Any]) -> Figure:
    lines, baseline = shown["lines"], shown["baseline"]
    names = [line["name"] for line in lines]
    looks = style.looks(names, baseline)
    height = max(4.6, style.HEAD + 0.4 + 0.205 * len(lines))
    figure = style.new_figure(9.0, height, shown["title"], shown["below"])
    axes = style.panel(figure, 0.75, 0.55, 5.35, height - style.HEAD - 0.7)
    style.label(axes, shown["x"], shown["y"])
    for axis, place in ((axes.set_xlim, 0), (axes.set_ylim, 1)):
        axis(*style.ends(seed[place] for line in lines for seed in line["seeds"]))
    for line, look in zip(lines, looks, strict=True):
        x, y = (statistics.fmean(seed[place] for seed in line["seeds"]) for place in (0, 1))
        if line["name"] == baseline:
            axes.axvline(x, color="#777777", linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
            axes.axhline(y, color="#777777", linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
            axes.fill_between([-1e6, x], -1e6, y, color="#009e73", alpha=0.06, linewidth=0, zorder=0)
        for a, b in line["seeds"]:
            axes.plot([x, a], [y, b], color=look["color"], linewidth=0.6, alpha=0.35, zorder=2)
            axes.plot([a], [b], **look, markersize=3.2, alpha=0.55, linestyle="none", markeredgewidth=0, zorder=3)
        size = 13 if line["name"] == baseline else 8
        axes.plot([x], [y], **look, markersize=size, markeredgecolor="white", markeredgewidth=0.8, zorder=4)
    _mark_what_is_outside(axes, lines, looks)
    style.list_names(figure, 6.4, style.HEAD + 0.18, names, looks)
    if baseline is not None:
        look = {"transform": axes.transAxes, "fontsize": 7.5, "color": "#00694d", **style.PLAIN}
        axes.text(0.015, 0.015, f"better than {baseline} in both", **look)
    return figure


def _mark_what_is_outside(axes: Axes, lines: list[Mapping[str, Any]], looks: list[dict[str, Any]]) -> None:
    """Seeds beyond the ends of an axis are arrows at its edge, with their distances."""
    right, top = axes.get_xlim()[1], axes.get_ylim()[1]
    for line, look in zip(lines, looks, strict=True):
        for x, y in line["seeds"]:
            if x <= right and y <= top:
                continue
            at, where = (min(x, right), min(y, top)), "→" if y <= top else "↑" if x <= right else "↗"
            text = f"{line['name']} ({x:.4g}, {y:.4g}) {where}"
            axes.annotate(text, at, fontsize=6.5, ha="right", va="top", color=look["color"], **style.PLAIN)
