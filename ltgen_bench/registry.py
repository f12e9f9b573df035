"""Finds methods, datasets, samplers and trackers: a file in a folder of that name, or an entry point of a package.

Listing reads the files' text and imports nothing, so it is instant whatever the plugins import; a plugin is imported
only when it is used.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.metadata
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast

import ltgen_bench.datasets
import ltgen_bench.methods
import ltgen_bench.samplers
import ltgen_bench.trackers
from ltgen_bench._plugin_path import normal, shadowed
from ltgen_bench.errors import UsageError, unknown

if TYPE_CHECKING:
    from ltgen_bench.data.dataset import Dataset
    from ltgen_bench.sampling.sampler import Sampler
    from ltgen_bench.training.method import Method
    from ltgen_bench.training.tracker import Tracker

Plugin = TypeVar("Plugin")

Kind = Literal["method", "dataset", "metric", "extractor", "sampler", "tracker"]
BASES: dict[Kind, str] = {
    "method": "ltgen_bench.training.method.Method",
    "dataset": "ltgen_bench.data.dataset.Dataset",
    "metric": "ltgen_bench.scoring.metric.Metric",
    "extractor": "ltgen_bench.scoring.extractor.ExtractorFamily",
    "sampler": "ltgen_bench.sampling.sampler.Sampler",
    "tracker": "ltgen_bench.training.tracker.Tracker",
}
"""What a plugin of each kind is a subclass of; by name, as it is imported when one is used."""


@dataclass(frozen=True)
class Entry:
    """A plugin that exists, not yet imported."""

    name: str
    summary: str
    origin: str  # a file, or an installed package
    module: str  # what to import; for an entry point "module:attribute"
    constants: Mapping[str, Any] = field(default_factory=dict)  # that its class sets; none for an entry point

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", normal(self.name))


class Registry(Generic[Plugin]):
    """The plugins of one kind, by name."""

    def __init__(
        self,
        kind: Kind,
        package_path: list[str],
        package: str | None = None,  # whose path that is, where it is not the group of the entry points
    ) -> None:
        self.kind = kind
        self.group = f"ltgen_bench.{kind}s"
        self.package_path, self.package = package_path, package or self.group

    def entries(self) -> dict[str, Entry]:
        """All plugins, by name. Raises UsageError when two have the same name, naming both."""
        found: dict[str, Entry] = {}
        for entry in (*self._in_folders(), *self._installed()):
            if entry.name in found:
                if str(Path(entry.origin).parent) in shadowed:
                    continue
                first = found[entry.name].origin
                raise UsageError(f"two {self.kind}s are named {entry.name!r}: {first} and {entry.origin}; rename one")
            found[entry.name] = entry
        return dict(sorted(found.items()))

    def load(self, name: str, where: str = "") -> type[Plugin]:
        """Import a plugin's class. Raises UsageError for an unknown name, and as `import_entry`."""
        entries, name = self.entries(), normal(name)
        if name not in entries:
            raise UsageError(f"{unknown(self.kind, name, entries, where)}. Searched: {self._searched()}")
        return self.import_entry(entries[name])

    def import_entry(self, entry: Entry) -> type[Plugin]:
        """Raises UsageError for a file that cannot be imported, or holds no class of that name and of the kind."""
        name = entry.name
        module_name, _, attribute = entry.module.partition(":")
        try:
            module = importlib.import_module(module_name)
        except Exception as error:
            reason = str(error) if isinstance(error, UsageError) else f"{type(error).__name__}: {error}"
            raise UsageError(f"{self.kind} {name!r} ({entry.origin}) cannot be imported: {reason}") from error
        candidates = [getattr(module, attribute, None)] if attribute else list(vars(module).values())
        for candidate in candidates:
            if inspect.isclass(candidate) and normal(str(vars(candidate).get("name"))) == name:
                base, _, base_name = BASES[self.kind].rpartition(".")
                if not issubclass(candidate, getattr(importlib.import_module(base), base_name)):
                    raise UsageError(f"{self.kind} {name!r} ({entry.origin}) is no subclass of {BASES[self.kind]}")
                setattr(candidate, "name", name)  # noqa: B010  it becomes part of results and paths
                return cast(type[Plugin], candidate)
        raise UsageError(f"{entry.origin} has no class with name = {name!r}")

    def _searched(self) -> str:
        """Where plugins were looked for: every folder but the empty one of a package that runs from a checkout."""
        folders = [Path(folder) for folder in dict.fromkeys(self.package_path)]
        there = [f for f in folders if any(f.glob("[!_.]*.py")) or not (f / "__init__.py").exists()]
        return ", ".join([*(f"{f}{'' if f.is_dir() else ' (not there)'}" for f in there), "installed packages"])

    def _in_folders(self) -> Iterator[Entry]:
        stems: dict[str, Path] = {}
        for folder in dict.fromkeys(self.package_path):
            for path in sorted(Path(folder).glob("[!_.]*.py")):  # .* are editors' files
                if path.stem in stems:
                    if folder in shadowed:
                        continue
                    raise UsageError(f"two {self.kind} files share a name: {stems[path.stem]} and {path}; rename one")
                stems[path.stem] = path
                for name, summary, constants in _named_classes(path):
                    yield Entry(name, summary, str(path), f"{self.package}.{path.stem}", constants)

    def _installed(self) -> Iterator[Entry]:
        for point in importlib.metadata.entry_points(group=self.group):
            package = f"package {point.dist.name}" if point.dist else f"entry point {point.value}"
            yield Entry(point.name, "", package, point.value)


def _named_classes(path: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(name, first line of the docstring, constants) of the classes in a file that set `name = "..."`.

    A file that cannot be read as Python is listed under the file's name, with the reason: one that is being edited does
    not stop the others from working, and using it gives the error.
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), path.name)
    except (OSError, SyntaxError, ValueError) as error:
        yield path.stem, f"broken: {error}", {}
        return
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        constants = {}
        for statement in node.body:
            match statement:
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=ast.expr() as value)
                    | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
                ):
                    with contextlib.suppress(ValueError, TypeError):  # computed
                        constants[name] = ast.literal_eval(value)
        if isinstance(constants.get("name"), str):
            yield constants["name"], (ast.get_docstring(node) or "").partition("\n")[0], constants


def methods() -> Registry[Method]:
    return Registry("method", ltgen_bench.methods.__path__)


def datasets() -> Registry[Dataset]:
    return Registry("dataset", ltgen_bench.datasets.__path__)


def dataset(name: str, where: str = "") -> tuple[type[Dataset], str | None]:
    """The class of a dataset as results call it, and what follows its own name: NAME of `imagefolder-NAME`, or None.

    Raises UsageError for an unknown one.
    """
    found = datasets()
    own, _, data_name = name.partition("-")
    while data_name and name not in (entries := found.entries()):
        if own in entries and (kind := found.load(own)).takes_data:
            return kind, data_name
        more, _, data_name = data_name.partition("-")
        own = f"{own}-{more}"
    return found.load(name, where), None


def samplers() -> Registry[Sampler]:
    return Registry("sampler", ltgen_bench.samplers.__path__)


def trackers() -> Registry[Tracker]:
    return Registry("tracker", ltgen_bench.trackers.__path__)
