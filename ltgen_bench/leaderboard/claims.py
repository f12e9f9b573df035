"""What may be claimed of a configuration beside its baseline: a rule, not a reading of the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ltgen_bench.leaderboard.paired import SEEDS, Paired

Answer = Literal["yes", "no", "not resolved"]

CLAIM = "helps the minority and does not hurt the majority"

MARGIN = 2
"""Times the seed noise that a majority's distance may be worse by, at the worse end of its interval: that nothing is
resolved is no evidence that nothing is hurt."""

RULE = (
    f"**Yes** needs {SEEDS} pairs, and one at every seed that at least half of the rows have; the minority's distance "
    "resolved as better; the majority's distance resolved as better, or the worse end of its interval within "
    f"{MARGIN} times the seed noise; the minority's recall and its label accuracy (images of other classes than they "
    "are labelled as can raise a recall) not resolved as worse; and no memorised minority. **No**: one of the four is "
    "resolved as worse. All else is **not resolved**, and so is all where distances cannot be ranked (⚠), or where "
    "the minority of what is compared with is memorised."
)


@dataclass(frozen=True)
class Claim:
    """The answer, and why it is not yes; empty when it is."""

    answer: Answer
    why: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """The differences that the rule is about, None where a figure is missing; seeds that have no pair.

    memorised: whether the minority's images are copies of training images; base_memorised: whether those of the row
    that it is compared with are. biased: whether a distance is of fewer images than dimensions.
    """

    minority: Paired | None
    majority: Paired | None
    recall: Paired | None  # of the minority
    accuracy: Paired | None  # of labels, of the minority
    unpaired: tuple[int, ...] = ()
    memorised: bool = False
    base_memorised: bool = False
    biased: bool = False


def judge(found: Evidence) -> Claim:
    """By RULE."""
    if found.biased:
        return Claim("not resolved", ("the distances are of too few images to be ranked",))
    if found.base_memorised:
        return Claim("not resolved", ("the images of the minority that it is compared with are memorised",))
    parts: Mapping[str, Paired | None] = {
        "the minority's distance": found.minority,
        "the majority's distance": found.majority,
        "the minority's recall": found.recall,
        "the minority's label accuracy": found.accuracy,
    }
    if worse := [f"{name} is worse" for name, part in parts.items() if part and part.verdict == "worse"]:
        return Claim("no", tuple(worse))
    doubts = [f"{name} is not known" for name, part in parts.items() if part is None]
    fewest = min((part.n for part in parts.values() if part), default=SEEDS)
    if fewest < SEEDS:
        doubts.append(f"{_pairs(fewest)}, of {SEEDS} that it takes")
    else:
        if found.minority and found.minority.verdict != "better":
            doubts.append("the minority's distance is not resolved")
        if found.majority and not _is_spared(found.majority):
            doubts.append(f"the majority's distance may be worse by more than {MARGIN} times the seed noise")
    if found.unpaired:
        doubts.append(f"no pair at seed {', '.join(map(str, found.unpaired))}")
    if found.memorised:
        doubts.append("images of the minority are memorised")
    return Claim("not resolved", tuple(doubts)) if doubts else Claim("yes")


def _is_spared(majority: Paired) -> bool:
    return majority.verdict == "better" or (majority.worst is not None and majority.worst <= MARGIN * majority.noise)


def _pairs(n: int) -> str:
    return f"{n} pair{'s' * (n != 1)} of seeds"
