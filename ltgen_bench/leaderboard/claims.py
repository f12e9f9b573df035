"""What may be claimed of a configuration beside its baseline: a rule, not a reading of the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ltgen_bench.leaderboard.paired import SEEDS, Paired

Answer = Literal["yes", "no", "not resolved"]

CLAIM = "helps the minority and does not hurt the majority"

RULE = (
    f"**Yes** needs {SEEDS} pairs and every seed of both; the minority's distance resolved as better; the majority's "
    "distance and the minority's recall not resolved as worse; and no memorised minority. **No**: one of the three is "
    "resolved as worse. All else is **not resolved**, and so is all where distances cannot be ranked (⚠). Label "
    "accuracy is said beside it: images of other classes than they are labelled as can raise a recall."
)


@dataclass(frozen=True)
class Claim:
    """The answer, and why it is not yes; empty when it is."""

    answer: Answer
    why: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """The differences that the rule is about, None where a figure is missing; seeds that have no pair.

    memorised: whether the minority's images are copies of training images. biased: whether a distance is of fewer
    images than dimensions.
    """

    minority: Paired | None
    majority: Paired | None
    recall: Paired | None  # of the minority
    unpaired: tuple[int, ...] = ()
    memorised: bool = False
    biased: bool = False


def judge(found: Evidence) -> Claim:
    """By RULE."""
    if found.biased:
        return Claim("not resolved", ("the distances are of too few images to be ranked",))
    parts: Mapping[str, Paired | None] = {
        "the minority's distance": found.minority,
        "the majority's distance": found.majority,
        "the minority's recall": found.recall,
    }
    if worse := [f"{name} is worse" for name, part in parts.items() if part and part.verdict == "worse"]:
        return Claim("no", tuple(worse))
    doubts = [f"{name} is not known" for name, part in parts.items() if part is None]
    if found.minority and found.minority.n < SEEDS:
        doubts.append(f"{_pairs(found.minority.n)}, of {SEEDS} that it takes")
    elif found.minority and found.minority.verdict != "better":
        doubts.append("the minority's distance is not resolved")
    if found.unpaired:
        doubts.append(f"no pair at seed {', '.join(map(str, found.unpaired))}")
    if found.memorised:
        doubts.append("images of the minority are memorised")
    return Claim("not resolved", tuple(doubts)) if doubts else Claim("yes")


def _pairs(n: int) -> str:
    return f"{n} pair{'s' * (n != 1)} of seeds"
