"""matplotlib as all pictures use it: the same whatever the user's settings, without pyplot or a notebook's backend.

What remains to go wrong is the disk (OSError).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image


@contextmanager
def plain_matplotlib() -> Iterator[None]:
    """matplotlib with its own defaults: a user's may ask for LaTeX, or for a backend that is not installed."""
    backend = os.environ.pop("MPLBACKEND", None)  # as a notebook sets it: matplotlib cannot even be imported
    try:
        import matplotlib
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield


def rendered(figure: Figure) -> Image:
    """A figure's picture, in at most 256 colours: a third of the size of a file. To be called in `plain_matplotlib`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = bytes(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    drawn = Image.frombytes("RGBA", canvas.get_width_height(), pixels).convert("RGB")
    return drawn.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)


def drawable(text: str) -> str:
    """The text with ? for every character that the font lacks, such as a line's end or, mostly, those of Asia."""
    known = _characters()
    return "".join(c if ord(c) in known and c.isprintable() else "?" for c in text)


@functools.cache
def _characters() -> frozenset[int]:
    with plain_matplotlib():
        from matplotlib.font_manager import findfont, get_font

        return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())  # it comes with matplotlib
