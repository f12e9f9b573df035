"""How all pictures look: an opaque white panel, legible on any background, and colours of Okabe and Ito, which
colour-blind readers tell apart; every line has a marker of its own besides."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ltgen_bench.drawing import drawable
from ltgen_bench.leaderboard.board import Board
from ltgen_bench.leaderboard.cells import OWN
from ltgen_bench.leaderboard.notes import COPIES
from ltgen_bench.leaderboard.pictures.picture import DPI
from ltgen_bench.leaderboard.rows import Row
from ltgen_bench.leaderboard.statistics import Column
from ltgen_bench.scoring.metric_table import SCOPES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c6d1f")
MARKERS = "osv^DPX"
BASELINE_COLOUR, OTHERS, TEXT, SOFT = "#000000", "#b8b8b8", "#222222", "#6a6a6a"
NAME = 34
"""Characters of a name that there is room for."""


def named(rows: Sequence[Row]) -> list[str]:
    """A name for each row: short, no two alike, and with its marks."""
    short = [row.name if len(row.name) <= NAME else f"{row.name[: NAME - 1]}…" for row in rows]
    several = [f"{name} [{i + 1}]" if short.count(name) > 1 else name for i, name in enumerate(short)]
    return [" ".join([name, *marks(row)]) for name, row in zip(several, rows, strict=True)]


def marks(row: Row) -> list[str]:
    return [*([COPIES] if is_copied(row) else []), *([OWN] if row.own else [])]


def is_copied(row: Row) -> bool:
    """Whether images of a group are copies of training images."""
    return any("memorised" in row.flags(Column("memorised", group)) for group in SCOPES)


def marks_said(rows: Sequence[Row]) -> str:
    """What the marks of names mean, behind other notes."""
    found = {mark for row in rows for mark in marks(row)}
    said = {COPIES: "memorised training images, not ranked", OWN: "not published"}
    return "".join(f" · {mark} {text}" for mark, text in said.items() if mark in found)


def places(rows: Sequence[Row], names: Sequence[str], order: Sequence[str]) -> list[tuple[str, int]]:
    """Of each drawn name, where its row stands among all of the page (order: their names)."""
    return [(name, order.index(row.name)) for name, row in zip(names, rows, strict=True)]


def looks(ranked: Iterable[tuple[str, int]], baseline: str | None) -> dict[str, dict[str, Any]]:
    """Colour and marker of each name, by its place on the page: the same in all of its pictures."""
    found: dict[str, dict[str, Any]] = {}
    for name, place in ranked:
        if name == baseline:
            continue
        colour, marker = COLOURS[place % len(COLOURS)], place // len(COLOURS)
        several = marker < len(MARKERS)
        found[name] = {"color": colour if several else OTHERS, "marker": MARKERS[marker] if several else "."}
    return found | ({baseline: {"color": BASELINE_COLOUR, "marker": "*"}} if baseline is not None else {})


def baseline_name(board: Board, rows: Sequence[Row], names: Sequence[str]) -> str | None:
    return next((name for name, row in zip(names, rows, strict=True) if row is board.baseline), None)


def new_figure(width: float, height: float, title: str, below: str) -> Figure:
    """In inches; height: without the head. below: lines below the title, small, wrapped to the width."""
    from matplotlib.figure import Figure

    lines = _wrapped(below, width)
    height += head(below, width)
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white", edgecolor="#d0d0d0", linewidth=1.5)
    figure.text(0.12 / width, 1 - 0.22 / height, drawable(title), fontsize=11, va="center", color=TEXT, **PLAIN)
    for i, line in enumerate(lines):
        y = 1 - (0.45 + 0.15 * i) / height
        figure.text(0.12 / width, y, drawable(line), fontsize=7.5, va="center", color=SOFT, **PLAIN)
    return figure


def head(below: str, width: float) -> float:
    """Inches that the title and the lines below it take."""
    return 0.5 + 0.15 * len(_wrapped(below, width))


def _wrapped(text: str, width: float) -> list[str]:
    """Parts between dots stay together."""
    room, lines = int((width - 0.24) / 0.058), [""]
    for part in text.split(" · "):
        longer = f"{lines[-1]} · {part}" if lines[-1] else part
        if len(longer) <= room or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines


PLAIN: Mapping[str, Any] = {"parse_math": False}
"""Of texts: $ is a dollar."""


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


def name_lines(axes: Axes, places: Sequence[float], names: Sequence[str]) -> None:
    """Of lines of a panel, one below the other; no names beside a panel that has them."""
    axes.set_yticks(places, list(map(drawable, names)) or [""] * len(places), fontsize=8)
    axes.tick_params(axis="y", length=0)
    for tick in axes.get_yticklabels():
        tick.set_parse_math(False)


def list_names(figure: Figure, left: float, top: float, looks: Mapping[str, Mapping[str, Any]]) -> None:
    """A legend in the order of rank, beside the panels; left, top: in inches from the upper left corner."""
    from matplotlib.lines import Line2D

    width, height = figure.get_size_inches()
    for i, (name, look) in enumerate(looks.items()):
        y = 1 - (top + LISTED * i) / height
        figure.add_artist(Line2D([left / width], [y], linestyle="none", markersize=6, **look))
        figure.text((left + 0.13) / width, y, drawable(name), fontsize=8, va="center", color=TEXT, **PLAIN)


LISTED = 0.205
"""Inches of a line of the legend."""


def width_of(names: Iterable[str]) -> float:
    """Inches that the legend takes."""
    return 0.35 + 0.065 * max(map(len, names))


def ends(values: Iterable[float]) -> tuple[float, float]:
    """Of an axis that shows these: without values so far above the others that these would be a line."""
    found = sorted(values)
    low, high = found[0], found[-1]
    if len(found) >= 4:
        first, _, third = statistics.quantiles(found, n=4)
        high = max(value for value in found if value <= third + 4 * (third - first) or value == found[0])
    room = max(0.06 * (high - low), 0.04 * max(abs(low), abs(high))) or 1.0  # a difference of a thousandth is none
    return low - room, high + room
