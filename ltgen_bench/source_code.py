"""Which code a result comes from: fingerprints of methods and datasets, and whether others can get at that code."""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from ltgen_bench import registry
from ltgen_bench.errors import UsageError

_PLUGINS = ("ltgen_bench.methods.", "ltgen_bench.datasets.")


def fingerprint(kind: type) -> str:
    """Of a plugin's code: the first 16 hex digits of the SHA-256 of its module and of those of its kind or package that
    it uses. Comments, docstrings and layout are not part of it, nor is the suite's own code, which has versions."""
    digest = hashlib.sha256()
    first = sys.modules.get(kind.__module__)
    for _, module in sorted(_modules(first).items()) if first else ():
        digest.update(_skeleton_of(module))
    return digest.hexdigest()[:16]


def fingerprints(methods: Iterable[str], dataset: str) -> dict[str, str]:
    """{"method cm": fingerprint, ..., "dataset digitslt": fingerprint} of the code that is here now."""
    return {name: fingerprint(load()) for name, load in _plugins(methods, dataset)}


def edited(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Which plugins have other code now; what is known of one side only is not compared."""
    return sorted(name for name in then.keys() & now.keys() if then[name] != now[name])


def refusal(names: Iterable[str], since: str) -> str:
    """Why a run is not gone on with, sampled further or taken for done."""
    return (
        f"{' and '.join(names)}: the code has been edited since {since}; raise its `version`, which makes this another "
        "run, or give run --again, which makes the run again from the start and keeps nothing of the old"
    )


def doubts(methods: Iterable[str], dataset: str, then: Mapping[str, str]) -> list[str]:
    """Why others could not make a result again, from its code then: a sentence for each plugin that is to blame.

    What came with no fingerprint, before there were any, is in no doubt.
    """
    found = []
    for name, load in _plugins(methods, dataset):
        if name not in then:
            continue
        try:
            kind = load()
            file = inspect.getsourcefile(kind)
        except (UsageError, TypeError, OSError) as error:
            found.append(f"{name} cannot be looked at: {error}")
            continue
        if then[name] != fingerprint(kind):
            found.append(f"{name} has been edited since this result was made: the code it was made with may be lost")
        elif file and not (_in_package(Path(file)) or _in_commit(Path(file))):
            found.append(f"{name} ({file}) is in no package and no commit: nobody else can make this result again")
    return found


def _plugins(methods: Iterable[str], dataset: str) -> Iterator[tuple[str, Callable[[], type]]]:
    for name in methods:
        yield f"method {name}", functools.partial(registry.methods().load, name)
    yield f"dataset {dataset}", lambda: registry.dataset(dataset)[0]


def _modules(first: ModuleType) -> dict[str, ModuleType]:
    """The module, and all modules of plugins or of its own package that it uses, by name."""
    package = first.__name__.partition(".")[0]

    def own(name: object) -> bool:
        plugin = isinstance(name, str) and name.startswith(_PLUGINS)
        return plugin or (isinstance(name, str) and name.partition(".")[0] == package != "ltgen_bench")

    found: dict[str, ModuleType] = {}
    left = [first]
    while left:
        module = left.pop()
        found[module.__name__] = module
        names = {v.__name__ if inspect.ismodule(v) else getattr(v, "__module__", None) for v in vars(module).values()}
        left += [sys.modules[n] for n in names if own(n) and n in sys.modules and n not in found]
    return found


def _skeleton_of(module: ModuleType) -> bytes:
    file = getattr(module, "__file__", None)  # none in a notebook
    code = Path(file).read_bytes() if file and Path(file).is_file() else b""
    try:
        return repr(_skeleton(ast.parse(code))).encode(errors="backslashreplace")
    except (SyntaxError, ValueError):  # compiled
        return code


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
