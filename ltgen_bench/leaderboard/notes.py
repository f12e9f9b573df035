"""The marks of figures that do not say what they seem to, and the notes that explain them."""

from __future__ import annotations

import itertools
import statistics
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from ltgen_bench.leaderboard.statistics import Column, figures_of
from ltgen_bench.scoring.metric_table import SCOPES, remarks
from ltgen_bench.spec.specs import RunSpec

if TYPE_CHECKING:
    from ltgen_bench.leaderboard.rows import Row

UNRANKED = {"n<d", "memorised"}
"""What the scorer warns of that keeps a figure from being called best."""

_FLAGS = {
    "n<d": ("⚠", "fewer images than feature dimensions: too biased to rank."),
    "n<4d": ("△", "fewer than 4 images per feature dimension: biased upwards, equally many images alone compare."),
}
"""What the scorer warns of, worst first: the mark and its note."""

COPIES = "‡"
"""The mark of the flag "memorised", which comes beside the others."""

_COPIES_NOTE = (
    "memorised: the share of images that are nearer to a training image than that one's own nearest training neighbour "
    "is exceeds the share of real images that were not trained on by a tenth and by three standard errors. Copies win "
    "every score, so these are not ranked. Shares:"
)


def mark(flags: Collection[str]) -> str:
    """What stands behind a figure with these flags."""
    marks = next((sign for flag, (sign, _) in _FLAGS.items() if flag in flags), "")
    marks += COPIES if "memorised" in flags else ""
    return f" {marks}" if marks else ""


def flag_notes(flags: Collection[str]) -> list[str]:
    """What the marks of these flags mean, except that of memorised images."""
    return [f"{sign} {note}" for flag, (sign, note) in _FLAGS.items() if flag in flags]


def memorised_notes(rows: Sequence[Row]) -> list[str]:
    """What the mark means, and which shares it stands for."""
    shares = []
    for row, group in itertools.product(rows, SCOPES):
        found = [figures for r in row.records if "flag" in (figures := figures_of(r, "memorised", group))]
        if found:
            mine, unseen = (statistics.fmean(figures[name] for figures in found) for name in ("value", "unseen"))
            shares.append(f"{row.name} {group} {mine:.2f} against {unseen:.2f}")
    return [f"{COPIES} {_COPIES_NOTE} {', '.join(shares)}."] if shares else []


def remark_notes(rows: Sequence[Row]) -> list[str]:
    """What the scorer remarks on: once in full, with the figures of the first row that it is said of."""
    said = {row.name: found[0] for row in rows for r in row.records if (found := remarks(r.scores))}
    if not said:
        return []
    first, *others = said
    the_same = f" The same of {', '.join(others)}." if others else ""
    return [f"{first}: {said[first]}.{the_same}"]


def device_notes(rows: Iterable[Row]) -> list[str]:
    """Which seeds were trained on several kinds of device: their pairs do not share the noise."""
    kinds: defaultdict[int, set[str]] = defaultdict(set)
    for record in (r for row in rows for r in row.records):
        if isinstance(record.run, RunSpec):
            kinds[record.run.seed].add(record.trained_on)
    mixed = {seed: found for seed, found in sorted(kinds.items()) if len(found) > 1}
    if not mixed:
        return []
    seeds, devices = ", ".join(map(str, mixed)), "; ".join(sorted(set().union(*mixed.values())))
    return [
        f"Seed{'s' * (len(mixed) > 1)} {seeds}: not all were trained on the same kind of device ({devices}). Each may "
        "draw its own times, noise, flips and dropout from a seed: pairs across them share weights and the order of "
        "images alone."
    ]


def notes_below(rows: Sequence[Row], columns: Iterable[Column]) -> list[str]:
    """What the reader of a table of these rows and columns has to know, as the lines of a list."""
    records = [r for row in rows for r in row.records]
    notes = flag_notes({flag for c in columns for row in rows for flag in row.flags(c)})
    notes += memorised_notes(rows)
    if any(r.provenance.get("dirty") for r in records):
        notes.append("† made with uncommitted changes to the suite.")
    deviations = {name: text for r in records for name, text in r.deviations.items()}
    notes += [f"`{name}`: {text}." for name, text in sorted(deviations.items())]
    notes += [*remark_notes(rows), *device_notes(rows)]
    if acted := _acted(rows):
        notes.append(f"Safeguards that acted while training: {'; '.join(acted)}.")
    return [f"- {note}" for note in notes]


def _acted(rows: Iterable[Row]) -> list[str]:
    """`cm/guard in cm on 717, 749 of 1,500 steps`: at the seeds at which it acted."""
    counts: defaultdict[tuple[str, str, int], list[int]] = defaultdict(list)
    for row in rows:
        for record in row.records:
            if isinstance(record.run, RunSpec):
                for name, steps in record.training.get("alarm_steps", {}).items():
                    counts[name, row.name, record.run.train.steps].append(steps)
    return [
        f"{name} in {label} on {', '.join(f'{n:,}' for n in found)} of {steps:,} steps"
        for (name, label, steps), found in sorted(counts.items())
    ]
