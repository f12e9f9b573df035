"""How to read a page: what holds for all of its tables, said once."""

from __future__ import annotations

from ltgen_bench.leaderboard.board import LEADING
from ltgen_bench.leaderboard.claims import CLAIM, RULE
from ltgen_bench.leaderboard.pages.markdown import folded
from ltgen_bench.leaderboard.paired import LEVEL, SEEDS
from ltgen_bench.scoring.headline import DISTANCES, PER_DIMENSION

_READING = f"""
- Rows stand in the order of the minority's distance. Of {", ".join(DISTANCES)} (in all feature dimensions, in the 64
  principal directions of the real images, unbiased at any number of images) it is the first that all rows have and that
  is nowhere from fewer than {PER_DIMENSION} images per dimension. The others are in the folded tables.
- Cells are mean ± standard deviation (n - 1) over seeds, or over sets of images made elsewhere. **Bold**: the best of
  the rows with at least {SEEDS} of them, and {LEADING}.
- step: time of a training step relative to the baseline's, the fastest seed of each on the same device, which may have
  been busy; a dash where no device is the same. helps?: the claim below, beside the baseline.
- real images: the distance's floor, which two samples of these sizes show when nothing differs; recall of one half of
  the real images beside the other; label accuracy of real images that the classifier was not fitted to.
- Differences are paired: both runs of a seed start from the same weights and see the same images and, on the same
  kind of device, the same times, noise, flips and dropout. In a cell: the mean of the differences; its
  {100 * LEVEL:.0f} % interval (Student's t, n - 1); in % of the other's mean; at how many seeds it is better / pairs.
  **Bold**: resolved, which takes {SEEDS} pairs, an interval without 0, and a difference not below the seed noise. All
  else is not resolved: nothing is known of its sign; copies are not ranked. Nothing is corrected for the number of
  differences: of twenty that are none, one is called resolved by chance.
- {CLAIM[0].upper()}{CLAIM[1:]}? {RULE}
"""


def how_to_read() -> str:
    """Folded away."""
    return folded("How to read the tables", _READING.strip())
