"""The page of claims: each with what its paper reports, what others found, and what these runs show."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from ltgen_bench.errors import UsageError
from ltgen_bench.leaderboard.markdown import table
from ltgen_bench.leaderboard.notes import mark
from ltgen_bench.probes import claims, distances, width_claim
from ltgen_bench.probes.claims import Figure, Row, Section
from ltgen_bench.probes.claims_picture import dots
from ltgen_bench.probes.claims_text import CLAIMS, HEAD
from ltgen_bench.probes.probe_file import ProbeFile, probes_in
from ltgen_bench.probes.theory_measured import Assessment
from ltgen_bench.scoring.metric_table import metric_name, metric_title
from ltgen_bench.storage.atomic_files import atomic_write, write_text

PARTS = ("training", "held-out")


def take(folder: Path, run_folders: Iterable[Path]) -> list[Path]:
    """Copy what was probed of runs to the page's folder; those that are new there. Raises UsageError for a run of which
    there is nothing by today's version of a probe, and for a damaged file."""
    new = []
    for run_folder in run_folders:
        probes = [probe for probe in probes_in(run_folder) if probe.spec.current]
        if not probes:
            raise UsageError(f"run {run_folder.name} was not probed yet: ltgen-bench probe pruning {run_folder.name}")
        for probe in probes:
            name = f"probe-{probe.spec.kind}-{probe.spec.id}"
            path = records(folder) / probe.run.dataset.name / f"{name}-{probe.run.run_id}.json"
            if not path.exists():
                with atomic_write(path) as file:
                    file.write((run_folder / f"{name}.json").read_bytes())
                new.append(path)
    return new


def records(folder: Path) -> Path:
    """Where the page's folder keeps what it is made from."""
    return folder / "probes"


def taken(folder: Path) -> list[ProbeFile]:
    """All that was taken and is by today's versions."""
    return [probe for probe in _all(folder) if probe.spec.current]


def outdated(folder: Path) -> list[ProbeFile]:
    """What `taken` leaves out, as far as nothing newer is there."""
    newer = {(probe.spec.kind, probe.run.run_id) for probe in taken(folder)}
    return [p for p in _all(folder) if not p.spec.current and (p.spec.kind, p.run.run_id) not in newer]


def left_out(folder: Path) -> list[str]:
    """A line for each of `outdated`, with the command that finds it anew."""
    return [
        f"left out: {old.spec.kind} of {old.title}, found by version {old.spec.version}; "
        f"ltgen-bench probe {old.spec.kind} {old.run.run_id} finds it anew, and probe page {old.run.run_id} takes it"
        for old in outdated(folder)
    ]


def _all(folder: Path) -> list[ProbeFile]:
    return [probe for part in sorted(records(folder).glob("*")) for probe in probes_in(part)]


def measured(probes: Iterable[ProbeFile]) -> list[tuple[str, Assessment]]:
    """For the page of the theorems: what was measured of networks' own gradients, each with what it is of."""
    found = [(p.title, p.result["theory"]) for p in probes if p.spec.kind == "dominance"]
    return [(title, Assessment(**theory)) for title, theory in found if "why" not in theory]


def write_page(folder: Path) -> list[Path]:
    """README.md in the folder, with a picture for each table's runs; the paths. The same bytes for the same probes.

    What stands in reading-pruning.md, reading-reserve.md and reading-dominance.md, if anything, is put into it.
    """
    probes, written = taken(folder), []
    parts = [HEAD.format(pages=_other_pages(folder))]
    for kind, claim in CLAIMS.items():
        shown = []
        for section in claims.sections(probes, kind):
            picture = folder / f"{kind}-{section.probes[0].run.dataset.name}-{section.key[:6]}.png"
            shown.append(_SHOWN[kind](section, picture))
            written.append(picture)
        own = folder / f"reading-{kind}.md"
        reading = [own.read_text().strip()] if own.exists() else []
        parts.append(claim.format(shown="\n\n".join([*reading, *shown]) or "Nothing was measured yet."))
    parts.append(width_claim.section(folder))
    page = folder / "README.md"
    write_text(page, "\n\n".join(part.strip() for part in parts) + "\n")
    return [page, *written]


def _pruning(section: Section, picture: Path) -> str:
    figures = [(part, claims.change_of(part, v), v) for part in PARTS for v in claims.variants_of(section)]
    return _changes(section, picture, more=_narrowed(section, figures))


def _reserve(section: Section, picture: Path) -> str:
    ranks = sorted({probe.result["rank"] for probe in section.probes})
    strengths = section.rows(lambda probe, _: 100 * float(probe.result["strength"]))
    size = f"The reserve has rank {' or '.join(map(str, ranks))}. Its norm, in % of that of the weights it is in: "
    size += ", ".join(f"{row.name} {claims.mean(row.groups['majority'], 1)}" for row in strengths) + "."
    return _changes(section, picture, before=[size])


def _changes(section: Section, picture: Path, before: Sequence[str] = (), more: Sequence[str] = ()) -> str:
    """Of losses on both sets of images, and of distances; `more` stands between."""
    variants = claims.variants_of(section)
    panels = {
        f"on {part} images": [row for v in variants for row in section.rows(claims.change_of(part, v), f", {v}")]
        for part in PARTS
    }
    losses = [f"Change of the loss {where}, %:\n\n{_gaps(rows)}" for where, rows in panels.items()]
    scores = [_gaps_of_distance(section, metric, variants) for metric in distances.metrics(section.probes[0])]
    dots(picture, f"{section.probes[0].spec.kind}: {section.title}", panels, "change of the denoising loss, %")
    return _section(section, picture, [*before, *losses, *more, *scores])


def _dominance(section: Section, picture: Path) -> str:
    figures = {
        "sign": claims.gradient("same_sign"),
        "sign where opposed": claims.gradient("opposed_same_sign"),
        "progress": claims.gradient("serves"),
        "cosine with the majority": claims.gradient("to_majority"),
        "square that is in the reserve, %": claims.gradient("reserve", 100),
    }
    rows = {title: section.rows(figure) for title, figure in figures.items()}
    tables = [f"{title[0].upper()}{title[1:]}:\n\n{_gaps(of)}" for title, of in rows.items() if of]
    shown = ("sign", "sign where opposed", "progress")
    dots(picture, f"dominance: {section.title}", {title: rows[title] for title in shown}, "")
    return _section(section, picture, tables)


_SHOWN = {"pruning": _pruning, "reserve": _reserve, "dominance": _dominance}


def _other_pages(folder: Path) -> str:
    """Links to what else is in the folder."""
    pages = {"theory.md": "the theorems", **{p.name: "widths" for p in sorted(folder.glob("width-*.md"))}}
    return ", ".join(f"[{name}]({name}) ({what})" for name, what in pages.items())


def _section(section: Section, picture: Path, tables: Sequence[str]) -> str:
    probe = section.probes[0]
    command = ["ltgen-bench", "probe", probe.spec.kind, *dict.fromkeys(p.run.run_id for p in section.probes)]
    return "\n\n".join(
        [
            f"### {section.title}",
            f"Settings: {claims.described(probe)}.",
            f"![{probe.spec.kind}]({picture.name})",
            *tables,
            f"<details><summary>runs</summary>\n\n`{shlex.join(command)}`\n\n</details>",
        ]
    )


def _gaps(rows: Sequence[Row]) -> str:
    body = [
        [
            row.name,
            len(row.seeds),
            *(claims.mean(row.groups.get(group, {})) for group in claims.GROUPS),
            claims.difference(row.gap),
            claims.reading(row.gap, "minority more", "majority more"),
        ]
        for row in rows
    ]
    return table(["", "seeds", *claims.GROUPS, "minority − majority", "which"], body)


def _gaps_of_distance(section: Section, metric: str, variants: Sequence[str]) -> str:
    spec = distances.evaluation(section.probes[0])
    name, title = metric_name(metric, spec.features), metric_title(metric, spec.features)
    rows = [row for v in variants for row in section.rows(claims.distance_of(name, v), f", {v}")]
    marked = {flag for probe in section.probes for flag in distances.flags(probe, metric)}
    head = f"Change of {title}{mark(marked)}, %, {spec.sample.images:,} images:"
    return "\n\n".join([head, _gaps(rows), *distances.notes(marked)])


def _narrowed(section: Section, figures: Sequence[tuple[str, Figure, str]]) -> list[str]:
    """The gap of each method beside that of the baseline, seed by seed."""
    body = []
    for part, figure, variant in figures:
        rows = section.rows(figure)
        baselines = {row.more: row for row in rows if row.label == claims.BASELINE}
        for row in rows:
            if row.more in baselines and row.label != claims.BASELINE:
                found = claims.beside(row.gaps, baselines[row.more].gaps)
                how = claims.reading(found, "wider", "narrower")
                body.append([f"{row.name}, {variant}, {part}", found.n if found else 0, claims.difference(found), how])
    if not body:
        return []
    headers = ["", "seeds", f"gap less {claims.BASELINE}'s", "which"]
    return [f"Minority − majority beside that of `{claims.BASELINE}`, seed by seed:\n\n{table(headers, body)}"]
