"""One record for the terminal."""

from __future__ import annotations

from tabulate import tabulate

from ltgen_bench.leaderboard.notes import flag_notes, mark, memorised_notes
from ltgen_bench.leaderboard.rows import MISSING, Row, row_name
from ltgen_bench.leaderboard.statistics import ARROWS, METRICS, SCOPES, Column, metric_name
from ltgen_bench.runs.record import Record
from ltgen_bench.spec.specs import RunSpec

PULLING = 3
"""Classes named of those that pull a distance up."""


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
    return "\n".join([title, table, *flag_notes(flags), *memorised_notes([Row(row_name(run), (record,))])])


def pull_text(record: Record) -> str:
    """Which classes make the distances of a record what they are, a line per group; empty when that is not known."""
    classes = record.scores.get(metric_name(record, "class-pull"), {})
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
    return f"{found['value']:.{column.digits}f}{mark(column.flags(record))}" if found else MISSING
