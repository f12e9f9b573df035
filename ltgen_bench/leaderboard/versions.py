"""Earlier protocols and score versions, whose results stand apart, and why."""

from __future__ import annotations

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
