"""The table, the picture and the page of a grid over widths."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from ltgen_bench.leaderboard.captions import title
from ltgen_bench.leaderboard.paired import SEEDS, Paired, mean_and_interval
from ltgen_bench.leaderboard.rows import MISSING
from ltgen_bench.probes.claims import mean
from ltgen_bench.probes.pictures.of_width import draw
from ltgen_bench.probes.width import GROUPS, Cell, Widths
from ltgen_bench.storage.atomic_files import write_json, write_text


def write_page(widths: Widths, folder: Path, name: str, command: str, left: Sequence[str] = ()) -> list[Path]:
    """NAME.json, NAME.md and NAME.png in a folder; the paths. left: runs without a result."""
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
    write_text(page, text)
    return [data, page, picture]


def table(widths: Widths, form: str = "simple") -> str:
    """A line for each method and width."""
    headers = ["channels", "parameters", "method", "seeds", *GROUPS, "gap", "ratio"]
    compared = len(widths.methods) > 1
    if compared:
        headers += [f"{group}, to {widths.base}" for group in GROUPS]
    rows = [_row(widths, cell, compared) for cell in widths.cells]
    align = ["left", "right", "left", *["right"] * (len(headers) - 3)]
    return str(tabulate(rows, headers, tablefmt=form, disable_numparse=True, colalign=align))


def _row(widths: Widths, cell: Cell, compared: bool) -> list[str]:
    d = widths.decimals
    row = ["-".join(map(str, cell.channels)), f"{cell.parameters:,}", cell.method, str(len(cell.row.records))]
    row += [mean(cell.of(group), d) for group in GROUPS]
    row += [mean(cell.gap, d), mean(cell.ratio, 2)]
    if compared:
        row += [_difference(widths.beside_base(cell, group), d) for group in GROUPS]
    return row


def _difference(found: Paired | None, decimals: int) -> str:
    if found is None:
        return MISSING
    middle, half = mean_and_interval(found.differences.values())
    shown = f"{middle:+.{decimals}f}" + ("" if half is None else f" ± {half:.{decimals}f}")
    return shown if found.verdict == "not resolved" else f"{shown} ({found.verdict})"


def notes(widths: Widths) -> str:
    """What the table's figures are."""
    differences = f' "to {widths.base}": the paired difference of the same seeds, below 0 where the method helps.'
    return (
        f"{widths.name}, lower is better; gap, ratio: the minority's less the majority's, and over it. ±: half the "
        f"Student t interval over the seeds (95 %).{differences * (len(widths.methods) > 1)} A difference is called "
        f"better or worse from {SEEDS} seeds on, where the interval leaves 0 out. parameters: of the network that is "
        f"sampled from.{_devices(widths)}"
    )


def _devices(widths: Widths) -> str:
    """Where each width was trained, if not all were on the same kind of device; and by which code."""
    kinds, changed = dict[str, set[str]](), list[str]()
    for cell in widths.cells:
        channels = "-".join(map(str, cell.channels))
        kinds.setdefault(channels, set()).update(record.trained_on for record in cell.row.records)
        if channels not in changed and any(record.provenance.get("dirty") for record in cell.row.records):
            changed.append(channels)
    where = "; ".join(f"{channels}: {', '.join(sorted(found))}" for channels, found in kinds.items())
    several = len(set().union(*kinds.values())) > 1
    said = f" Trained on different kinds of device, which may draw other noise from a seed: {where}." * several
    return said + f" Made with uncommitted changes to the suite: {', '.join(changed)}." * bool(changed)


TEXT = """\
# Width: does the gap close, and where does a method help?

Made for {dataset} by this command; every run is an ordinary one:

    {command}

CM (Hong et al., ICLR 2026) holds that the minority lacks capacity because the majority takes it. If so, a wider network
closes the gap between the groups, and a method that keeps capacity for the minority helps most in a narrow network.

![Distances against parameters]({picture})

Dots: seeds. Lines: means, with Student t intervals (95 %) where there are two seeds or more; those of few seeds may
leave the panel.

{table}

{notes}

{answers}

Every network has 4 channels in each group of its group normalisation. All were trained for the same number of steps
with the same learning rate, chosen for the preset's own width: a wide network may not be trained to its end, a narrow
one may want another rate. `ltgen-bench show run` prints all settings of a run; in short:
{settings}.
"""
