"""Earlier protocols and score versions, whose results stand apart, and why."""

from __future__ import annotations

from collections.abc import Iterable

from ltgen_bench.leaderboard.markdown import table
from ltgen_bench.runs.record import Record
from ltgen_bench.spec.specs import PROTOCOL, RunSpec

PROTOCOLS = {
    1: "networks of 32 channels had one channel per group of their normalisation, so that they hardly saw time and "
    "label; attention's output projection started near zero, not at gain 1 as in the papers' code; "
    "sampling was in the precision of the training",
}
"""What is other in results of each earlier protocol (see `spec.specs.PROTOCOL`)."""

SCORES = {
    1: "repeated training images hid memorised ones, and repeated real images counted more than once among neighbours; "
    "a changed pixel drew other images, so that it moved KID, recall and CAS by up to a standard error",
}
"""What is other in figures of each earlier score version (see `scoring.scorer.SCORE_VERSION`)."""


def outdated(record: Record) -> list[str]:
    """The versions that keep a result out of the main tables: ["protocol 1"]; empty for one of today's."""
    run, found = record.run, []
    if isinstance(run, RunSpec) and run.protocol < PROTOCOL:
        found.append(f"protocol {run.protocol}")
    if record.eval.score_version in SCORES:
        found.append(f"score version {record.eval.score_version}")
    return found


def reasons(records: Iterable[Record]) -> str:
    """A table of what is other in these results, a line per version."""
    texts = {f"protocol {n}": text for n, text in PROTOCOLS.items()}
    texts |= {f"score version {n}": text for n, text in SCORES.items()}
    versions = {version for record in records for version in outdated(record)}
    lines = [(version, text) for version, text in texts.items() if version in versions]
    return table(("version", "why its results stand apart"), lines)
