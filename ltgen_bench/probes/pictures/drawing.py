"""How pictures of probes look: small PNG files that are the same wherever they are drawn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ltgen_bench.drawing import plain_matplotlib, rendered
from ltgen_bench.storage.atomic_files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Of Okabe and Ito: told apart by colour-blind readers."""
MARKERS = "os^Dvp*"


@contextmanager
def drawing(path: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure of so many inches to draw on, saved when the block ends."""
    with plain_matplotlib():
        figure = blank(width, height)
        yield figure
        image = rendered(figure)
    with atomic_write(path) as file:
        image.save(file, "PNG", optimize=True)


def blank(width: float, height: float) -> Figure:
    """Of so many inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=100, layout="constrained")


def tidy(axes: Axes, title: str, x: str, y: str = "") -> None:
    """Titles and a light grid."""
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_xlabel(x, fontsize=8)
    axes.set_ylabel(y, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
