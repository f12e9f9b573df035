"""What jobs are called where several are shown: as much as tells them apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from ltgen_bench.runs.job import Job


def told_apart(jobs: Iterable[Job]) -> list[Job]:
    """The jobs, each with the details in its title that others of the same dataset, method and seed do not share."""
    jobs = list(jobs)
    alike: dict[str, list[dict[str, str]]] = {}
    for job in jobs:
        alike.setdefault(job.name, []).append(dict(_details(job)))
    return [
        dataclasses.replace(
            job,
            details=tuple(
                words for what, words in _details(job) if len({other.get(what) for other in alike[job.name]}) > 1
            ),
        )
        for job in jobs
    ]


def _details(job: Job) -> Iterator[tuple[str, str]]:
    """(setting, in words) of all that jobs of one dataset, method and seed are told apart by."""
    yield "train.steps", f"{job.run.train.steps:,} steps"
    for field in dataclasses.fields(job.eval):
        value = getattr(job.eval, field.name)
        if isinstance(value, str) and not field.name.endswith("_sha256"):
            yield field.name, f"{field.name} {value}"
    for field in dataclasses.fields(job.eval.sample):
        value = getattr(job.eval.sample, field.name)
        name = "sampling steps" if field.name == "steps" else field.name
        yield f"sample.{field.name}", f"{name} {_text(value)}"


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return " to ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value).lower()
