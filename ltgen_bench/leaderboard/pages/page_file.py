"""A page, and whether its file is what its source gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ltgen_bench.storage.atomic_files import write_text


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
