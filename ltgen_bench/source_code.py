"""Which code a result comes from: fingerprints of plugins, and whether others can get at them."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from ltgen_bench import registry
from ltgen_bench.errors import UsageError

_PLUGINS = ("ltgen_bench.methods.", "ltgen_bench.datasets.", "ltgen_bench.samplers.")
_SCORING = ("ltgen_bench.scoring.metrics.", "ltgen_bench.scoring.extractors.")
"""Of these only those from outside the package: the suite's own have a version."""


_SUITE = Path(__file__).parent


def fingerprint(kind: type) -> str:
    """Of a plugin's code: the first 16 hex digits of the SHA-256 of its module and of those that it imports of plugins,
    its own package and folders of the user's. Comments, docstrings and layout are not part of it, nor is the suite's
    own code, which has versions."""
    digest = hashlib.sha256()
    first = sys.modules.get(kind.__module__)
    for _, file in sorted(_modules(first).items()) if first else ():
        digest.update(_skeleton_of(file))
    return digest.hexdigest()[:16]


def fingerprint_of(files: Iterable[Path]) -> str:
    """The same of these files alone."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(_skeleton_of(file))
    return digest.hexdigest()[:16]


def fingerprints(methods: Iterable[str], dataset: str, sampler: str) -> dict[str, str]:
    """{"method cm": fingerprint, ..., "dataset digitslt": ..., "sampler ddim": ...} of the code that is here now."""
    named = [*(("method", name) for name in methods), ("dataset", dataset), ("sampler", sampler)]
    return {f"{kind} {name}": fingerprint(LOADERS[kind](name)) for kind, name in named}


def edited(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Which plugins have other code now; what is known of one side only is not compared."""
    return sorted(name for name in then.keys() & now.keys() if then[name] != now[name])


def refusal(names: Iterable[str], since: str) -> str:
    """Why a run is not gone on with, sampled further or taken for done."""
    return (
        f"{' and '.join(names)}: the code has been edited since {since}; raise its `version`, which makes this another "
        "run, or give run --again, which makes the run again from the start and keeps nothing of the old"
    )


def refusal_of_score(names: Iterable[str], run: str) -> str:
    """Why a score is not taken for done."""
    return (
        f"{' and '.join(names)}: the code has been edited since {run} was scored with it; raise its `version`, which "
        "makes this another score, or give `score` --again, with the same options as before, which scores it anew"
    )


Loader = Callable[[str], type]
"""The class of a plugin by its name. Raises UsageError where there is none."""

LOADERS: Mapping[str, Loader] = {
    "method": lambda name: registry.methods().load(name),
    "dataset": lambda name: registry.dataset(name)[0],
    "sampler": lambda name: registry.samplers().load(name),
}
"""By kind, of the plugins that make images."""


def doubts(then: Mapping[str, str], loaders: Mapping[str, Loader]) -> list[str]:
    """Why others could not make a result again, from its code then ({"method cm": fingerprint}): a sentence for each
    plugin that is to blame.

    What came with no fingerprint, before there were any, is in no doubt.
    """
    found = []
    for plugin, mark in then.items():
        kind, _, name = plugin.partition(" ")
        try:
            loaded = loaders[kind](name)
            file = inspect.getsourcefile(loaded)
        except (UsageError, TypeError, OSError, LookupError) as error:
            found.append(f"{plugin} cannot be looked at: {error}")
            continue
        if mark != fingerprint(loaded):
            found.append(f"{plugin} has been edited since this result was made: the code it was made with may be lost")
        elif file and not (_in_package(Path(file)) or _in_commit(Path(file))):
            found.append(f"{plugin} ({file}) is in no package and no commit: nobody else can make this result again")
    return found


def _modules(first: ModuleType) -> dict[str, Path | None]:
    """The module and all that it imports, at any depth, of plugins, its own package or the user's folders: their files.

    Read from the text, as a name that was imported (a number, say) does not tell where it is from.
    """
    package = first.__name__.partition(".")[0]
    file = getattr(first, "__file__", None)  # none in a notebook
    found: dict[str, Path | None] = {first.__name__: Path(file) if file else None}
    left = [first.__name__]
    while left:
        name = left.pop()
        for imported in _imports(name, found[name]) - found.keys():
            ours = imported.startswith(_PLUGINS + _SCORING)
            if not (ours or _may_be_own(imported, package)) or not (path := _file_of(imported)):
                continue
            if not (imported.startswith(_SCORING) and path.is_relative_to(_SUITE)):
                found[imported] = path
                left.append(imported)
    return found


def _may_be_own(module: str, package: str) -> bool:
    """Whether a module is of this package or of a folder of the user's, not installed; imports nothing."""
    top = module.partition(".")[0]
    if top == "ltgen_bench" or top in sys.stdlib_module_names:
        return False
    return top == package or not ((file := _file_of(top)) and _installed(file))


def _imports(module: str, file: Path | None) -> set[str]:
    """The modules that a module's text imports, also within functions; and names that may be modules, or not."""
    package = module if file and file.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(_tree(file) or ast.Module([], [])):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            with suppress(ImportError):  # beyond the top
                base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
                found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return found


def _file_of(module: str) -> Path | None:
    """The file of a module that can be imported, and has one."""
    try:
        spec = importlib.util.find_spec(module)
    except Exception:  # it imports the packages around, which may do anything
        return None
    return Path(spec.origin) if spec and spec.has_location and spec.origin else None


def _installed(file: Path) -> bool:
    """Whether a file came with a package, which has a version, wherever that lies."""
    return any(
        folder.name in ("site-packages", "dist-packages") or any(folder.glob("*.dist-info")) for folder in file.parents
    )


def _tree(file: Path | None) -> ast.Module | None:
    """None for a file that is not there, or compiled."""
    try:
        return ast.parse(file.read_bytes()) if file else None
    except (OSError, SyntaxError, ValueError):
        return None


def _skeleton_of(file: Path | None) -> bytes:
    if tree := _tree(file):
        return repr(_skeleton(tree)).encode(errors="backslashreplace")
    return file.read_bytes() if file and file.is_file() else b""


def _skeleton(node: Any) -> Any:
    """A syntax tree as nested lists, without docstrings; unlike `ast.dump`, the same in every version of Python."""
    if isinstance(node, list):
        return [_skeleton(item) for item in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {name: value for name, value in ast.iter_fields(node) if value is not None and value != []}
    documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    if documented and ast.get_docstring(node, clean=False) is not None:  # type: ignore[arg-type]
        fields["body"] = fields["body"][1:]
    return [type(node).__name__, *((name, _skeleton(v)) for name, v in fields.items() if name not in ("kind", "ctx"))]


def _in_package(file: Path) -> bool:
    """Whether the file was installed."""
    return any(file.is_relative_to(sysconfig.get_path(name)) for name in ("purelib", "platlib"))


def _in_commit(file: Path) -> bool:
    """Whether git has the file as it is."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(file.parent), *words, "--", file.name]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    try:
        git("ls-files", "--error-unmatch")
        return not git("status", "--porcelain")
    except (OSError, subprocess.CalledProcessError):
        return False
