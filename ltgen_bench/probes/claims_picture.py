"""Groups side by side, every seed a dot."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from ltgen_bench.data.image_grid import COLOURS
from ltgen_bench.drawing import drawable
from ltgen_bench.probes.claims import GROUPS, Row
from ltgen_bench.probes.drawing import MARKERS, drawing, tidy


def dots(path: Path, title: str, panels: Mapping[str, Sequence[Row]], y: str) -> None:
    """A panel for each set of rows; a column for each row, with a dot for each seed and a dash for their mean."""
    most = max((len(rows) for rows in panels.values()), default=1)
    longest = max((len(row.name) for rows in panels.values() for row in rows), default=0)
    with drawing(path, max(6.0, 1.0 + len(panels) * (1.0 + 0.42 * most)), 3.6 + 0.055 * longest) as figure:
        for axes, (name, rows) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
            for place, row in enumerate(rows):
                for number, group in enumerate(GROUPS):
                    if values := list(row.groups.get(group, {}).values()):
                        x, colour = place + 0.22 * (number - 1), COLOURS[group]
                        axes.plot([x] * len(values), values, MARKERS[number], color=colour, ms=3.5, alpha=0.7)
                        axes.hlines(statistics.fmean(values), x - 0.1, x + 0.1, color=colour, linewidth=1.5)
            tidy(axes, name, "", y)
            y = ""
            axes.set_xticks(range(len(rows)), [drawable(row.name) for row in rows], rotation=90, fontsize=6.5)
            for tick in axes.get_xticklabels():
                tick.set_parse_math(False)
            axes.axhline(0, color="#888888", linewidth=0.8)
        for number, group in enumerate(GROUPS):
            axes.plot([], [], MARKERS[number], color=COLOURS[group], ms=3.5, label=group)
        figure.legend(loc="outside lower right", fontsize=7, frameon=False, ncols=3)
        figure.suptitle(drawable(title), fontsize=9, parse_math=False)
