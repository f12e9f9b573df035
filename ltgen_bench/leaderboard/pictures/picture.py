"""A picture: what it shows, as plain data, and the PNG that is made of it."""

from __future__ import annotations

import functools
import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltgen_bench.drawing import plain_matplotlib
from ltgen_bench.source_code import fingerprint_of
from ltgen_bench.storage.atomic_files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 144
MADE_OF, PIXELS = "ltgen-bench: made of", "ltgen-bench: pixels"
"""What a PNG says of itself: the digest of data and drawing code, and that of its pixels."""


@dataclass(frozen=True)
class Picture:
    """name: of its file, without a suffix. alt: what it shows, in words. shown: all that is drawn, JSON-able."""

    name: str
    alt: str
    shown: Mapping[str, Any]
    draw: Callable[[Mapping[str, Any]], Figure]

    @property
    def source(self) -> str:
        """The digest of what it shows and of the code that draws it; not of matplotlib, which draws a little otherwise
        in each version."""
        text = json.dumps([_rounded(self.shown), _drawing_code()], sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def png(self) -> bytes:
        """The same bytes whenever the same versions of matplotlib and Pillow draw it. At most 256 colours: a third of
        the size."""
        from PIL import Image
        from PIL.PngImagePlugin import PngInfo

        with plain_matplotlib():
            from matplotlib.backends.backend_agg import FigureCanvasAgg

            canvas = FigureCanvasAgg(self.draw(self.shown))
            canvas.draw()  # type: ignore[no-untyped-call]
            pixels = bytes(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        drawn = Image.frombytes("RGBA", canvas.get_width_height(), pixels).convert("RGB")
        image = drawn.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        said = PngInfo()
        said.add_text(MADE_OF, self.source)
        said.add_text(PIXELS, _digest_of_pixels(image))
        file = io.BytesIO()
        image.save(file, "PNG", optimize=True, pnginfo=said, dpi=(DPI, DPI))
        return file.getvalue()


@dataclass(frozen=True)
class PictureFile:
    """Where a picture belongs; like a `Page`."""

    path: Path
    picture: Picture
    source: str = "the records"

    @property
    def current(self) -> bool:
        """Whether the file was drawn from the same data by the same code, and is whole. Which version of matplotlib
        drew it does not matter: pictures would change with every release, and say the same."""
        return made_of(self.path) == self.picture.source

    def write(self) -> None:
        with atomic_write(self.path) as file:
            file.write(self.picture.png())


def made_of(path: Path) -> str | None:
    """The source that a file says it was drawn from; None of any other file, and of one that is damaged."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            said = {str(name): str(text) for name, text in image.info.items()}
            return said[MADE_OF] if said[PIXELS] == _digest_of_pixels(image) else None
    except (OSError, KeyError, ValueError, SyntaxError):  # Pillow's, for what is no picture
        return None


def _digest_of_pixels(image: Any) -> str:
    pixels = image.convert("RGB")
    return hashlib.sha256(repr(pixels.size).encode() + pixels.tobytes()).hexdigest()[:16]


def _rounded(value: Any) -> Any:
    """Numbers to 6 digits: versions of Python and SciPy differ in the last ones."""
    if isinstance(value, Mapping):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


@functools.cache
def _drawing_code() -> str:
    """Of all modules here, without comments and layout."""
    return fingerprint_of(sorted(Path(__file__).parent.glob("*.py")))
