"""A picture of a set of samples."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ltgen_bench.dataset import LongTail
from ltgen_bench.files import replacing
from ltgen_bench.images import Images

MAX_ROWS = 30
"""Classes shown; of more, evenly spaced ones by size, the largest and the smallest among them."""


def save_grid(images: Images, data: LongTail, path: Path, *, title: str, columns: int = 12) -> None:
    """Write a PNG: one row of generated images per class, classes by falling size, with their training counts."""
    from matplotlib.figure import Figure

    order = [c for _, classes in data.groups for c in classes]
    if len(order) > MAX_ROWS:
        order = [order[round(i * (len(order) - 1) / (MAX_ROWS - 1))] for i in range(MAX_ROWS)]
    of_class = [np.flatnonzero(images.labels == c) for c in order]
    columns = min(columns, max(len(index) for index in of_class))
    size, channels = images.pixels.shape[1], images.pixels.shape[3]
    gap = max(1, size // 16)
    pitch = size + gap
    canvas = np.full((len(order) * pitch - gap, columns * pitch - gap, channels), 255, np.uint8)
    for row, index in enumerate(of_class):
        for column, i in enumerate(index[:columns]):
            canvas[row * pitch : row * pitch + size, column * pitch : column * pitch + size] = images.pixels[i]

    zoom = max(1, math.ceil(32 / size))
    height, width = len(order) * pitch * zoom / 72, columns * pitch * zoom / 72
    label_width, title_height = 2.0, 0.5
    figure = Figure(figsize=(width + label_width + 0.1, height + title_height + 0.1), dpi=144)
    left, total_width, total_height = label_width, width + label_width + 0.1, height + title_height + 0.1
    axes = figure.add_axes((left / total_width, 0.1 / total_height, width / total_width, height / total_height))
    axes.imshow(canvas.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="auto")
    group_of = {c: name for name, classes in data.groups for c in classes}
    axes.set_yticks(
        [row * pitch + size / 2 for row in range(len(order))],
        [f"{data.class_names[c]}  ·  {data.class_counts[c]}" for c in order],
        fontsize=8,
    )
    for tick, c in zip(axes.get_yticklabels(), order, strict=True):
        tick.set_color({"majority": "#1b6ca8", "medium": "#444444", "minority": "#b8336a"}[group_of[c]])
    axes.set_xticks([])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    figure.text(0.1 / total_width, 1 - 0.22 / total_height, title, fontsize=9, va="center")
    legend = "class · training images, largest first: majority (blue), medium (grey), minority (red)"
    figure.text(0.1 / total_width, 1 - 0.42 / total_height, legend, fontsize=6.5, va="center", color="#666666")
    with replacing(path) as file:
        figure.savefig(file, format="png")
