"""How all pictures look: an opaque white panel, legible on any background, and colours of Okabe and Ito, which
colour-blind readers tell apart; every line has a marker of its own besides."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ltgen_bench.drawing import drawable
from ltgen_bench.leaderboard.board import Board
from ltgen_bench.leaderboard.pictures.picture import DPI
from ltgen_bench.leaderboard.rows import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c6d1f")
MARKERS = "osv^DPX"
BASELINE_COLOUR, OTHERS, TEXT, SOFT = "#000000", "#b8b8b8", "#222222", "#6a6a6a"
LEADING = 5
"""Methods that stand out where each is a line; the baseline does besides."""
NAME = 34
"""Characters of a name that there is room for."""


def named(rows: Sequence[Row]) -> list[str]:
    """A name for each row as it can be drawn: short, and no two alike."""
    names = [drawable(row.name) for row in rows]
    short = [name if len(name) <= NAME else f"{name[: NAME - 1]}…" for name in names]
    return [f"{name} [{i + 1}]" if short.count(name) > 1 else name for i, name in enumerate(short)]


def looks(names: Sequence[str], baseline: str | None) -> list[dict[str, Any]]:
    """Colour and marker of each, in order of rank: the first ones have colours of their own."""
    found: list[dict[str, Any]] = []
    place = 0
    for name in names:
        if name == baseline:
            found.append({"color": BASELINE_COLOUR, "marker": "*"})
            continue
        colour, marker = COLOURS[place % len(COLOURS)], place // len(COLOURS)
        several = marker < len(MARKERS)
        found.append({"color": colour if several else OTHERS, "marker": MARKERS[marker] if several else "."})
        place += 1
    return found


def stands_out(names: Sequence[str], baseline: str | None) -> list[bool]:
    """Which of them, in order of rank, are drawn in colour where each is a line."""
    ranked = [name for name in names if name != baseline]
    return [name == baseline or name in ranked[:LEADING] for name in names]


def baseline_name(board: Board, rows: Sequence[Row], names: Sequence[str]) -> str | None:
    return next((name for name, row in zip(names, rows, strict=True) if row is board.baseline), None)


def new_figure(width: float, height: float, title: str, below: str) -> Figure:
    """In inches. below: the title's second line, small."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white", edgecolor="#d0d0d0", linewidth=1.5)
    figure.text(0.12 / width, 1 - 0.22 / height, drawable(title), fontsize=11, va="center", color=TEXT, **PLAIN)
    figure.text(0.12 / width, 1 - 0.45 / height, drawable(below), fontsize=7.5, va="center", color=SOFT, **PLAIN)
    return figure


PLAIN: Mapping[str, Any] = {"parse_math": False}
"""Of texts: $ is a dollar."""

HEAD = 0.62
"""Inches that the two lines of a title take."""


def panel(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place in inches, with a light grid and no frame above and to the right."""
    whole = figure.get_size_inches()
    axes = figure.add_axes((left / whole[0], bottom / whole[1], width / whole[0], height / whole[1]))
    axes.grid(color="#e6e6e6", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, color="#999999", labelcolor=TEXT)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color("#999999")
    return axes


def label(axes: Axes, x: str = "", y: str = "", title: str = "") -> None:
    axes.set_xlabel(drawable(x), fontsize=8.5, color=TEXT, **PLAIN)
    axes.set_ylabel(drawable(y), fontsize=8.5, color=TEXT, **PLAIN)
    axes.set_title(drawable(title), fontsize=9, loc="left", color=TEXT, **PLAIN)


def list_names(
    figure: Figure, left: float, top: float, names: Sequence[str], looks: Sequence[Mapping[str, Any]]
) -> None:
    """A legend in the order of rank, beside the panels; left, top: in inches from the upper left corner."""
    width, height = figure.get_size_inches()
    from matplotlib.lines import Line2D

    for i, (name, look) in enumerate(zip(names, looks, strict=True)):
        y = 1 - (top + 0.205 * i) / height
        figure.add_artist(Line2D([left / width], [y], linestyle="none", markersize=6, **look))
        figure.text((left + 0.13) / width, y, name, fontsize=8, va="center", color=TEXT, **PLAIN)


def ends(values: Iterable[float]) -> tuple[float, float]:
    """Of an axis that shows these: without values so far above the others that these would be a line."""
    found = sorted(values)
    low, high = found[0], found[-1]
    if len(found) >= 4:
        first, _, third = statistics.quantiles(found, n=4)
        high = max(value for value in found if value <= third + 4 * (third - first) or value == found[0])
    room = 0.06 * (high - low or abs(high) or 1.0)
    return low - room, high + room
