"""A picture of what a probe found: class by class, from the largest to the smallest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ltgen_bench.drawing import drawable
from ltgen_bench.probes.pictures.drawing import COLOURS, MARKERS, drawing, tidy
from ltgen_bench.probes.probe_file import ProbeFile
from ltgen_bench.probes.tables import summarised

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Place = Literal["outside lower left", "outside lower center", "outside lower right"]
NAMED = 20
"""Classes whose counts there is room for."""


def save(found: ProbeFile, path: Path) -> None:
    """Write the PNG."""
    draw = _draw_dominance if found.spec.kind == "dominance" else _draw_changes
    draw(found, path)


def _draw_changes(found: ProbeFile, path: Path) -> None:
    parts: Mapping[str, Any] = found.result["losses"]
    with drawing(path, 9.5, 3.6) as figure:
        panels = figure.subplots(1, len(parts), sharey=True, squeeze=False)[0]
        for axes, (name, part) in zip(panels, parts.items(), strict=True):
            for number, (variant, change) in enumerate(summarised(part["change"]).items()):
                _points(axes, found, number, variant, change)
            axes.axhline(0, color="#888888", linewidth=0.8)
            tidy(axes, f"on {name} images", "", "change of the denoising loss, %" if axes is panels[0] else "")
            _name_classes(axes, found)
        _legend(figure, panels[-1], "outside lower center")
        figure.suptitle(drawable(f"{found.title}: {found.spec.kind}"), fontsize=9, parse_math=False)


def _draw_dominance(found: ProbeFile, path: Path) -> None:
    scopes: Mapping[str, Mapping[str, float | None]] = found.result["scopes"]
    shown = {
        "cosine of mean gradients": {"update": "to_update", "majority": "to_majority", "minority": "to_minority"},
        "parameters with the sign they ask for": {"all": "same_sign", "opposed ones": "opposed_same_sign"},
    }
    with drawing(path, 9.5, 3.6) as figure:
        panels = figure.subplots(1, 2)
        places: tuple[Place, ...] = ("outside lower left", "outside lower right")
        for axes, place, (title, lines) in zip(panels, places, shown.items(), strict=True):
            for number, (label, key) in enumerate(lines.items()):
                _points(
                    axes,
                    found,
                    number,
                    label,
                    {s: (figures[key], figures.get(f"{key}_se")) for s, figures in scopes.items()},
                    scale=1,
                )
            tidy(axes, title, "")
            _name_classes(axes, found)
            _legend(figure, axes, place)
        panels[1].axhline(0.5, color="#888888", linewidth=0.8)
        figure.suptitle(drawable(f"{found.title}: {found.spec.kind}"), fontsize=9, parse_math=False)


def _points(
    axes: Axes,
    found: ProbeFile,
    number: int,
    label: str,
    cells: Mapping[str, tuple[float | None, float | None]],
    scale: float = 100,
) -> None:
    """A point for each class, with its error, and a line for the mean of each group."""
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    shift = 0.12 * (number - 1)
    place = -1
    for group, ids in found.groups:
        first = place + 1
        for c in ids:
            place += 1
            value, error = cells.get(str(c), (None, None))
            if value is not None:
                axes.errorbar(
                    place + shift, scale * value, scale * (error or 0), fmt=marker, color=colour, ms=3, elinewidth=0.8
                )
        if (mean := cells.get(group, (None, None))[0]) is not None:
            axes.hlines(scale * mean, first - 0.3, place + 0.3, color=colour, linewidth=1)
    axes.plot([], [], marker=marker, color=colour, ms=3, linewidth=1, label=label)


def _legend(figure: Figure, axes: Axes, place: Place) -> None:
    """Of what is drawn in a panel, below all of them."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=7, frameon=False, ncols=len(labels), loc=place)


def _name_classes(axes: Axes, found: ProbeFile) -> None:
    ids = [c for _, of_group in found.groups for c in of_group]
    counts = found.run.dataset.class_counts
    if len(ids) <= NAMED:
        names = [f"{drawable(found.class_names[c])[:9]}\n{counts[c]:,}" for c in ids]
        axes.set_xticks(range(len(ids)), names, fontsize=6)
        axes.set_xlabel("class and its training images; lines: means of majority, medium and minority", fontsize=7)
    else:
        axes.set_xlabel("classes, the largest first; lines: means of majority, medium and minority", fontsize=7)
