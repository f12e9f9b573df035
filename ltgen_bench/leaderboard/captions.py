"""What stands above a table: its title, and what all its rows have in common."""

from __future__ import annotations

from collections.abc import Sequence

from ltgen_bench.leaderboard.papers import SIZE
from ltgen_bench.leaderboard.rows import run_of
from ltgen_bench.leaderboard.statistics import Column, figure_name, short_name
from ltgen_bench.runs.record import Record
from ltgen_bench.spec.protocols import called, trained
from ltgen_bench.spec.specs import EvalSpec, ExternalSpec, RunSpec

LABELS = {"balanced": "the same number of each class", "uniform": "the class of each drawn, all equally likely"}
"""What `sample.labels` says."""

REFERENCES = {"train": "the long-tailed training set", "test": "the test set"}
"""What `--against` says, where it is not the usual."""


def title(record: Record, but: str = "") -> str:
    """What tables mostly differ in; the rest is in the caption. but: "omega" or "steps", which is left out."""
    run, score = run_of(record)
    data, train = run.dataset, run.train
    imbalance = f"imbalance {data.imbalance:g}" if data.imbalance is not None else "images as they come"
    parts = [
        f"{data.size}x{data.size}",
        imbalance,
        f"batches of {train.batch}" if but == "steps" else f"{train.steps:,} steps x {train.batch}",
        f"{score.sample.images:,} images",
        *([score.sample.guidance] if but != "omega" else []),
        score.features,
    ]
    return ", ".join(parts)


def caption(records: Sequence[Record]) -> str:
    run, score = run_of(records[0])
    presets = " or ".join(sorted({run_of(r)[0].preset for r in records}))
    train, sample = run.train, score.sample
    network = "-".join(map(str, run.net.channels))
    sampler = f"{sample.sampler.upper()}, {sample.steps} steps, {sample.guidance}{', clipped' * sample.clip}"
    if sample.precision != "fp32":
        sampler += f", {sample.precision}"
    lines = [
        _data_line(records[0]),
        f"- training, started from preset {presets}: {train.steps:,} steps x {train.batch}, lr {train.lr:g}, "
        f"EMA {train.ema:g}, {train.precision}; network {network}, "
        f"{run.net.groups} groups, dropout {run.net.dropout:g}",
        f"- sampling: {sample.images:,} images, {LABELS[sample.labels]}; {sampler}",
        _scoring_line(records[0]),
        f"- protocol {run.protocol}, score version {score.score_version}",
    ]
    named = [f"{what} {' or '.join(f'`{name}`' for name in names)}" for what, names in _papers(run, score) if names]
    if named:
        size = "" if run.dataset.size == SIZE else f", but at {run.dataset.size} pixels, not {SIZE}"
        lines.append(f"- as in papers (`ltgen-bench show protocol NAME`): {'; '.join(named)}{size}")
    return "\n".join(lines)


def _papers(run: RunSpec, score: EvalSpec) -> list[tuple[str, list[str]]]:
    """The papers' protocols that have these settings."""
    return [("evaluated as by", called(score)), ("trained as by", trained(run))]


def given_title(records: Sequence[Record]) -> str:
    """The same of images made elsewhere."""
    size, images = records[0].run.dataset.size, [r.run.images for r in records if isinstance(r.run, ExternalSpec)]
    return f"{size}x{size}, {max(images):,} images, {records[0].eval.features}"


def given_caption(records: Sequence[Record]) -> str:
    first = records[0]
    return "\n".join([_data_line(first), _scoring_line(first), f"- score version {first.eval.score_version}"])


def _data_line(record: Record) -> str:
    data = record.run.dataset
    counts = data.class_counts
    return (
        f"- data: {sum(counts):,} training images of {len(counts)} classes, {max(counts):,} to {min(counts):,} each; "
        f"split `{data.split_sha256[:12]}`"
    )


def _scoring_line(record: Record) -> str:
    score, figures = record.eval, Column("FD", "overall").figures(record)
    reference = ", ".join([*filter(None, [REFERENCES.get(score.reference)]), f"`{score.reference_sha256[:12]}`"])
    return (
        f"- scoring: features `{score.features}` (weights `{score.features_sha256[:12]}`), "
        f"{figures.get('n_gen', 0):,} generated against {figures.get('n_real', 0):,} real images overall "
        f"({_group_sizes(record)}); reference {reference}"
    )


def _group_sizes(record: Record) -> str:
    groups = record.scores.get(figure_name(record, "FD"), {})
    return ", ".join(
        f"{name} {figures['n_gen']:,} / {figures.get('n_real', 0):,}"
        for name, figures in groups.items()
        if name in ("majority", "medium", "minority") and "n_gen" in figures
    )


_DISTANCES = {
    "FD": "the Fréchet distance in all feature dimensions",
    "FD64": "the Fréchet distance in the 64 principal directions of the real images",
    "KID": "the kernel distance, unbiased at any number of images",
}


def ranking_line(record: Record, distance: str) -> str:
    """Which distance rows are ranked by."""
    return f"- ranked by {short_name(record, distance)} of the minority: {_DISTANCES[distance]}"
