"""The page of what papers report: figures of unlike protocols never share a column without its head saying so."""

from __future__ import annotations

import re
import string
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from ltgen_bench.leaderboard.pages.by_protocol import by_protocol, results_by_data
from ltgen_bench.leaderboard.pages.markdown import table
from ltgen_bench.leaderboard.published import ITEMS, METRICS, NATURAL, NOT_STATED, Figure
from ltgen_bench.leaderboard.rows import MISSING, Row, ordered
from ltgen_bench.runs.record import Record
from ltgen_bench.scoring.metric_table import ARROWS

Key = TypeVar("Key", bound=Hashable)

_INTRODUCTION = """\
# What papers report

Made of `published.csv`, a line per figure, by `ltgen-bench leaderboard`. Most figures were read
second-hand: each table says where. To correct or add one, edit that file.

- A table holds the figures of one source. Where several report on the same data, their FIDs stand under each other
  first, with how each was made. **Only rows that were made in the same way compare.**
- Results of this suite are marked so. One stands beside a paper's figure only where data, training and evaluation are
  equal, and the source states all of them.
- **Bold** is a paper's own method. Nothing is marked best: hardly any figure comes with a spread.
- Names are the suite's where it has the method. `t2h` is the target transfer of OC's public code, which papers call OC
  or T2H; `cm+t2h` is what CM's released configuration trains. Majority, medium and minority are as each table says.
- Letters in brackets point to doubts below the table. What a source does not say is "not stated", never guessed.

## Why they differ

What moves the figures of one method on one data set, and by how much:

- **Sampler and guidance.** On `cifar100lt` at ratio 100 the papers of CM and CORAL train `ddpm` for as many images
  (300,000 steps x 64; 150,000 x 128) and report FID 10.163 and 7.70: DDIM in 50 steps at omega 1.5 against 1,000
  ancestral steps at omega 0.8. Most methods gain less. CM keeps omega at 1.5 for all, CORAL tunes it for each method
  and data set, between 0.6 and 1.8.
- **Training length and number of images.** After 60,000 steps and from 10,000 images, FID is 24.651 to 44.406, and the
  order is another: `cbdm` and `t2h` come after `ddpm`. Fewer images alone raise FID.
- **Which base.** CM's released configuration is `cm+t2h`; whether its tables show that or `cm` is not documented. In
  the one run that has both, `cm` is 2.3 FID better.
- **Features.** Code of long-tail papers resizes inside the network (legacy). Clean-fid's resize gives 10 to 17 % more
  on CIFAR: see its tables below. Some code scores floats, some 8-bit files.
- **Dropout.** OC's README samples with dropout switched on. In this project's own small test that costs 8 to 9 % of the
  Fréchet distance (216 became 235, 237 became 258).
- **Recall and IS.** Recall falls with the number of images (0.524, 0.482, 0.460 from 5,000, 10,000, 20,000 synthetic
  ones) and depends on k and the features, which few papers state. IS as the mean of ten splits is lower than of all
  images (13.38 against 13.82 from 10,000).
- **Reference.** Balanced training images in most; the long-tailed set itself or a test set in some repositories.
- **Chance.** Seeds of the training alone spread FID by about 1.3 % (SiT on ImageNet, the last table). For long-tailed
  sets nobody has published it.
"""


def published_page(figures: Sequence[Figure], records: Iterable[Record] = ()) -> str:
    """Markdown; the same figures in the same order, and the same records, give the same text. Sections follow the
    file's order. records: of this suite, for those that may stand beside a paper's figure."""
    results = results_by_data(ordered(records))
    data = _grouped(figures, lambda f: (f.dataset, f.ratio))
    contents = [
        (_link(*key), ", ".join(_grouped(found, lambda f: f.origin["paper"])), len(found))
        for key, found in data.items()
    ]
    return "\n".join(
        [
            _INTRODUCTION,
            "## Contents\n",
            table(["data", "reported by", "figures"], contents),
            "",
            *(_section(key, data, results.get(key, [])) for key in data),
        ]
    )


def _grouped(figures: Iterable[Figure], key: Callable[[Figure], Key]) -> dict[Key, list[Figure]]:
    """In order of first appearance."""
    groups: dict[Key, list[Figure]] = defaultdict(list)
    for figure in figures:
        groups[key(figure)].append(figure)
    return dict(groups)


def _title(dataset: str, ratio: str) -> str:
    said = {NATURAL: "not made long-tailed", NOT_STATED: "ratio not stated"}
    return f"{dataset}, {said.get(ratio, f'ratio {ratio}')}"


def _link(dataset: str, ratio: str) -> str:
    """To its section, by the anchor that GitHub makes."""
    title = _title(dataset, ratio)
    anchor = re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
    return f"[{title}](#{anchor})"


def _section(key: tuple[str, str], data: Mapping[tuple[str, str], Sequence[Figure]], results: Sequence[Row]) -> str:
    figures, open_ratio = data[key], (key[0], NOT_STATED)
    sources = _grouped(figures, lambda f: (f.origin["paper"], f.origin["place"], f.measured_by))
    parts = [
        f"## {_title(*key)}\n",
        *([] if key[1] == NATURAL else by_protocol(figures, results)),
        *map(_source, sources.values()),
    ]
    if open_ratio in data and key not in (open_ratio, (key[0], NATURAL)):
        papers = ", ".join(_grouped(data[open_ratio], lambda f: f.origin["paper"]))
        parts.insert(1, f"Figures whose ratio is not stated ({papers}) are in {_link(*open_ratio)}.\n")
    return "\n".join(parts)


def _values(figures: Iterable[Figure]) -> str:
    """Of one cell: sources that contradict themselves have several."""
    return " or ".join(f"**{f.value}**" if f.role == "own" else f.value for f in figures) or MISSING


def _source(figures: Sequence[Figure]) -> str:
    """The figures of one place of one paper: a row per method, a column per metric and group."""
    first = figures[0]
    said = {item: dict.fromkeys(f.items.get(item, NOT_STATED) for f in figures) for item in (*ITEMS, "groups")}
    differing = [item for item, texts in said.items() if len(texts) > 1]
    rows = _grouped(figures, lambda f: (f"`{f.method}`", *(f.items.get(item, NOT_STATED) for item in differing)))
    columns = _grouped(figures, lambda f: f"{f.metric} {f.group} {ARROWS[METRICS[f.metric][0]]}")
    doubts = _doubts(figures)
    marks = _Marks(rows, columns, [found for found in doubts.values() if len(found) < len(figures)])
    body = [
        [names[0] + marks.of_lines[names], *names[1:], *(marks.cell(found, column) for column in columns.values())]
        for names, found in rows.items()
    ]
    lettered = len(marks.letters)
    notes = [f"- [{letter}] {doubt}" for letter, doubt in zip(marks.letters, doubts, strict=False)]
    notes += [f"- {doubt}" for doubt in list(doubts)[lettered:]]
    return "\n".join(
        [
            f"### {first.origin['paper']}: {first.origin['place']}\n",
            f"- source: {first.origin['paper']}, {first.origin['reference']}; measured by: {first.measured_by}",
            f"- read in: {'; '.join(_grouped(figures, lambda f: f.origin['read']))}",
            f"- protocol: {_protocol(first.items, differing)}",
            "",
            table(["method", *differing, *(name + marks.of_lines[name] for name in columns)], body),
            "",
            *notes,
            "",
        ]
    )


def _protocol(items: Mapping[str, str], differing: Sequence[str]) -> str:
    """What holds for the whole table; what is a column of it is left out."""
    shared = {item: text for item, text in items.items() if item not in differing}
    said = [f"{item} {text}" for item, text in shared.items() if text != NOT_STATED]
    silent = ", ".join(item for item, text in shared.items() if text == NOT_STATED)
    return "; ".join([*said, f"not stated: {silent}"] if silent else said)


def _doubts(figures: Sequence[Figure]) -> dict[str, list[Figure]]:
    """Each doubt with the figures that it is about, those about all figures last."""
    doubts: dict[str, list[Figure]] = defaultdict(list)
    for figure in figures:
        for doubt in figure.doubt_list:
            doubts[doubt].append(figure)
    return dict(sorted(doubts.items(), key=lambda item: len(item[1]) == len(figures)))


class _Marks:
    """Where the letters of doubts stand: at a row or a column when all of it is doubtful, else at the figure."""

    def __init__(
        self,
        rows: Mapping[tuple[str, ...], Sequence[Figure]],
        columns: Mapping[str, Sequence[Figure]],
        doubts: Sequence[Sequence[Figure]],
    ) -> None:
        self.letters = [string.ascii_lowercase[n % 26] * (1 + n // 26) for n in range(len(doubts))]
        self.of_lines: dict[tuple[str, ...] | str, str] = defaultdict(str)
        self.of_figures: dict[Figure, str] = defaultdict(str)
        lines: list[tuple[tuple[str, ...] | str, Sequence[Figure]]] = [*rows.items(), *columns.items()]
        for letter, found in zip(self.letters, doubts, strict=True):
            left = set(found)
            for names, line in lines:
                if left >= set(line):
                    self.of_lines[names] += f" [{letter}]"
                    left -= set(line)
            for figure in left:
                self.of_figures[figure] += f" [{letter}]"

    def cell(self, row: Sequence[Figure], column: Sequence[Figure]) -> str:
        figures = [f for f in row if f in column]
        return _values(figures) + "".join(dict.fromkeys(self.of_figures[figure] for figure in figures))
