"""Pictures of a set of samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ltgen_bench.data.images import Images
from ltgen_bench.data.long_tail import LongTail
from ltgen_bench.data.resize import scaled
from ltgen_bench.drawing import drawable, plain_matplotlib
from ltgen_bench.storage.atomic_files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_ROWS = 30
"""Classes shown; of more, evenly spaced ones by size, the largest and the smallest among them."""
COLUMNS = 12
MIN_SIZE, MAX_SIZE = 32, 128
"""Pixels of an image in a picture. Smaller ones are enlarged by a whole number, smoothly: as squares of one colour they
are hard to make out. Larger ones are reduced, as a picture has at most 65,536."""
LABEL = 30
"""Characters of a class's name that there is room for."""
COLOURS = {"majority": "#1b6ca8", "medium": "#444444", "minority": "#b8336a"}


@dataclass(frozen=True)
class _Row:
    """Images by their index, with what stands before them and below each of them."""

    label: str
    group: str
    index: NDArray[np.int64]
    captions: Sequence[str] = ()


def save_grid(images: Images, data: LongTail, path: Path, *, title: str) -> None:
    """Write a PNG: one row of generated images per class, classes by falling size, with their training counts."""
    order = [(c, name) for name, classes in data.groups for c in classes]
    if len(order) > MAX_ROWS:
        order = [order[round(i * (len(order) - 1) / (MAX_ROWS - 1))] for i in range(MAX_ROWS)]
    rows = [
        _Row(f"{class_label(data, c)}  ·  {data.class_counts[c]}", group, np.flatnonzero(images.labels == c)[:COLUMNS])
        for c, group in order
    ]
    legend = "class · training images, largest first: majority (blue), medium (grey), minority (red)"
    _save(images, rows, path, title, legend)


def save_extremes(images: Images, pulls: NDArray[np.float64], data: LongTail, path: Path) -> None:
    """Write a PNG: of each group, the images that pull its Fréchet distance up most, and least.

    pulls: (n,), how much each image does.
    """
    rows = []
    for group, classes in data.groups:
        index = np.flatnonzero(np.isin(images.labels, classes))
        order = index[np.argsort(-pulls[index], kind="stable")]
        for which, chosen in (("worst", order[:COLUMNS]), ("best", order[::-1][:COLUMNS])):
            captions = [class_label(data, int(c)) for c in images.labels[chosen]]
            rows.append(_Row(f"{group}  ·  {which}", group, chosen, captions))
    legend = "by how much an image pulls the Fréchet distance of its group up, to first order; below it, its class"
    _save(images, rows, path, "Worst and best images", legend)


def class_label(data: LongTail, c: int) -> str:
    """A class's name as it can be drawn; with its id, where that leaves something out."""
    name = data.class_names[c]
    drawn = drawable(name)
    if len(drawn) > LABEL:
        drawn = f"{drawn[: LABEL - 1]}…"
    return drawn if drawn == name else f"{c}: {drawn}"


def _save(images: Images, rows: Sequence[_Row], path: Path, title: str, legend: str) -> None:
    index = np.concatenate([row.index for row in rows])
    size = images.pixels.shape[1]
    shown = scaled(images[index], min(size * math.ceil(MIN_SIZE / size), MAX_SIZE))
    if size < MIN_SIZE:
        legend = f"{legend} · enlarged smoothly from {size}x{size}"
    with plain_matplotlib(), atomic_write(path) as file:
        _draw(shown.pixels, rows, title, legend).savefig(file, format="png")


def _draw(pixels: NDArray[np.uint8], rows: Sequence[_Row], title: str, legend: str) -> Figure:
    """pixels: the images of all rows, one after another."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size, channels = pixels.shape[1], pixels.shape[3]
    gap = size // 16
    below = 11 if any(row.captions for row in rows) else gap  # points: room for a caption of 5
    across, down = size + gap, size + below
    columns = max(len(row.index) for row in rows)
    canvas = np.full((len(rows) * down - gap, columns * across - gap, channels), 255, np.uint8)
    image = iter(pixels)
    for y, row in enumerate(rows):
        for x in range(len(row.index)):
            canvas[y * down : y * down + size, x * across : x * across + size] = next(image)

    height, width = len(rows) * down / 72, columns * across / 72  # a pixel is a point
    label_width, title_height = 2.0, 0.5
    total_width, total_height = max(width, 4.0) + label_width + 0.1, height + title_height + 0.1
    figure = Figure(figsize=(total_width, total_height), dpi=144)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((label_width / total_width, 0.1 / total_height, width / total_width, height / total_height))
    axes.imshow(canvas.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="auto")
    axes.set_yticks([y * down + size / 2 for y in range(len(rows))], [row.label for row in rows], fontsize=8)
    for tick, row in zip(axes.get_yticklabels(), rows, strict=True):
        tick.set(color=COLOURS[row.group], parse_math=False)
    for y, row in enumerate(rows):
        for x, caption in enumerate(row.captions):
            place = (x * across + size / 2, y * down + size + below / 3)
            axes.text(
                *place, caption[: size // 3], fontsize=5, ha="center", va="center", color="#666666", parse_math=False
            )
    axes.set_xticks([])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    figure.text(0.1 / total_width, 1 - 0.22 / total_height, drawable(title), fontsize=9, va="center", parse_math=False)
    figure.text(0.1 / total_width, 1 - 0.42 / total_height, legend, fontsize=6.5, va="center", color="#666666")
    return figure
