"""Differences from the baseline, seed by seed, with their intervals: a forest plot."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ltgen_bench.leaderboard.board import BASELINE, Board, Versus
from ltgen_bench.leaderboard.paired import LEVEL, SEEDS
from ltgen_bench.leaderboard.pictures import style
from ltgen_bench.leaderboard.pictures.picture import Picture
from ltgen_bench.leaderboard.statistics import Column

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

VERDICTS = {"better": "#0072b2", "worse": "#d55e00", "not resolved": "#8a8a8a", "not ranked": "#b07aa1"}
LINE = 0.27
"""Inches of a row."""


def forest(name: str, title: str, board: Board) -> Picture | None:
    """None where nothing is paired with the baseline."""
    record, found = board.records[0], board.versus
    lines = [
        {"name": shown, "differences": [_difference(versus, column) for column in board.distances]}
        for versus, shown in zip(found, style.named([versus.row for versus in found]), strict=True)
    ]
    lines = [line for line in lines if any(line["differences"])]
    if not lines:
        return None
    shown = {
        "title": f"{title}: difference from {BASELINE}, seed by seed",
        "below": (
            f"{board.title} · mean and {LEVEL:.0%} t interval over n seeds, ticks: each seed · arrows: beyond the "
            f"edge · grey band: below the noise of seeds · left is better{style.marks_said(board.all_rows)}"
        ),
        "panels": [column.title(record) for column in board.distances],
        "lines": lines,
    }
    return Picture(name, f"{title}: paired differences from {BASELINE} with intervals, by method", shown, _draw)


def _difference(versus: Versus, column: Column) -> dict[str, Any] | None:
    if (paired := versus.paired(column)) is None:
        return None
    return {
        "mean": paired.mean,
        "interval": paired.interval,
        "seeds": list(paired.differences.values()),
        "verdict": versus.verdict(column),
        "noise": paired.noise,
    }


def _draw(shown: Mapping[str, Any]) -> Figure:
    lines, panels, width, gap = shown["lines"], shown["panels"], 2.15, 0.2
    names = [f"{line['name']}  (n {_pairs(line['differences'])})" for line in lines]
    left, inner = 0.15 + style.width_of(names), LINE * len(lines) + 0.15
    across = left + len(panels) * (width + gap)
    figure = style.new_figure(across, inner + 1.05, shown["title"], shown["below"])
    reach = _reach([each for line in lines for each in line["differences"] if each is not None])
    for place, title in enumerate(panels):
        axes = style.panel(figure, left + place * (width + gap), 0.75, width, inner)
        style.label(axes, title=title.removesuffix(" ↓"))
        axes.grid(axis="y", visible=False)
        axes.set_ylim(len(lines) - 0.5, -0.5)
        axes.locator_params(axis="x", nbins=4)
        style.name_lines(axes, range(len(lines)), names if place == 0 else [])
        _draw_panel(axes, [line["differences"][place] for line in lines], reach)
    _explain(figure, left, {each["verdict"] for line in lines for each in line["differences"] if each})
    return figure


def _pairs(differences: Sequence[Mapping[str, Any] | None]) -> str:
    numbers = sorted({len(each["seeds"]) if each else 0 for each in differences})
    return "–".join(map(str, numbers[:: max(1, len(numbers) - 1)]))


def _reach(known: Sequence[Mapping[str, Any]]) -> float:
    """The end of the axis, one for all panels, as a gain in one is to be weighed against a price in another.

    Intervals of two seeds are thirteen times as wide as their standard error, and have no say; nor has a method so far
    off that all others would be a line.
    """
    values = [value for each in known for value in (*each["seeds"], each["noise"])]
    values += [end for each in known if len(each["seeds"]) >= SEEDS for end in each["interval"] or ()]
    return style.ends(map(abs, values))[1]


def _draw_panel(axes: Axes, found: Sequence[Mapping[str, Any] | None], reach: float) -> None:
    known = [each for each in found if each is not None]
    axes.axvline(0, color="#555555", linewidth=1, zorder=1)
    if not known:
        return
    noise = statistics.median(each["noise"] for each in known)
    axes.axvspan(-noise, noise, color="#000000", alpha=0.07, linewidth=0, zorder=0)
    axes.set_xlim(-reach, reach)
    for y, each in enumerate(found):
        if each is None:
            axes.text(0, y, "no pair", fontsize=7, ha="center", va="center", color=style.SOFT)
            continue
        colour = VERDICTS[each["verdict"]]
        if each["interval"] is not None:
            low, high = each["interval"]
            axes.plot([max(low, -reach), min(high, reach)], [y, y], color=colour, linewidth=1.8, zorder=2)
            for beyond, at, marker in ((low < -reach, -reach, "<"), (high > reach, reach, ">")):
                if beyond:
                    axes.plot([at], [y], marker=marker, color=colour, markersize=5, clip_on=False, zorder=3)
        axes.plot(each["seeds"], [y] * len(each["seeds"]), "|", color=colour, markersize=8, alpha=0.6, zorder=3)
        if abs(each["mean"]) > reach:
            _say_beyond(axes, y, each["mean"], reach, colour)
        inside = _inside(each["verdict"])
        axes.plot([each["mean"]], [y], "o", color=colour, markerfacecolor=inside, markersize=6.5, zorder=4)


def _say_beyond(axes: Axes, y: float, mean: float, reach: float, colour: str) -> None:
    """A mean beyond the edge, in figures beside an arrow."""
    right = mean > 0
    axes.plot([reach if right else -reach], [y], marker=">" if right else "<", color=colour, clip_on=False, zorder=3)
    place, side = (reach if right else -reach, y), -7 if right else 7
    said = axes.annotate(f"{mean:+.3g}", place, (side, 3), textcoords="offset points", fontsize=7, va="bottom")
    said.set(ha="right" if right else "left", color=colour)


def _inside(verdict: str) -> str:
    """The colour of the dot: hollow where nothing may be read from its side."""
    return VERDICTS[verdict] if verdict in ("better", "worse") else "white"


def _explain(figure: Figure, left: float, verdicts: Collection[str]) -> None:
    """What the marks mean, below the panels."""
    from matplotlib.lines import Line2D

    width, height = figure.get_size_inches()
    drawn = [verdict for verdict in VERDICTS if verdict in verdicts]
    for place, verdict in enumerate(drawn):
        inside, colour = _inside(verdict), VERDICTS[verdict]
        x, y = (left + 1.1 * place) / width, 0.2 / height
        figure.add_artist(Line2D([x], [y], marker="o", color=colour, markerfacecolor=inside, linestyle="none"))
        figure.text(x + 0.12 / width, y, verdict, fontsize=8, va="center", color=style.TEXT)
