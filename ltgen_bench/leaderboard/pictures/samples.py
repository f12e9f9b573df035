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
from ltgen_bench.leaderboard.kept import IMAGES, Strip, head_and_tail
from ltgen_bench.leaderboard.pictures import style
from ltgen_bench.leaderboard.pictures.picture import Picture
from ltgen_bench.leaderboard.wide_tables import class_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = 0.42
"""Inches of an image."""


def samples(name: str, title: str, board: Board, strips: Mapping[str, Mapping[int, Strip]]) -> Picture | None:
    """strips: of rows, by name and seed. Of the seed that most rows have; None without any."""
    seeds = Counter(seed for found in strips.values() for seed in found)
    if not seeds:
        return None
    seed = max(seeds, key=lambda seed: (seeds[seed], -seed))
    rows = [
        {"name": shown, **_packed(strips[row.name][seed])}
        for row, shown in zip(board.all_rows, style.named(board.all_rows), strict=True)
        if seed in strips.get(row.name, {})
    ]
    record, names = board.records[0], class_names(board)
    counts = record.run.dataset.class_counts
    classes = [
        f"{names.get(c, f'class {c}')}: {counts[c]:,} training images" for c in head_and_tail(record.run.dataset)
    ]
    shown = {
        "title": f"{title}: a head and a tail class by every method",
        "below": f"{board.title} · seed {seed}: a column starts from the same noise in every row",
        "classes": classes,
        "rows": rows,
    }
    return Picture(name, f"{title}: generated images of the largest and the smallest class, by method", shown, _draw)


def _packed(strip: Strip) -> dict[str, Any]:
    return {"shape": list(strip.shape), "pixels": base64.b64encode(strip.tobytes()).decode()}


def _unpacked(row: Mapping[str, Any]) -> NDArray[np.uint8]:
    return np.frombuffer(base64.b64decode(row["pixels"]), np.uint8).reshape(row["shape"])


def _draw(shown: Mapping[str, Any]) -> Figure:
    rows, left, gap = shown["rows"], 2.6, 0.25
    half = IMAGES * SIZE
    height = style.HEAD + 0.35 + len(rows) * SIZE + 0.15
    figure = style.new_figure(left + 2 * half + gap + 0.2, height, shown["title"], shown["below"])
    for place, title in enumerate(shown["classes"]):
        axes = style.panel(figure, left + place * (half + gap), 0.15, half, len(rows) * SIZE)
        style.label(axes, title=title)
        axes.title.set_fontsize(8)
        axes.imshow(
            _tiled([_unpacked(row)[place * IMAGES :][:IMAGES] for row in rows]),
            cmap="gray",
            vmin=0,
            vmax=255,
            interpolation="nearest",
            aspect="auto",
            extent=(0, IMAGES, len(rows), 0),
        )
        axes.grid(visible=False)
        axes.set_xticks([])
        names = [row["name"] for row in rows] if place == 0 else [""] * len(rows)
        axes.set_yticks([y + 0.5 for y in range(len(rows))], names, fontsize=8)
        for tick in axes.get_yticklabels():
            tick.set_parse_math(False)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
    return figure


def _tiled(rows: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """All at 60 pixels, which is what SIZE comes to, a white pixel or two around them: enlarged smoothly."""
    tiles = []
    for row in rows:
        images = scaled(Images(row, np.zeros(len(row), np.int64)), 56).pixels
        framed = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=255)
        tiles.append(np.concatenate(list(framed), axis=1))
    return np.concatenate(tiles).squeeze()
