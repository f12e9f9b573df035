"""What a method does for the minority, at what price for the majority: every seed a dot."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ltgen_bench.drawing import drawable
from ltgen_bench.leaderboard.board import Board
from ltgen_bench.leaderboard.pictures import style
from ltgen_bench.leaderboard.pictures.picture import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def trade_off(name: str, title: str, board: Board, order: Sequence[str]) -> Picture | None:
    """None where fewer than two rows have both distances. order: see `style.places`."""
    record, rows, names = board.records[0], board.all_rows, style.named(board.all_rows)
    lines = []
    for row, drawn in zip(rows, names, strict=True):
        majority, minority = row.by_seed(board.majority), row.by_seed(board.minority)
        if seeds := [[majority[seed], minority[seed]] for seed in sorted(majority.keys() & minority.keys())]:
            lines.append({"name": drawn, "seeds": seeds, "copied": style.is_copied(row)})
    if len(lines) < 2:
        return None
    shown = {
        "title": f"{title}: minority against majority",
        "below": f"{board.title} · small: each seed, large: their mean · lower left is better{style.marks_said(rows)}",
        "x": board.majority.title(record),
        "y": board.minority.title(record),
        "baseline": style.baseline_name(board, rows, names),
        "ranked": style.places(rows, names, order),
        "lines": lines,
    }
    return Picture(name, f"{title}: distance of the minority against that of the majority, by method", shown, _draw)


def _draw(shown: Mapping[str, Any]) -> Figure:
    lines, baseline = shown["lines"], shown["baseline"]
    names = [line["name"] for line in lines]
    colours = style.looks(shown["ranked"], baseline)
    listed = {name: colours[name] for name in names}
    inner, left = max(3.7, style.LISTED * len(lines)), 6.4
    width = left + style.width_of(names)
    figure = style.new_figure(width, inner + 0.75, shown["title"], shown["below"])
    axes = style.panel(figure, 0.75, 0.55, 5.35, inner)
    style.label(axes, shown["x"], shown["y"])
    for axis, place in ((axes.set_xlim, 0), (axes.set_ylim, 1)):
        values = [[seed[place] for seed in line["seeds"]] for line in lines]
        low, high = style.ends(itertools.chain(*values))
        near = high + 0.1 * (high - low)  # a mean just beyond the edge is not to be cut in two
        axis(low, near if any(high < mean < near for mean in map(statistics.fmean, values)) else high)
    for line in lines:
        look, own = listed[line["name"]], line["name"] == baseline
        x, y = (statistics.fmean(seed[place] for seed in line["seeds"]) for place in (0, 1))
        for a, b in line["seeds"]:
            axes.plot([x, a], [y, b], color=look["color"], linewidth=0.6, alpha=0.35, zorder=2)
            axes.plot([a], [b], **look, markersize=3.4, alpha=0.6, linestyle="none", markeredgewidth=0, zorder=3)
        size = 13 if own else 8
        inside, edge = ("white", look["color"]) if line["copied"] else (look["color"], "white")
        large: dict[str, Any] = {
            "markersize": size,
            "markerfacecolor": inside,
            "markeredgecolor": edge,
            "markeredgewidth": 0.8,
        }
        axes.plot([x], [y], **look, **large, zorder=4)
        if own:
            _draw_cross_hairs(axes, line["name"], x, y)
    _say_what_is_outside(axes, lines, listed)
    style.list_names(figure, left, style.head(shown["below"], width) + 0.25, listed)
    return figure


def _draw_cross_hairs(axes: Axes, name: str, x: float, y: float) -> None:
    for line in (axes.axvline(x), axes.axhline(y)):
        line.set(color="#777777", linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    axes.fill_between(
        [axes.get_xlim()[0], x], axes.get_ylim()[0], y, color="#009e73", alpha=0.07, linewidth=0, zorder=0
    )
    said = axes.text(
        0.015, 0.015, drawable(f"better than {name} in both"), transform=axes.transAxes, fontsize=7.5, **style.PLAIN
    )
    said.set(color="#00694d", bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1.5})


def _say_what_is_outside(
    axes: Axes, lines: Sequence[Mapping[str, Any]], looks: Mapping[str, Mapping[str, Any]]
) -> None:
    """Seeds beyond the ends of an axis: marks at its edge, and a line of text for each method."""
    right, top = axes.get_xlim()[1], axes.get_ylim()[1]
    said = 0
    for line in lines:
        outside = [(x, y) for x, y in line["seeds"] if x > right or y > top]
        for x, y in outside:
            look = {**looks[line["name"]], "marker": ">" if x > right else "^", "markerfacecolor": "white"}
            axes.plot([min(x, right)], [min(y, top)], **look, markersize=6, clip_on=False, zorder=5)
        if outside:
            x, y = (statistics.fmean(values) for values in zip(*outside, strict=True))
            seeds = f"{len(outside)} seed{'s' * (len(outside) > 1)}"
            mean = [statistics.fmean(values) for values in zip(*line["seeds"], strict=True)]
            text = f"beyond the edge: {line['name']}, {seeds} around ({x:.4g}, {y:.4g})"
            text += f", mean ({mean[0]:.4g}, {mean[1]:.4g})" * bool(mean[0] > right or mean[1] > top)
            note = axes.annotate(
                drawable(text), (1, 1), (0, 6 + 10 * said), "axes fraction", "offset points", **style.PLAIN
            )
            note.set(fontsize=7, ha="right", va="bottom", color=style.SOFT)
            said += 1
