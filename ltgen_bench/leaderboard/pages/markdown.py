"""Tables and folded parts of a page."""

from __future__ import annotations

from collections.abc import Sequence

import tabulate as tabulate_module
from tabulate import tabulate

# Whether wcwidth happens to be installed must not change a page.
tabulate_module.WIDE_CHARS_MODE = False


def table(headers: Sequence[str], body: Sequence[Sequence[object]]) -> str:
    return str(tabulate(body, headers, tablefmt="github", disable_numparse=True))


def folded(summary: str, *parts: str) -> str:
    """Parts of a page that open with a click."""
    return "\n\n".join([f"<details><summary>{summary}</summary>", *parts, "</details>"])
