"""A picture: what it shows, as plain data, and the PNG that is made of it."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import sys
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltgen_bench import drawing
from ltgen_bench.drawing import plain_matplotlib, rendered
from ltgen_bench.source_code import fingerprint_of
from ltgen_bench.storage.atomic_files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ltgen_bench.leaderboard.pages.page_file import PageFile

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

    def line(self, folder: str = "") -> str:
        """In markdown, where its file is in that folder beside the page."""
        alt = self.alt.replace("[", "(").replace("]", ")")
        return f"![{alt}]({folder}{urllib.parse.quote(self.name)}.png)"

    @property
    def source(self) -> str:
        """The digest of what it shows and of the code that draws it; not of matplotlib, which draws a little otherwise
        in each version."""
        text = json.dumps([_rounded(self.shown), _drawing_code(self.draw.__module__)], sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def png(self) -> bytes:
        """The same bytes whenever the same versions of matplotlib and Pillow draw it."""
        from PIL.PngImagePlugin import PngInfo

        with plain_matplotlib():
            image = rendered(self.draw(self.shown))
        said = PngInfo()
        said.add_text(MADE_OF, self.source)
        said.add_text(PIXELS, _digest_of_pixels(image))
        file = io.BytesIO()
        image.save(file, "PNG", optimize=True, pnginfo=said, dpi=(DPI, DPI))
        return file.getvalue()


@dataclass(frozen=True)
class PictureFile:
    """Where a picture belongs; like a `PageFile`."""

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


def left_over(made: Iterable[PageFile | PictureFile], folder: Path, pattern: str = "*.png") -> list[Path]:
    """Pictures in a folder that the suite drew for a page that no longer shows them; nobody else's."""
    known = {file.path for file in made}
    return [path for path in sorted(folder.glob(pattern)) if path not in known and made_of(path)]


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
def _drawing_code(module: str) -> str:
    """Of what draws every picture, and of the module of this one with all beside it, without comments and layout."""
    beside = Path(str(sys.modules[module].__file__)).parent.glob("*.py")
    return fingerprint_of(sorted({Path(__file__), Path(drawing.__file__), *beside}))
