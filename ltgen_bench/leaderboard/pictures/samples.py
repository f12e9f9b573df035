"""Images of all methods side by side: the same classes, from the same noise."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ltgen_bench.data.images import Images
from ltgen_bench.data.resize import scaled
from ltgen_bench.leaderboard.board import Board
from ltgen_bench.leaderboard.cells import class_names
from ltgen_bench.leaderboard.kept import IMAGES, Kept, Strip, head_and_tail
from ltgen_bench.leaderboard.pictures import style
from ltgen_bench.leaderboard.pictures.picture import DPI, Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = 0.36
"""Inches of an image."""
CLASS = 24
"""Characters of a class's name that there is room for."""
ROWS = 16
"""Shown at most: the first in rank, and the baseline."""


def samples(name: str, title: str, board: Board, kept: Kept) -> Picture | None:
    """Of the seed that most rows have images of; None without any."""
    found = [record for record in board.records if kept.has_strip(record)]
    if not found:
        return None
    seeds = Counter(record.run.seed for record in found)
    seed = max(seeds, key=lambda seed: (seeds[seed], -seed))
    of_config = {record.run.config_id: record for record in found if record.run.seed == seed}
    known = [row for row in board.all_rows if row.records[0].run.config_id in of_config]
    others = [row for row in known if row is not board.baseline][: ROWS - 1]
    known = [row for row in known if row is board.baseline or row in others]
    strips = [kept.strip(of_config[row.records[0].run.config_id]) for row in known]
    rows = [
        {"name": shown, **_packed(strip)}
        for shown, strip in zip(style.named(known), strips, strict=True)
        if strip is not None
    ]
    if not rows:
        return None
    record, names = board.records[0], class_names(board)
    counts = record.run.dataset.class_counts
    classes = [f"{names.get(c, f'class {c}')[:CLASS]} · {counts[c]:,}" for c in head_and_tail(record.run.dataset)]
    shown = {
        "title": f"{title}: a head and a tail class by every method",
        "below": (
            f"{board.title} · above: class and number of training images · seed {seed}: a column starts from the same "
            f"noise in every row{style.marks_said(known)}"
        ),
        "classes": classes,
        "rows": rows,
    }
    return Picture(name, f"{title}: generated images of the largest and the smallest class, by method", shown, _draw)


def _packed(strip: Strip) -> dict[str, Any]:
    return {"shape": list(strip.shape), "pixels": base64.b64encode(strip.tobytes()).decode()}


def _unpacked(row: Mapping[str, Any]) -> NDArray[np.uint8]:
    return np.frombuffer(base64.b64decode(row["pixels"]), np.uint8).reshape(row["shape"])


def _draw(shown: Mapping[str, Any]) -> Figure:
    rows, half, gap = shown["rows"], IMAGES * SIZE, 0.2
    left = 0.1 + style.width_of(row["name"] for row in rows)
    figure = style.new_figure(left + 2 * half + 2 * gap, len(rows) * SIZE + 0.45, shown["title"], shown["below"])
    for place, title in enumerate(shown["classes"]):
        axes = style.panel(figure, left + place * (half + gap), 0.15, half, len(rows) * SIZE)
        style.label(axes, title=title)
        axes.title.set_fontsize(8)
        tiles = _tiled([_unpacked(row)[place * IMAGES :][:IMAGES] for row in rows])
        axes.imshow(tiles, cmap="gray", vmin=0, vmax=255, aspect="auto", extent=(0, IMAGES, len(rows), 0))
        axes.grid(visible=False)
        axes.set_xticks([])
        style.name_lines(axes, [y + 0.5 for y in range(len(rows))], [] if place else [row["name"] for row in rows])
        for spine in axes.spines.values():
            spine.set_visible(False)
    return figure


def _tiled(rows: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """As an array: each at SIZE, enlarged or reduced smoothly, with some white around it."""
    tiles = []
    for row in rows:
        images = scaled(Images(row, np.zeros(len(row), np.int64)), round(SIZE * DPI) - 4).pixels
        framed = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=255)
        tiles.append(np.concatenate(list(framed), axis=1))
    return np.concatenate(tiles).squeeze()
