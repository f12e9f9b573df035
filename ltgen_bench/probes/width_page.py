"""The table, the picture and the page of a grid over widths."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tabulate import tabulate

from ltgen_bench.leaderboard.captions import title
from ltgen_bench.leaderboard.paired import SEEDS, Paired
from ltgen_bench.leaderboard.rows import MISSING
from ltgen_bench.probes.drawing import COLOURS, MARKERS, drawing, tidy
from ltgen_bench.probes.width import GROUPS, Cell, Widths, mean_and_interval
from ltgen_bench.storage.atomic_files import atomic_write, write_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES = {"majority": "-", "minority": "--"}


def write_page(widths: Widths, folder: Path, command: str, left: Sequence[str] = ()) -> list[Path]:
    """width-<dataset>-<id of the grid>.json, .md and .png in a folder; the paths. left: runs without a result."""
    name = f"width-{widths.records[0].run.dataset.name}-{widths.id}"
    data, page, picture = (folder / f"{name}.{suffix}" for suffix in ("json", "md", "png"))
    write_json(data, widths.to_json())
    draw(widths, picture)
    text = TEXT.format(
        dataset=widths.records[0].run.dataset.name,
        command=command,
        picture=picture.name,
        table=table(widths, "github"),
        notes=notes(widths),
        answers="\n".join(f"- {line}" for line in [*widths.answers, *(f"no result of {run}" for run in left)]),
        settings=title(widths.records[0]),
    )
    with atomic_write(page) as file:
        file.write(text.encode())
    return [data, page, picture]


def table(widths: Widths, form: str = "simple") -> str:
    """A line for each method and width."""
    headers = ["channels", "parameters", "method", "seeds", *GROUPS, "gap"]
    compared = len(widths.methods) > 1
    if compared:
        headers += [f"{group}, to {widths.base}" for group in GROUPS]
    rows = [_row(widths, cell, compared) for cell in widths.cells]
    align = ["left", "right", "left", *["right"] * (len(headers) - 3)]
    return str(tabulate(rows, headers, tablefmt=form, disable_numparse=True, colalign=align))


def _row(widths: Widths, cell: Cell, compared: bool) -> list[str]:
    d = widths.decimals
    row = ["-".join(map(str, cell.channels)), f"{cell.parameters:,}", cell.method, str(len(cell.row.records))]
    row += [_shown(cell.of(group), d) for group in GROUPS]
    row.append(_shown(cell.gap, d))
    if compared:
        row += [_difference(widths.beside_base(cell, group), d) for group in GROUPS]
    return row


def _shown(by_seed: Mapping[int, float], decimals: int) -> str:
    if not by_seed:
        return MISSING
    mean, half = mean_and_interval(by_seed.values())
    return f"{mean:.{decimals}f}" + ("" if half is None else f" ± {half:.{decimals}f}")


def _difference(found: Paired | None, decimals: int) -> str:
    if found is None:
        return MISSING
    mean, half = mean_and_interval(found.differences.values())
    shown = f"{mean:+.{decimals}f}" + ("" if half is None else f" ± {half:.{decimals}f}")
    return shown if found.verdict == "not resolved" else f"{shown} ({found.verdict})"


def notes(widths: Widths) -> str:
    """What the table's figures are."""
    differences = f' "to {widths.base}": the paired difference of the same seeds, below 0 where the method helps.'
    return (
        f"{widths.name}, lower is better; gap: the minority's less the majority's. ±: half the Student t interval over "
        f"the seeds (95 %).{differences * (len(widths.methods) > 1)} A difference is called better or worse from "
        f"{SEEDS} seeds on, where the interval leaves 0 out. parameters: of the network that is sampled from."
    )


def draw(widths: Widths, path: Path) -> None:
    """Distances, gap and differences to the baseline against parameters: a dot for each seed, a line through means."""
    others = [method for method in widths.methods if method != widths.base]
    with drawing(path, 3.6 * (3 if others else 2), 3.4) as figure:
        panels = figure.subplots(1, 3 if others else 2)
        for i, (method, cells) in enumerate(widths.methods.items()):
            for group in GROUPS:
                _line(panels[0], cells, [cell.of(group) for cell in cells], (i, group), f"{method}, {group}")
            _line(panels[1], cells, [cell.gap for cell in cells], (i, "majority"), method)
        tidy(panels[0], "distance of the groups", "parameters", widths.name)
        tidy(panels[1], "gap: minority less majority", "parameters")
        for method in others:
            i, cells = [*widths.methods].index(method), widths.methods[method]
            for group in GROUPS:
                found = [widths.beside_base(cell, group) for cell in cells]
                differences = [pair.differences if pair else {} for pair in found]
                _line(panels[2], cells, differences, (i, group), f"{method}, {group}")
        if others:
            panels[2].axhline(0, color="black", linewidth=0.8)
            tidy(panels[2], f"less {widths.base} of the same seeds (below 0: helps)", "parameters")
        for axes in panels:
            axes.set_xscale("log")
            axes.legend(fontsize=6.5, frameon=False)


def _line(
    axes: Axes, cells: Sequence[Cell], by_seed: Sequence[Mapping[int, float]], style: tuple[int, str], label: str
) -> None:
    """style: which method, and the group that the line's pattern stands for."""
    method, group = style
    colour, marker = COLOURS[method % len(COLOURS)], MARKERS[method % len(MARKERS)]
    known = [(cell.parameters, list(its.values())) for cell, its in zip(cells, by_seed, strict=True) if its]
    if not known:
        return
    filled = colour if group == "majority" else "white"
    means = [statistics.fmean(values) for _, values in known]
    axes.plot([x for x, _ in known], means, LINES[group], color=colour, linewidth=1)
    for x, values in known:
        axes.plot([x] * len(values), values, marker, color=colour, markerfacecolor=filled, markersize=4)
        mean, half = mean_and_interval(values)
        if half is not None:
            axes.errorbar([x], [mean], [half], color=colour, capsize=2, linewidth=0.8)
    axes.plot([], [], f"{LINES[group]}{marker}", color=colour, markerfacecolor=filled, markersize=4, label=label)


TEXT = """\
# Width: does the gap close, and where does a method help?

`{command}` makes this page for {dataset}; every run is an ordinary one.

CM (Hong et al., ICLR 2026) holds that the minority lacks capacity because the majority takes it. If so, a wider network
closes the gap between the groups, and a method that keeps capacity for the minority helps most in a narrow network.

![Distances against parameters]({picture})

Dots: seeds. Lines: means, with Student t intervals where there are two seeds or more.

{table}

{notes}

{answers}

Every network has 4 channels in each group of its group normalisation. All were trained for the same number of steps
with the same learning rate, chosen for the preset's own width: a wide network may not be trained to its end, a narrow
one may want another rate. Settings: {settings}; `ltgen-bench show run` prints all of a run's.
"""
