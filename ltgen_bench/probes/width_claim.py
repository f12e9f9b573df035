"""What grids over widths say, for the page of claims."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ltgen_bench.errors import UsageError
from ltgen_bench.leaderboard.pages.page_file import own_words
from ltgen_bench.storage.atomic_files import read_json

CLAIM = """\
## The minority lacks capacity

**Claim** (Hong et al.): majority classes take capacity that the minority needs. It follows that the gap between the
two closes in a wider network, and that CM helps most in a narrow one.

**The paper reports:** whether it varies width is not known to us. **Others report:** nothing that is known to us.

**Here** (`ltgen-bench probe width`; the distance of each group against the network's parameters):

{shown}

**Where this cannot tell.** All widths are trained for the same number of steps at one learning rate, so a wide network
may be further from its end than a narrow one. Where the distances of both groups fall with width, the gap falls with
them; the ratio says whether the minority gains more than its share. CM's reserve has rank 1 at least: a tenth of the
channels from 20 on, but an eighth of 8 and a quarter of 4, so that it is another share of a narrow network. Widths from
thousands to a million parameters are far below the papers' 36 million.
"""


def section(folder: Path) -> str:
    """The claim, what reading-width.md says of it if it is there, and what `probe width` left in the folder.

    Raises UsageError for a damaged file.
    """
    shown = [words] if (words := own_words(folder, "width")) else []
    for path in sorted(folder.glob("width-*.json")):
        try:
            shown += _shown(path, read_json(path))
        except (ValueError, KeyError, TypeError):
            raise UsageError(f"{path} is damaged; `probe width` with --page {folder} writes it again") from None
    return CLAIM.format(shown="\n\n".join(shown) or "Nothing was measured yet.")


def _shown(path: Path, found: Mapping[str, Any]) -> list[str]:
    return [
        f"### {found['dataset']}, {found['settings']}",
        f"![{found['distance']} against parameters]({path.stem}.png)",
        "\n".join(f"- {answer}" for answer in found["answers"]),
        f"[Table]({path.stem}.md), [every seed]({path.name}).",
    ]
