"""What a probe found: a JSON file in the run's folder, named by the kind of probe and the id of its settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltgen_bench.data.groups import Groups
from ltgen_bench.errors import UsageError
from ltgen_bench.probes.specs import KINDS, ProbeSpec
from ltgen_bench.runs.run_folder import RunFolder
from ltgen_bench.spec.serialise import coerce, to_json
from ltgen_bench.spec.specs import RunSpec
from ltgen_bench.storage.atomic_files import read_json, write_json

SCHEMA = 1


@dataclass(frozen=True)
class ProbeFile:
    """result: as the kind of probe has it. provenance: versions, device, code: recorded, no part of the identity."""

    run: RunSpec
    spec: ProbeSpec
    class_names: tuple[str, ...]
    result: Mapping[str, Any]
    provenance: Mapping[str, Any]

    @property
    def groups(self) -> Groups:
        return Groups.from_counts(self.run.dataset.class_counts)

    @property
    def title(self) -> str:
        run = self.run
        return f"{run.dataset.name} {run.label} seed {run.seed}, {run.train.steps:,} steps"

    def scope_name(self, scope: str) -> str:
        """As tables call it: a class by its id and name."""
        return f"{scope}: {self.class_names[int(scope)]}" if scope.isdigit() else scope

    def write(self, path: Path) -> None:
        """Raises ValueError when a figure is not finite."""
        ids = {"schema": SCHEMA, "kind": self.spec.kind, "id": self.spec.id, "run_id": self.run.run_id}
        write_json(path, ids | to_json(self))

    @classmethod
    def read(cls, path: Path) -> ProbeFile:
        """Raises UsageError for a file that is none, or whose ids do not follow from its contents."""
        try:
            value = read_json(path)
            if value["schema"] != SCHEMA:
                raise UsageError(f"{path} is not a probe's file of schema {SCHEMA}")
            kinds = {"run": RunSpec, "spec": KINDS[value["kind"]], "class_names": tuple[str, ...]}
            fields = {name: coerce(value[name], kind, f"{path}: {name}") for name, kind in kinds.items()}
            found = cls(**fields, result=dict(value["result"]), provenance=dict(value["provenance"]))
            if (found.run.run_id, found.spec.id) != (value["run_id"], value["id"]):
                raise UsageError(f"{path}: its ids do not follow from its contents")
            return found
        except (FileNotFoundError, ValueError, LookupError, TypeError) as error:
            raise UsageError(f"{path} is not a probe's file: {error}") from None


def stored(run_folder: RunFolder, spec: ProbeSpec) -> ProbeFile | None:
    """What this probe found of the run before; None when it did not, or its file is damaged."""
    try:
        found = ProbeFile.read(run_folder.probe(spec.kind, spec.id))
    except UsageError:
        return None
    return found if found.run.run_id == run_folder.spec.run_id else None


def probes_in(folder: Path) -> Iterator[ProbeFile]:
    """Those of a folder, by file name. Raises UsageError as `ProbeFile.read`."""
    yield from (ProbeFile.read(path) for path in sorted(folder.glob("probe-*-*.json")))
