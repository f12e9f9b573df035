"""What a probe found, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tabulate import tabulate

from ltgen_bench.leaderboard.rows import MISSING
from ltgen_bench.probes import distances
from ltgen_bench.probes.distances import RANDOM, Cell, spread
from ltgen_bench.probes.probe_file import ProbeFile
from ltgen_bench.scoring.metric_table import SCOPES, metric_title

ROUNDING = 1e-9
"""Of a cosine of 1."""


def text(found: ProbeFile, *, per_class: bool) -> str:
    """Title and tables: overall, by group and, if asked for, by class."""
    tables = dominance_tables if found.spec.kind == "dominance" else variant_tables
    parts = [f"{caption}\n{_table(rows)}" for caption, rows in tables(found, per_class=per_class)]
    notes = theory_notes(found.result["theory"]) if found.spec.kind == "dominance" else _notes(found)
    return "\n\n".join([f"{found.title} ({found.run.run_id}): {found.spec.kind}", *parts, *notes])


Rows = list[list[str]]
"""The headings first."""


def variant_tables(found: ProbeFile, *, per_class: bool) -> Iterator[tuple[str, Rows]]:
    """Of pruned networks and of reserves: a table for each set of images, and for each distance."""
    for name, part in found.result["losses"].items():
        columns = summarised(part["change"])
        rows = [["", "images", "loss", *columns]]
        for scope in _scopes(part["loss"], per_class):
            loss = part["loss"][scope]
            cells = [_percent(of_scope.get(scope, (None, None))) for of_scope in columns.values()]
            rows.append([found.scope_name(scope), f"{loss['n']:,}", f"{loss['value']:.4f}", *cells])
        yield f"change of the denoising loss on {name} images, %", rows
    if "scores" in found.result:
        yield from _distances(found)


def summarised(change: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Cell]]:
    """{variant: {scope: change ± standard error}}; several random ones as one, their mean ± the standard deviation
    between them."""
    random = [name for name in change if name.startswith(RANDOM)]
    found = {
        name: {scope: (figures["value"], figures["se"]) for scope, figures in of_scope.items()}
        for name, of_scope in change.items()
        if name not in random
    }
    if random:
        found[RANDOM] = {
            scope: spread([change[name][scope]["value"] for name in random]) for scope in change[random[0]]
        }
    return found


def _distances(found: ProbeFile) -> Iterator[tuple[str, Rows]]:
    for metric in distances.metrics(found):
        table = distances.table(found, metric)
        scopes = [scope for scope in SCOPES if scope in next(iter(table.values()))]
        rows = [["", *table], *([scope, *(of[scope] for of in table.values())] for scope in scopes)]
        spec = distances.evaluation(found)
        yield f"{metric_title(metric, spec.features)}, {spec.sample.images:,} images", rows


def _notes(found: ProbeFile) -> list[str]:
    result = found.result
    if found.spec.kind == "pruning":
        removed = ", ".join(f"{name}: {count:,}" for name, count in result["removed"].items())
        return [f"weights removed, of {result['weights']:,}: {removed}", *_score_notes(found)]
    energy = ", ".join(f"{name}: {share:.0%}" for name, share in result["energy"].items())
    return [
        f"the reserve: rank {result['rank']} in {result['layers']} layers, {result['strength']:.1%} as strong as their "
        f"weights\na part is its largest singular directions, by number; they hold of its square: {energy}\n"
        f"{RANDOM}: singular vectors at random, the same singular values; ± between the draws",
        *_score_notes(found),
    ]


def _score_notes(found: ProbeFile) -> list[str]:
    if not (metrics := distances.metrics(found)):
        return []
    marks = distances.notes(distances.flags(found, *metrics))
    return ["\n".join(["± of a distance: standard error of drawing the images anew, where it is known", *marks])]


def dominance_tables(found: ProbeFile, *, per_class: bool) -> Iterator[tuple[str, Rows]]:
    """Of mean gradients."""
    columns = {
        "sign": "same_sign",
        "opposed": "opposed_same_sign",
        "cos update": "to_update",
        "cos majority": "to_majority",
        "cos minority": "to_minority",
        "progress": "serves",
        "noise": "noise",
    }
    if found.result["reserve"]:
        columns["reserve, %"] = "reserve"
    rows = [["", *columns]]
    for scope in _scopes(found.result["scopes"], per_class):
        figures = found.result["scopes"][scope]
        cells = [
            cosine(figures[key], figures[f"{key}_se"])
            if key.startswith("to_")
            else _gradient(figures[key], 100 if key == "reserve" else 1)
            for key in columns.values()
        ]
        rows.append([found.scope_name(scope), *cells])
    yield f"mean gradients, {found.result['parameters']:,} parameters", rows


def _gradient(value: float | None, scale: float) -> str:
    return MISSING if value is None else f"{scale * value:.3f}"


def cosine(value: float | None, error: float | None) -> str:
    """With its standard error; one that noise carries beyond 1, where none can be, as that."""
    if value is None:
        return MISSING
    beyond = abs(value) > 1 + ROUNDING
    shown = ("≥ 1" if value > 0 else "≤ -1") if beyond else f"{value:.3f}"
    return f"{shown} ± {MISSING if error is None else f'{error:.3f}'}"


def theory_notes(theory: Mapping[str, Any]) -> list[str]:
    legend = (
        "sign: share of parameters whose update has the sign that these classes ask for; opposed: of those where\n"
        "majority and minority ask for opposite ones; progress: fall of their loss in a small step along the update,\n"
        "as a share of its fall in the same step along their own gradient; noise: share of the measured square that\n"
        "is error, taken off elsewhere; cos: cosine ± its standard error over the draws; ≥ 1: noise carries it beyond\n"
        "what can be"
    )
    if "why" in theory:
        return [legend, f"Theorem 2.1 is not compared: {theory['why']}"]
    known = {
        name: "hidden in noise" if theory[name] is None else f"{theory[name]:.3f}"
        for name in ("formula", "scaled", "scalar")
    }
    return [
        legend,
        f"Theorem 2.1 with a = {theory['a']:.3f}, N = {theory['n']}, cosine {cosine(theory['cos'], theory['cos_se'])}: "
        f"{known['formula']};\nin units of each parameter's noise {known['scaled']}, for parameters that differ "
        f"{known['scalar']};\nmeasured {theory['nearest']:.3f} ± {theory['nearest_se']:.3f}: parameters nearer to the "
        "majority's mean than to the minority's",
    ]


def _scopes(found: Mapping[str, Any], per_class: bool) -> list[str]:
    return [scope for scope in found if per_class or scope in SCOPES]


def _percent(cell: Cell) -> str:
    value, se = cell
    if value is None:
        return MISSING
    return f"{100 * value:+.2f}" + (f" ± {100 * se:.2f}" if se is not None else "")


def _table(rows: Rows) -> str:
    headings, *body = rows
    align = ["left", *["right"] * (len(headings) - 1)]
    return str(tabulate(body, headings, tablefmt="simple", disable_numparse=True, colalign=align))
