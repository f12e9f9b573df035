"""Leaderboards: markdown as a pure function of result records. Unlike results never share a table."""

from __future__ import annotations

import itertools
import json
import statistics
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tabulate as tabulate_module
from tabulate import tabulate

from ltgen_bench.runs.record import Record
from ltgen_bench.spec.serialise import to_json
from ltgen_bench.spec.specs import EvalSpec, ExternalSpec, RunSpec

if TYPE_CHECKING:
    import pandas as pd

# Whether wcwidth happens to be installed must not change a page.
tabulate_module.WIDE_CHARS_MODE = False

BOLD_FROM = 3
"""Seeds a row needs before it can be marked best."""

UNRANKED = {"n<d", "memorised"}
"""What the scorer warns of that keeps a figure from being called best."""

MISSING = "–"
ARROWS = {"lower": "↓", "higher": "↑"}

METRICS = {"FD": ("lower", 2), "IS": ("higher", 2), "recall": ("higher", 3), "precision": ("higher", 3)}
"""Metric (without the name of its features): which way is better, and decimals."""


SCOPES = ("overall", "majority", "medium", "minority")
PULLING = 3
"""Classes named of those that pull a distance up."""


@dataclass(frozen=True)
class Column:
    """A column of the main table."""

    metric: str
    group: str

    @property
    def better(self) -> str:
        return METRICS[self.metric][0]

    @property
    def digits(self) -> int:
        return METRICS[self.metric][1]

    def title(self, record: Record) -> str:
        return f"{_metric_name(record, self.metric)} {self.group} {ARROWS[self.better]}"

    def figures(self, record: Record) -> dict[str, Any]:
        return _figures(record, self.metric, self.group)

    def flags(self, record: Record) -> set[str]:
        """What the scorer warns of: "n<4d" (biased), "n<d" (too biased to rank), "memorised"."""
        of_group = (self.figures(record), _figures(record, "memorised", self.group))
        return {str(figures["flag"]) for figures in of_group if "flag" in figures}


COLUMNS = (
    *(Column(metric, group) for metric in ("FD", "IS", "recall") for group in ("overall", "majority", "minority")),
    Column("precision", "overall"),
)


@dataclass(frozen=True)
class Row:
    """All seeds of one configuration."""

    name: str
    records: tuple[Record, ...]

    def values(self, column: Column) -> list[float]:
        return [f["value"] for r in self.records if (f := column.figures(r))]

    def mean(self, column: Column) -> float | None:
        """Over all seeds; None when one lacks the figure."""
        values = self.values(column)
        return statistics.fmean(values) if len(values) == len(self.records) else None

    def flags(self, column: Column) -> set[str]:
        return {flag for r in self.records for flag in column.flags(r)}

    def cell(self, column: Column) -> str:
        if self.mean(column) is None:
            return MISSING
        return _mean_and_spread(self.values(column), f".{column.digits}f", self.flags(column))


def build(records: Iterable[Record]) -> dict[str, str]:
    """{dataset: markdown page} of all records; the same records give the same text."""
    pages: dict[str, list[Record]] = defaultdict(list)
    for record in _ordered(records):
        pages[record.run.dataset.name].append(record)
    return {dataset: _page(dataset, found) for dataset, found in sorted(pages.items())}


def _ordered(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda r: (r.run.method, r.run.config_id, r.run.seed, r.run_id, r.eval_id))


def figures(records: Iterable[Record]) -> pd.DataFrame:
    """Every figure of all records: one row per record, metric and group (or class), with all that identifies them.

    Columns are named as `--set` names the settings: `train.steps`, `sample.omega`, `cm.w_div`. A table of distances:
    `frame[frame.metric.str.startswith("FD-")].pivot_table("value", ["method", "train.steps"], "group")`.
    """
    import pandas as pd

    return pd.DataFrame(
        {**_identity(record), "metric": metric, "group": group, **found}
        for record in _ordered(records)
        for metric, groups in record.scores.items()
        for group, found in groups.items()
    )


def _identity(record: Record) -> dict[str, Any]:
    run = to_json(record.run)
    methods = {m["name"]: m["params"] | {"version": m["version"]} for m in run.pop("methods", ())}
    return {
        "dataset": record.run.dataset.name,
        "method": record.run.method,
        "name": row_name(record.run),
        "seed": record.run.seed,
        "run_id": record.run_id,
        "config_id": record.run.config_id,
        "eval_id": record.eval_id,
        **dict(_flat(run | methods | to_json(record.eval))),
        **{name: record.provenance.get(name) for name in ("commit", "dirty", "finished")},
    }


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, ",".join(map(str, value)) if isinstance(value, list) else value


def score_text(record: Record) -> str:
    """One record for the terminal, a line per group, narrower than 80 columns."""
    rows = []
    flags: set[str] = set()
    for group in SCOPES:
        columns = [Column(metric, group) for metric in METRICS]
        if known := [found for column in columns if (found := column.figures(record))]:
            rows.append([group, f"{known[0].get('n_gen', 0):,}", *(_cell(column, record) for column in columns)])
            flags |= {flag for column in columns for flag in column.flags(record)}
    name = {"FD": "FID"} if record.eval.features == "inception" else {}
    headers = ["group", "images", *(f"{name.get(m, m)} {ARROWS[better]}" for m, (better, _) in METRICS.items())]
    table = tabulate(rows, headers, tablefmt="simple", disable_numparse=True, colalign=["left"] + ["right"] * 5)
    run = record.run
    which = f"seed {run.seed}" if isinstance(run, RunSpec) else "made elsewhere"
    title = f"{run.dataset.name} {row_name(run)} {which} ({run.run_id}), scored in {record.eval.features}"
    return "\n".join([title, table, *_flag_notes(flags), *_memorised_notes([Row(row_name(run), (record,))])])


def pull_text(record: Record) -> str:
    """Which classes make the distances of a record what they are, a line per group; empty when that is not known."""
    classes = record.scores.get(_metric_name(record, "class-pull"), {})
    lines = []
    for group, ids in (("overall", [int(c) for c in classes]), *record.eval.groups.items()):
        pulls = {
            figures["class"]: figures["value" if group == "overall" else "within_group"]
            for c in ids
            if (figures := classes.get(str(c)))
        }
        worst = [name for name in sorted(pulls, key=lambda name: -pulls[name]) if pulls[name] > 0][:PULLING]
        if worst:
            lines.append([group, ", ".join(f"{name} {pulls[name]:+.2f}" for name in worst)])
    if not lines:
        return ""
    what = "classes whose images pull the distance up most (mean influence, to first order):"
    return f"{what}\n{tabulate(lines, tablefmt='plain', disable_numparse=True)}"


def _cell(column: Column, record: Record) -> str:
    found = column.figures(record)
    return f"{found['value']:.{column.digits}f}{_mark(column.flags(record))}" if found else MISSING


def row_name(run: RunSpec | ExternalSpec) -> str:
    """A configuration as tables name it: `cm`, `cm v2 (cm.w_div=1.0)`; images made elsewhere by their own name."""
    if isinstance(run, ExternalSpec):
        return run.name
    methods = "+".join(m.name if m.version == 1 else f"{m.name} v{m.version}" for m in run.methods)
    changed = [f"{m.name}.{p}={m.params[p]}" for m in run.methods for p in m.changed]
    return f"{methods} ({', '.join(changed)})" if changed else methods


def _page(dataset: str, records: Sequence[Record]) -> str:
    runs = _tables(r for r in records if isinstance(r.run, RunSpec))
    given = _tables(r for r in records if isinstance(r.run, ExternalSpec))
    parts = [f"# {dataset}\n"]
    if len(runs) > 1:
        parts.append("Results that differ in data, training or evaluation are in tables of their own.\n")
    parts += map(_section, runs)
    if given:
        parts += [f"## Images made elsewhere\n\n{_GIVEN_NOTE}\n", *map(_given_section, given)]
    return "\n".join(parts)


_GIVEN_NOTE = (
    "How these images were made, and from which training data, is not known to the suite: not comparable with the "
    "tables of its own runs."
)


def _tables(records: Iterable[Record]) -> list[list[Record]]:
    """The records that may share a table, the largest evaluations first, as they say most."""
    tables: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        tables[_comparable(record)].append(record)

    def order(key: str) -> tuple[int, int, str]:
        run = tables[key][0].run
        if isinstance(run, ExternalSpec):
            return -run.images, 0, key
        run, score = _run_of(tables[key][0])
        return -score.sample.images, -run.train.steps, key

    return [tables[key] for key in sorted(tables, key=order)]


def _run_of(record: Record) -> tuple[RunSpec, EvalSpec]:
    """Specs of a record that is of a run, not of images made elsewhere."""
    assert isinstance(record.run, RunSpec)
    assert isinstance(record.eval, EvalSpec)
    return record.run, record.eval


def _comparable(record: Record) -> str:
    """What must be equal for two rows to share a table: everything but the method and the seed."""
    run = to_json(record.run)
    same = {k: v for k, v in run.items() if k not in ("preset", "methods", "seed", "name", "sha256")}
    return json.dumps([same, to_json(record.eval)], sort_keys=True)


def _given_section(records: Sequence[Record]) -> str:
    rows = _rows(records)
    data, images = records[0].run.dataset, records[0].eval.features
    sizes = {r.run.images for r in records if isinstance(r.run, ExternalSpec)}
    title = f"### {data.size}x{data.size}, {max(sizes):,} images, {images}\n"
    caption = [_data_line(records[0]), _scoring_line(records[0]), f"- score version {records[0].eval.score_version}"]
    return "\n".join([title, *caption, "", _table(rows, "name", "sets"), "", *_notes(rows)]) + "\n"


def _section(records: Sequence[Record]) -> str:
    rows = _rows(records)
    newest: dict[str, int] = {}
    for method in (m for r in records for m in _run_of(r)[0].methods):
        newest[method.name] = max(method.version, newest.get(method.name, 0))
    plain = [row for row in rows if _is_plain(_run_of(row.records[0])[0], newest)]
    apart = [row for row in rows if row not in plain]
    parts = [f"## {_title(records[0])}\n", _caption(records), ""]
    if plain:
        parts += [_table(plain, "method", "seeds"), ""]
    if deltas := _deltas(plain):
        parts += ["### What adding a method changes\n", _DELTA_NOTE, "", deltas, ""]
    if apart:
        parts += ["### Other hyper-parameters and earlier versions\n", _table(apart, "method", "seeds"), ""]
    return "\n".join([*parts, *_notes(rows)]) + "\n"


_DELTA_NOTE = (
    "Paired by seed: apart from what the added method itself changes, both runs of a pair start from the same weights "
    "and see the same batches, times and noise. Mean difference ± sample standard deviation over seeds; below zero is "
    "better."
)
_FLAGS = {
    "n<d": ("⚠", "fewer images than feature dimensions: too biased to rank."),
    "n<4d": ("△", "fewer than 4 images per feature dimension: biased upwards, equally many images alone compare."),
}
"""What the scorer warns of, worst first: the mark and its note."""


_COPIES = (
    "‡",
    "memorised: the share of images that are nearer to a training image than that one's own nearest training neighbour "
    "is exceeds the share of real images that were not trained on by a tenth and by three standard errors. Copies win "
    "every score, so these are not ranked. Shares:",
)
"""The same of the flag "memorised", which comes beside the others."""


def _mark(flags: Collection[str]) -> str:
    marks = next((mark for flag, (mark, _) in _FLAGS.items() if flag in flags), "")
    marks += _COPIES[0] if "memorised" in flags else ""
    return f" {marks}" if marks else ""


def _flag_notes(flags: Collection[str]) -> list[str]:
    return [f"{mark} {note}" for flag, (mark, note) in _FLAGS.items() if flag in flags]


def _memorised_notes(rows: Sequence[Row]) -> list[str]:
    """What the mark means, and which shares it stands for."""
    shares = []
    for row, group in itertools.product(rows, SCOPES):
        found = [figures for r in row.records if "flag" in (figures := _figures(r, "memorised", group))]
        if found:
            mine, unseen = (statistics.fmean(figures[name] for figures in found) for name in ("value", "unseen"))
            shares.append(f"{row.name} {group} {mine:.2f} against {unseen:.2f}")
    return [f"{' '.join(_COPIES)} {', '.join(shares)}."] if shares else []


def _is_plain(run: RunSpec, newest: Mapping[str, int]) -> bool:
    """Whether a run belongs in the main table: defaults throughout, the newest version of each method."""
    return all(not m.changed and m.version == newest[m.name] for m in run.methods)


def _rows(records: Sequence[Record]) -> list[Row]:
    configs: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        configs[record.run.config_id].append(record)
    rows = [Row(row_name(found[0].run), tuple(found)) for found in configs.values()]
    distance = COLUMNS[0]
    return sorted(rows, key=lambda row: (mean if (mean := row.mean(distance)) is not None else float("inf"), row.name))


def _table(rows: Sequence[Row], *headers: str) -> str:
    """headers: of the rows' names, and of how many records they are of."""
    columns = [c for c in COLUMNS if any(c.figures(r) for row in rows for r in row.records)]
    best = {column: _best(rows, column) for column in columns}
    body = [
        [_dagger(row), len(row.records), *(f"**{row.cell(c)}**" if row in best[c] else row.cell(c) for c in columns)]
        for row in rows
    ]
    record = rows[0].records[0]
    return _markdown([*headers, *(c.title(record) for c in columns)], body)


def _best(rows: Sequence[Row], column: Column) -> list[Row]:
    """The best of the rows that may be called so: enough seeds, and figures that can be ranked."""
    sign = 1 if column.better == "lower" else -1
    ranked = [
        (sign * mean, row)
        for row in rows
        if (mean := row.mean(column)) is not None and len(row.records) >= BOLD_FROM and not row.flags(column) & UNRANKED
    ]
    return [row for value, row in ranked if value == min(ranked, key=lambda pair: pair[0])[0]]


def _dagger(row: Row) -> str:
    return row.name + (" †" if any(r.provenance.get("dirty") for r in row.records) else "")


def _deltas(rows: Sequence[Row]) -> str:
    """For every row that is another row plus one method: the differences in Fréchet distance."""
    by_methods = {frozenset(m.name for m in _run_of(row.records[0])[0].methods): row for row in rows}
    columns = [c for c in COLUMNS if c.metric == "FD"]
    body = []
    for methods, row in sorted(by_methods.items(), key=lambda item: sorted(item[0])):
        for added in sorted(methods):
            # Without any method left, the comparison is with the shared recipe itself.
            base = by_methods.get(methods - {added} or frozenset({"ddpm"}))
            if base is None or base is row:
                continue
            seeds = {r.run.seed: r for r in base.records}
            pairs = [(r, seeds[r.run.seed]) for r in row.records if r.run.seed in seeds]
            if pairs:
                body.append([f"{added} to {base.name}", len(pairs), *(_difference(pairs, c) for c in columns)])
    if not body:
        return ""
    headers = ["adding", "seeds", *(c.title(rows[0].records[0]).replace(" ↓", "") for c in columns)]
    return _markdown(headers, body)


def _markdown(headers: Sequence[str], body: Sequence[Sequence[object]]) -> str:
    return str(tabulate(body, headers, tablefmt="github", disable_numparse=True))


def _difference(pairs: Sequence[tuple[Record, Record]], column: Column) -> str:
    known = [(a, b) for r, s in pairs if (a := column.figures(r)) and (b := column.figures(s))]
    if len(known) < len(pairs):
        return MISSING
    flags = {flag for pair in pairs for record in pair for flag in column.flags(record)}
    return _mean_and_spread([a["value"] - b["value"] for a, b in known], f"+.{column.digits}f", flags)


def _mean_and_spread(values: Sequence[float], form: str, flags: Collection[str]) -> str:
    """mean ± sample standard deviation (n - 1); one value has no spread."""
    spread = f" ± {statistics.stdev(values):{form.lstrip('+')}}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):{form}}{spread}{_mark(flags)}"


def _figures(record: Record, metric: str, group: str) -> dict[str, Any]:
    return dict(record.scores.get(_metric_name(record, metric), {}).get(group, {}))


def _metric_name(record: Record, metric: str) -> str:
    """As the scorer names it: `FID`, `IS`, `recall` in Inception's features, else with the features' name."""
    features = record.eval.features
    if features == "inception":
        return {"FD": "FID"}.get(metric, metric)
    return f"{metric}-{features}"


def _title(record: Record) -> str:
    """What tables mostly differ in; the rest is in the caption."""
    run, score = _run_of(record)
    data, train = run.dataset, run.train
    imbalance = f"imbalance {data.imbalance:g}" if data.imbalance is not None else "images as they come"
    return (
        f"{data.size}x{data.size}, {imbalance}, {train.steps:,} steps x {train.batch}, {score.sample.images:,} images, "
        f"omega {score.sample.omega:g}, {score.features}"
    )


def _caption(records: Sequence[Record]) -> str:
    run, score = _run_of(records[0])
    presets = " or ".join(sorted({_run_of(r)[0].preset for r in records}))
    train, sample = run.train, score.sample
    network = "-".join(map(str, run.net.channels))
    sampler = f"{sample.sampler.upper()}, {sample.steps} steps, omega {sample.omega:g}{', clipped' * sample.clip}"
    lines = [
        _data_line(records[0]),
        f"- training, started from preset {presets}: {train.steps:,} steps x {train.batch}, lr {train.lr:g}, "
        f"EMA {train.ema:g}, {train.precision}; network {network}, "
        f"{run.net.groups} groups, dropout {run.net.dropout:g}",
        f"- sampling: {sample.images:,} images, the same number of each class; {sampler}",
        _scoring_line(records[0]),
        f"- protocol {run.protocol}, score version {score.score_version}",
    ]
    return "\n".join(lines)


def _data_line(record: Record) -> str:
    data = record.run.dataset
    counts = data.class_counts
    return (
        f"- data: {sum(counts):,} training images of {len(counts)} classes, {max(counts):,} to {min(counts):,} each; "
        f"split `{data.split_sha256[:12]}`"
    )


def _scoring_line(record: Record) -> str:
    score, figures = record.eval, COLUMNS[0].figures(record)
    return (
        f"- scoring: features `{score.features}` (weights `{score.features_sha256[:12]}`), "
        f"{figures.get('n_gen', 0):,} generated against {figures.get('n_real', 0):,} real images overall "
        f"({_group_sizes(record)}); reference `{score.reference_sha256[:12]}`"
    )


def _group_sizes(record: Record) -> str:
    groups = record.scores.get(_metric_name(record, "FD"), {})
    return ", ".join(
        f"{name} {figures['n_gen']:,} / {figures['n_real']:,}"
        for name, figures in groups.items()
        if name in ("majority", "medium", "minority") and "n_gen" in figures
    )


def _notes(rows: Sequence[Row]) -> list[str]:
    records = [r for row in rows for r in row.records]
    of = "seeds" if isinstance(records[0].run, RunSpec) else "sets"
    notes = _flag_notes({flag for c in COLUMNS for row in rows for flag in row.flags(c)})
    notes += _memorised_notes(rows)
    notes.append(f"mean ± sample standard deviation (n - 1) over {of}.")
    if any(len(row.records) < BOLD_FROM for row in rows):
        notes.append(f"Rows with fewer than {BOLD_FROM} {of} are not marked best.")
    if any(r.provenance.get("dirty") for r in records):
        notes.append("† made with uncommitted changes to the suite.")
    deviations = {name: text for r in records for name, text in r.deviations.items()}
    notes += [f"`{name}`: {text}." for name, text in sorted(deviations.items())]
    acted = sorted({f"{name} in {row.name}" for row in rows for r in row.records for name in _alarms(r)})
    if acted:
        notes.append(f"Safeguards that acted while training: {', '.join(acted)}.")
    return [f"- {note}" for note in notes]


def _alarms(record: Record) -> Iterable[str]:
    alarms = record.training.get("alarm_steps", {})
    return alarms if isinstance(alarms, dict) else {}
