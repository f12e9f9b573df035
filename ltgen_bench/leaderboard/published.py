"""What papers report: the lines of a leaderboards folder's published.csv, read and verified."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

from ltgen_bench.errors import UsageError, unknown
from ltgen_bench.scoring.metric_table import SCOPES

METRICS: Mapping[str, tuple[str, float, float]] = {
    "FID": ("lower", 0, math.inf),
    "KID": ("lower", -math.inf, math.inf),
    "IS": ("higher", 1, math.inf),
    "recall": ("higher", 0, 1),
    "F8": ("higher", 0, 1),
    "F1/8": ("higher", 0, 1),
    "FID gain over cbdm": ("higher", -math.inf, math.inf),
    "FID CV %": ("lower", 0, math.inf),
}
"""Which way is better, and the range."""

ROLES = ("own", "baseline", "ablation", "rerun")
"""What a method is in its source: the paper's own, a baseline, a part of a method, or others' run of it."""

ITEMS = ("steps", "batch", "sampler", "omega", "images", "labels", "features", "reference", "seeds")
"""What `protocol` says of each figure, in this order; "groups", how classes are divided, may follow."""

NOT_STATED = "not stated"
NATURAL = "natural"
"""The `ratio` of a data set that nobody has made long-tailed."""

_SOURCE = re.compile(r"(?P<paper>[^();]+) \((?P<reference>[^()]+)\), (?P<place>[^;]+); read in (?P<read>.+)")


@dataclass(frozen=True)
class Figure:
    """A line of published.csv."""

    method: str  # as the suite names it, where it has it
    role: str  # of ROLES
    dataset: str
    ratio: str  # largest class / smallest class, NATURAL or NOT_STATED
    metric: str  # of METRICS
    group: str  # of SCOPES
    value: str  # with the digits of the source
    protocol: str  # "steps: 300,000; batch: 64; ...": see ITEMS
    measured_by: str
    source: str  # "PAPER (REFERENCE), PLACE; read in WHERE"
    doubts: str  # sentences parted by " // "

    @cached_property
    def items(self) -> dict[str, str]:
        """The protocol, item by item. Raises UsageError when it does not have them all, in order."""
        found = [item.partition(": ")[::2] for item in self.protocol.split("; ")]
        if tuple(name for name, _ in found) not in (ITEMS, (*ITEMS, "groups")) or not all(text for _, text in found):
            raise UsageError(f"the protocol must be '{': ...; '.join(ITEMS)}: ...', and '; groups: ...' may follow")
        return dict(found)

    @cached_property
    def origin(self) -> dict[str, str]:
        """The source: its paper, reference, place in it, and where it was read. Raises UsageError."""
        if not (match := _SOURCE.fullmatch(self.source)):
            raise UsageError("the source must be 'PAPER (REFERENCE), PLACE; read in WHERE'")
        return match.groupdict()

    @property
    def doubt_list(self) -> list[str]:
        return self.doubts.split(" // ") if self.doubts else []

    def verify(self) -> None:
        """Raises UsageError with what is wrong, if anything is."""
        for column in COLUMNS:
            text = getattr(self, column)
            if not text and column != "doubts":
                raise UsageError(f"{column} is empty")
            if text != text.strip() or "|" in text or not text.isprintable():
                raise UsageError(f"{column} has a line break, a | or outer spaces, which no table can show")
        for kind, known in (("role", ROLES), ("metric", METRICS), ("group", SCOPES)):
            if (name := getattr(self, kind)) not in known:
                raise unknown(kind, name, known)
        if self.ratio not in (NATURAL, NOT_STATED) and not (_number(self.ratio) >= 1):
            raise UsageError(f"the ratio is 1 or more, {NATURAL!r} or {NOT_STATED!r}, not {self.ratio!r}")
        _, lowest, highest = METRICS[self.metric]
        if not (math.isfinite(value := _number(self.value)) and lowest <= value <= highest):
            raise UsageError(f"{self.value!r} is no {self.metric}")
        if self.group != "overall" and "groups" not in self.items:
            raise UsageError(f"the protocol does not say what its group {self.group} is (groups: ...)")
        _ = self.items, self.origin


COLUMNS = tuple(field.name for field in fields(Figure))


def read(path: Path) -> tuple[list[Figure], list[str]]:
    """The figures of a file in its order, and what is wrong with its lines, a sentence each."""
    try:
        lines = csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""), strict=True)
        if (header := next(lines, [])) != list(COLUMNS):
            return [], [f"{path}: the first line must be {','.join(COLUMNS)}, not {','.join(header)}"]
        rows = [(lines.line_num, cells) for cells in lines]
    except OSError as error:
        return [], [f"{path} cannot be read: {error.strerror}"]
    except (UnicodeDecodeError, csv.Error) as error:
        return [], [f"{path} is not a CSV file in UTF-8: {error}"]
    figures: dict[tuple[str, ...], tuple[int, Figure]] = {}
    problems = []
    for line, cells in rows:
        try:
            if len(cells) != len(COLUMNS):
                raise UsageError(f"{len(cells)} cells where there are {len(COLUMNS)} columns")
            figure = Figure(*cells)
            figure.verify()
            of = tuple(getattr(figure, column) for column in COLUMNS if column not in ("role", "value", "doubts"))
            if of in figures:
                raise UsageError(f"the same figure stands in line {figures[of][0]}")
            figures[of] = line, figure
        except UsageError as error:
            problems.append(f"{path} line {line}: {error}")
    return [figure for _, figure in figures.values()], problems


def _number(text: str) -> float:
    """As plain digits say it; otherwise not a number."""
    return float(text) if re.fullmatch(r"-?\d+(\.\d+)?", text, re.ASCII) else math.nan
