"""Papers' figures of one data set under each other, with how each was made; beside them results of this suite that were
made in the same way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ltgen_bench.leaderboard.pages.markdown import table
from ltgen_bench.leaderboard.papers import COMPARED, SIZE, differences, made, ratio_of, texts_of_protocol
from ltgen_bench.leaderboard.published import NOT_STATED, Figure
from ltgen_bench.leaderboard.rows import Row, run_of
from ltgen_bench.leaderboard.statistics import Column
from ltgen_bench.runs.record import Record
from ltgen_bench.spec.protocols import PROTOCOLS
from ltgen_bench.spec.specs import RunSpec

FID = Column("FD", "overall")

_HOW = (
    "Each with how it was made, beside the protocol that is nearest to it: in full below, and by `ltgen-bench show "
    "protocol NAME`. **Only rows that were made in the same way compare.**"
)


class Pair(NamedTuple):
    """A figure of a paper, a row of this suite, and in what the two were made otherwise."""

    figure: Figure
    row: Row
    why: list[str]


def results_by_data(records: Iterable[Record]) -> dict[tuple[str, str], list[Row]]:
    """All seeds of each configuration and evaluation, by data set and ratio as published.csv has them."""
    found: dict[tuple[str, str], dict[tuple[str, str], list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        if isinstance(record.run, RunSpec) and record.run.dataset.size == SIZE:
            data = record.run.dataset
            found[data.name, ratio_of(data)][record.run.config_id, record.eval_id].append(record)
    return {key: [Row(r[0].run.label, tuple(r)) for r in configs.values()] for key, configs in found.items()}


def by_protocol(figures: Sequence[Figure], results: Sequence[Row] = ()) -> list[str]:
    """The FID over all classes of every paper, and what may stand beside it; nothing when only one paper has it and
    there are no results of this suite on the data."""
    shown = [f for f in figures if (f.metric, f.group) == ("FID", "overall") and f.role != "ablation"]
    if not shown or (len({f.origin["paper"] for f in shown}) < 2 and not results):
        return []
    by_method: dict[str, list[Figure]] = defaultdict(list)
    for figure in shown:
        by_method[figure.method].append(figure)
    pairs = [Pair(figure, row, differences(figure, row.records[0])) for figure in shown for row in results]
    body = [line for method, found in by_method.items() for line in _lines(method, found, pairs)]
    standing = {id(pair.row) for pair in pairs if not pair.why}
    left = [pair for pair in pairs if id(pair.row) not in standing]
    return [
        "### FID over all classes, by how it was made\n",
        f"{_HOW}\n",
        table(["method", "FID ↓", "measured by", "made as by"], body),
        "",
        *_protocols(shown),
        *([_not_beside(left)] if left else []),
        "",
    ]


def _lines(method: str, figures: Sequence[Figure], pairs: Sequence[Pair]) -> Iterator[list[str]]:
    """The name of a method stands once."""
    name = f"`{method}`"
    for figure in figures:
        paper = figure.origin["paper"]
        yield [name, _value(figure), paper, _made(figure)]
        name = ""
        doubts = f"; doubts: see {paper} below" if figure.doubt_list else ""
        for row in (pair.row for pair in pairs if pair.figure is figure and not pair.why):
            seeds = f"seed{'s' * (len(row.seeds) > 1)} {', '.join(map(str, sorted(row.seeds)))}"
            precision = run_of(row.records[0])[0].train.precision
            yield ["", row.cell(FID), f"this suite, {seeds}, trained in {precision}", f"as by {paper}{doubts}"]


def _value(figure: Figure) -> str:
    return f"**{figure.value}**" if figure.role == "own" else figure.value


def _made(figure: Figure) -> str:
    if (found := made(figure)) is not None:
        return found.text
    stated = {item: figure.items[item] for item in COMPARED if figure.items[item] != NOT_STATED}
    return "; ".join(f"{item} {text}" for item, text in stated.items()) or NOT_STATED


def _protocols(figures: Iterable[Figure]) -> Iterator[str]:
    """What the protocols that are named say, a line each."""
    named = {found.protocol.name for figure in figures if (found := made(figure))}
    for name in PROTOCOLS:
        if name in named:
            texts = texts_of_protocol(PROTOCOLS[name])
            missing = {"omega": "tuned" if PROTOCOLS[name].omega == "tuned" else NOT_STATED}
            said = [f"{item} {texts[item][0] if item in texts else missing.get(item, NOT_STATED)}" for item in COMPARED]
            yield f"- `{name}`: {'; '.join(said)}"


def _not_beside(pairs: Sequence[Pair]) -> str:
    """How many rows of this suite on the data stand nowhere above, and what the nearest of them differs in."""
    figure, row, why = min(pairs, key=lambda pair: len(pair.why))
    rows = len({id(pair.row) for pair in pairs})
    return (
        f"- {rows} row{'s' * (rows > 1)} of this suite, made otherwise, not in this table; the nearest, {row.name}, "
        f"beside `{figure.method}` by {figure.origin['paper']}: {', '.join(why)}"
    )
