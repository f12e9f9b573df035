"""Finds methods, datasets, samplers and trackers: a file in a folder of that name, or an entry point of a package.

Listing reads the files' text and imports nothing, so it is instant whatever the plugins import; a plugin is imported
only when it is used.
"""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Literal, TypeVar, cast

import ltgen_bench.datasets
import ltgen_bench.methods
import ltgen_bench.samplers
import ltgen_bench.trackers
from ltgen_bench.errors import UsageError, unknown

if TYPE_CHECKING:
    from ltgen_bench.data.dataset import Dataset

Plugin = TypeVar("Plugin")


@dataclass(frozen=True)
class Entry:
    """A plugin that exists, not yet imported."""

    name: str
    summary: str
    origin: str  # a file, or an installed package
    module: str  # what to import; for an entry point "module:attribute"


class Registry(Generic[Plugin]):
    """The plugins of one kind, by name."""

    def __init__(self, kind: Literal["method", "dataset", "sampler", "tracker"], package_path: list[str]) -> None:
        self.kind = kind
        self.group = f"ltgen_bench.{kind}s"
        self.package_path = package_path

    def entries(self) -> dict[str, Entry]:
        """All plugins, by name. Raises UsageError when two have the same name, naming both."""
        found: dict[str, Entry] = {}
        for entry in (*self._in_folders(), *self._installed()):
            if entry.name in found:
                first = found[entry.name].origin
                raise UsageError(f"two {self.kind}s are named {entry.name!r}: {first} and {entry.origin}; rename one")
            found[entry.name] = entry
        return dict(sorted(found.items()))

    def load(self, name: str, where: str = "") -> type[Plugin]:
        """Import a plugin's class. Raises UsageError for an unknown name or a file that cannot be imported."""
        entries = self.entries()
        if name not in entries:
            raise unknown(self.kind, name, entries, where)
        entry = entries[name]
        module_name, _, attribute = entry.module.partition(":")
        try:
            module = importlib.import_module(module_name)
        except Exception as error:
            reason = str(error) if isinstance(error, UsageError) else f"{type(error).__name__}: {error}"
            raise UsageError(f"{self.kind} {name!r} ({entry.origin}) cannot be imported: {reason}") from error
        candidates = [getattr(module, attribute, None)] if attribute else list(vars(module).values())
        for candidate in candidates:
            if inspect.isclass(candidate) and vars(candidate).get("name") == name:
                return cast(type[Plugin], candidate)
        raise UsageError(f"{entry.origin} has no class with name = {name!r}")

    def _in_folders(self) -> Iterator[Entry]:
        stems: dict[str, Path] = {}
        for folder in dict.fromkeys(self.package_path):
            for path in sorted(Path(folder).glob("[!_.]*.py")):  # .* are editors' files
                if path.stem in stems:
                    if path.read_bytes() == stems[path.stem].read_bytes():
                        continue  # a checkout and what was installed from it
                    raise UsageError(
                        f"two {self.kind} files share a name: {stems[path.stem]} and {path}; rename one, "
                        "or install the checkout again"
                    )
                stems[path.stem] = path
                for name, summary in _named_classes(path):
                    yield Entry(name, summary, str(path), f"{self.group}.{path.stem}")

    def _installed(self) -> Iterator[Entry]:
        for point in importlib.metadata.entry_points(group=self.group):
            package = f"package {point.dist.name}" if point.dist else f"entry point {point.value}"
            yield Entry(point.name, "", package, point.value)


def _named_classes(path: Path) -> Iterator[tuple[str, str]]:
    """(name, first line of the docstring) of the classes in a file that set `name = "..."`.

    A file that cannot be read as Python is listed under the file's name, with the reason: one that is being edited does
    not stop the others from working, and using it gives the error.
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), path.name)
    except (OSError, SyntaxError, ValueError) as error:
        yield path.stem, f"broken: {error}"
        return
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        for statement in node.body:
            match statement:
                case (
                    ast.Assign(targets=[ast.Name(id="name")], value=ast.Constant(value=str(name)))
                    | ast.AnnAssign(target=ast.Name(id="name"), value=ast.Constant(value=str(name)))
                ):
                    yield name, (ast.get_docstring(node) or "").partition("\n")[0]


def methods() -> Registry[object]:
    """Methods; a loaded class is a subclass of `ltgen_bench.training.method.Method`."""
    return Registry("method", ltgen_bench.methods.__path__)


def datasets() -> Registry[Dataset]:
    return Registry("dataset", ltgen_bench.datasets.__path__)


def samplers() -> Registry[object]:
    """Samplers; a loaded class is a subclass of `ltgen_bench.sampling.sampler.Sampler`."""
    return Registry("sampler", ltgen_bench.samplers.__path__)


def trackers() -> Registry[object]:
    """Experiment trackers; a loaded class is a subclass of `ltgen_bench.training.tracker.Tracker`."""
    return Registry("tracker", ltgen_bench.trackers.__path__)
