"""Has a run probed, and leaves what was found in its folder."""

from __future__ import annotations

from typing import cast

from ltgen_bench.device import describe_device
from ltgen_bench.probes import dominance, pruning, reserve
from ltgen_bench.probes.probe_file import ProbeFile
from ltgen_bench.probes.specs import DominanceSpec, ProbeSpec, PruningSpec, ReserveSpec
from ltgen_bench.probes.subject import Subject
from ltgen_bench.probes.variants import Report
from ltgen_bench.probes.work_folder import WorkFolder, working
from ltgen_bench.runs.record import provenance


def probe(subject: Subject, spec: ProbeSpec, report: Report) -> ProbeFile:
    """Goes on where an interrupted probe of the same settings was. report(stage, done, total).

    Writes nothing but the probe's own files. Raises UsageError when the run lacks what the probe needs.
    """
    run_folder = subject.run_folder
    with working(run_folder, spec) as work:
        found = ProbeFile(
            run=subject.run,
            spec=spec,
            class_names=subject.data.class_names,
            result=_measure(subject, spec, work, report),
            provenance=provenance(describe_device(subject.device)) | {"code": run_folder.code},
        )
        work.lock.check()
        found.write(run_folder.probe(spec.kind, spec.id))
    return found


def _measure(subject: Subject, spec: ProbeSpec, work: WorkFolder, report: Report) -> dict[str, object]:
    if isinstance(spec, PruningSpec):
        return pruning.measure(subject, spec, work, report)
    if isinstance(spec, ReserveSpec):
        return reserve.measure(subject, spec, work, report)
    return dominance.measure(subject, cast(DominanceSpec, spec), work, report)
