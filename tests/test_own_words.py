"""Words of one's own on pages: they stay, and quote figures that the page has."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ltgen_bench.runs.record import Record

Cli = Callable[..., Any]
LEADERBOARDS = Path(__file__).parents[1] / "leaderboards"


def test_a_page_begins_with_them(make_record: Callable[..., Record], cli: Cli, tmp_path: Path) -> None:
    record = make_record("cm", 9.0)
    record.write(tmp_path / "results/digitslt/cm" / f"{record.run_id}-{record.eval_id}.json")
    cli("leaderboard", "--folder", tmp_path)
    words = tmp_path / "reading-digitslt.md"
    words.write_text("`cm` is the only one here.\n", encoding="utf-8")
    assert cli("leaderboard", "--check", "--folder", tmp_path).code == 1
    cli("leaderboard", "--folder", tmp_path)
    assert (tmp_path / "digitslt.md").read_text().startswith("# digitslt\n\n`cm` is the only one here.\n\n<details>")
    assert "reading" not in (tmp_path / "README.md").read_text()
    words.write_bytes(b"\xff\xfe")
    got = cli("leaderboard", "--folder", tmp_path)
    assert got.code == 2
    assert got.err.startswith(f"error: {words} cannot be read: ")


@pytest.mark.parametrize(
    "path",
    # That of the theorems quotes figures of other pages, too: test_claims.py.
    [path for path in sorted(LEADERBOARDS.rglob("reading-*.md")) if path.stem != "reading-theory"],
    ids=lambda path: path.stem,
)
def test_published_words_quote_figures_of_their_page(path: Path) -> None:
    """A result that is added or made again must not leave them behind."""
    words, name = path.read_text().strip(), path.stem.removeprefix("reading-")
    own_page = path.with_name(f"{name}.md")
    page = (own_page if own_page.exists() else path.with_name("README.md")).read_text()
    assert words in page
    tables = "\n".join([page.replace(words, ""), *(table.read_text() for table in path.parent.glob(f"{name}-*.md"))])
    quoted, shown = (set(re.findall(r"\d+\.\d+", text)) for text in (words, tables))
    assert quoted - shown == set()
