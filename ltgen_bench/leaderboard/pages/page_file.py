"""A page, words of one's own for it, and whether its file is what its source gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ltgen_bench.errors import UsageError
from ltgen_bench.storage.atomic_files import write_text


def own_words(folder: Path, name: str) -> str:
    """What stands in reading-NAME.md of a folder: words of one's own for the page of that name; "" where there is none.

    Raises UsageError for a file that is no text.
    """
    path = folder / f"reading-{name}.md"
    try:
        return path.read_text(encoding="utf-8").strip() if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None


@dataclass(frozen=True)
class PageFile:
    """Where a page belongs, and what is made of its source."""

    path: Path
    text: str
    source: str = "the records"

    @property
    def current(self) -> bool:
        """Whether the file holds that text."""
        return self.path.exists() and self.path.read_bytes() == self.text.encode()

    def write(self) -> None:
        write_text(self.path, self.text)
