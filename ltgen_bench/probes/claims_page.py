"""The page of claims: each with what its paper reports, what others found, and what these runs show."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from ltgen_bench.leaderboard.board import BASELINE
from ltgen_bench.leaderboard.notes import mark
from ltgen_bench.leaderboard.pages.markdown import folded, table
from ltgen_bench.leaderboard.pages.page_file import PageFile, own_words
from ltgen_bench.leaderboard.pictures import picture as pictures
from ltgen_bench.leaderboard.pictures.picture import Picture, PictureFile
from ltgen_bench.probes import claims, distances, width_claim
from ltgen_bench.probes.claims import Figure, Row, Section
from ltgen_bench.probes.claims_records import records, taken
from ltgen_bench.probes.claims_text import CLAIMS, HEAD
from ltgen_bench.probes.pictures.of_claims import dots
from ltgen_bench.scoring.metric_table import metric_name, metric_title

PARTS = ("training", "held-out")


def pages(folder: Path) -> list[PageFile | PictureFile]:
    """README.md in the folder, with a picture for each table's runs. The same for the same probes.

    What stands in reading-pruning.md, reading-reserve.md and reading-dominance.md, if anything, is put into it. Raises
    UsageError for a damaged file.
    """
    probes, drawn = taken(folder), list[Picture]()
    parts = [HEAD.format(pages=_other_pages(folder))]
    for kind, claim in CLAIMS.items():
        shown = []
        for section in claims.sections(probes, kind):
            text, picture = _SHOWN[kind](section)
            shown.append(text)
            drawn.append(picture)
        reading = [words] if (words := own_words(folder, kind)) else []
        parts.append(claim.format(shown="\n\n".join([*reading, *shown]) or "Nothing was measured yet."))
    parts.append(width_claim.section(folder))
    text = "\n\n".join(part.strip() for part in parts) + "\n"
    page = PageFile(folder / "README.md", text, "its probes")
    return [page, *(PictureFile(folder / f"{picture.name}.png", picture, "its probes") for picture in drawn)]


def has_content(folder: Path) -> bool:
    """Whether there is anything to make the page of."""
    return records(folder).is_dir() or any(folder.glob("width-*.json"))


def left_over(made: Sequence[PageFile | PictureFile], folder: Path) -> list[Path]:
    """Pictures that were drawn for this page and that it no longer shows."""
    return [path for kind in CLAIMS for path in pictures.left_over(made, folder, f"{kind}-*.png")]


def _pruning(section: Section) -> tuple[str, Picture]:
    figures = [(part, claims.change_of(part, v), v) for part in PARTS for v in claims.variants_of(section)]
    return _changes(section, more=_narrowed(section, figures))


def _reserve(section: Section) -> tuple[str, Picture]:
    ranks = sorted({probe.result["rank"] for probe in section.probes})
    strengths = section.rows(lambda probe, _: 100 * float(probe.result["strength"]))
    size = f"The ranks of the reserve add up to {' or '.join(map(str, ranks))} over all weights that have one. "
    size += "Its norm, in % of that of the weights it is in: "
    size += ", ".join(f"{row.name} {claims.mean(row.groups['majority'], 1)}" for row in strengths) + "."
    return _changes(section, before=[size])


def _changes(section: Section, before: Sequence[str] = (), more: Sequence[str] = ()) -> tuple[str, Picture]:
    """Of losses on both sets of images, and of distances; `more` stands between."""
    variants = claims.variants_of(section)
    panels = {
        f"on {part} images": [row for v in variants for row in section.rows(claims.change_of(part, v), f", {v}")]
        for part in PARTS
    }
    first, *others = [_losses(section, part, rows) for part, rows in zip(PARTS, panels.values(), strict=True)]
    scores = [_gaps_of_distance(section, metric, variants) for metric in distances.metrics(section.probes[0])]
    picture = _picture(section, panels, "change of the denoising loss, %")
    return _section(section, picture, [*before, first], [*others, *more, *scores]), picture


def _losses(section: Section, part: str, changes: Sequence[Row]) -> str:
    """A relative change, and what it is made of: where losses differ, equal rises are unequal shares."""
    rises = [row for v in claims.variants_of(section) for row in section.rows(claims.rise_of(part, v), f", {v}")]
    parts = [f"Change of the loss on {part} images, %:", _gaps(changes)]
    return "\n\n".join([*parts, "The same times the loss, x 1,000:", _gaps(rises)])


def _dominance(section: Section) -> tuple[str, Picture]:
    figures = {
        "sign where opposed": claims.gradient("opposed_same_sign"),
        "sign": claims.gradient("same_sign"),
        "progress": claims.gradient("serves"),
        "cosine with the majority": claims.gradient("to_majority"),
        "square that is in the reserve, %": claims.gradient("reserve", 100),
    }
    rows = {title: section.rows(figure) for title, figure in figures.items()}
    tables = [f"{title[0].upper()}{title[1:]}:\n\n{_gaps(of)}" for title, of in rows.items() if of]
    shown = ("sign where opposed", "sign", "progress")
    picture = _picture(section, {title: rows[title] for title in shown}, "")
    return _section(section, picture, tables[:1], tables[1:]), picture


_SHOWN = {"pruning": _pruning, "reserve": _reserve, "dominance": _dominance}


def _other_pages(folder: Path) -> str:
    """Links to what else is in the folder."""
    pages = {"theory.md": "the theorems", **{p.name: "widths" for p in sorted(folder.glob("width-*.md"))}}
    return ", ".join(f"[{name}]({name}) ({what})" for name, what in pages.items())


def _picture(section: Section, panels: Mapping[str, Sequence[Row]], y: str) -> Picture:
    kind, dataset = section.probes[0].spec.kind, section.probes[0].run.dataset.name
    return dots(f"{kind}-{dataset}-{section.key[:6]}", f"{kind}: {section.title}", panels, y)


def _section(section: Section, picture: Picture, shown: Sequence[str], more: Sequence[str]) -> str:
    """shown: tables; more: those that open with a click."""
    probe = section.probes[0]
    command = ["ltgen-bench", "probe", probe.spec.kind, *dict.fromkeys(p.run.run_id for p in section.probes)]
    return "\n\n".join(
        [
            f"### {section.title}",
            f"Settings: {claims.described(probe)}.",
            picture.line(),
            *shown,
            folded("More tables", *more),
            folded("runs", f"`{shlex.join(command)}`"),
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
        baselines = {row.more: row for row in rows if row.label == BASELINE}
        for row in rows:
            if row.more in baselines and row.label != BASELINE:
                found = claims.beside(row.gaps, baselines[row.more].gaps)
                how = claims.reading(found, "minority more", "minority less")
                body.append([f"{row.name}, {variant}, {part}", found.n if found else 0, claims.difference(found), how])
    if not body:
        return []
    headers = ["", "seeds", f"gap less {BASELINE}'s", "which"]
    return [f"Minority − majority beside that of `{BASELINE}`, seed by seed:\n\n{table(headers, body)}"]
