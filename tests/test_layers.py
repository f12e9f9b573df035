"""Packages import only what stands below them, so that data flows one way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import ltgen_bench

PACKAGE = Path(ltgen_bench.__file__).parent
# Each package with those that it may import; all may import the modules beside them, which import no package.
BELOW = {
    "storage": set[str](),
    "spec": {"storage"},
    "data": {"spec", "storage"},
    "diffusion": {"spec", "storage"},
    "sampling": {"data", "diffusion", "spec", "storage"},
    "training": {"data", "diffusion", "sampling", "spec", "storage"},  # sampling: the contract of methods alone
    "scoring": {"data", "spec", "storage"},
    "runs": {"data", "spec", "storage"},
    "planning": {"data", "diffusion", "runs", "sampling", "scoring", "spec", "storage", "training"},
    "launch": {"data", "diffusion", "runs", "sampling", "scoring", "spec", "storage", "training"},
    "leaderboard": {"data", "runs", "scoring", "spec", "storage"},
    "cli": {"data", "diffusion", "launch", "leaderboard", "planning", "runs", "scoring", "spec", "storage", "training"},
}
PUBLIC = {"api", *ltgen_bench.__all__}
"""What stands above all: for plugins, scripts and notebooks, never for the suite itself."""


def imports(path: Path) -> set[str]:
    """The packages, and the public names, that a module imports, wherever in it the import stands."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {
        f"{node.module}.{alias.name}" if isinstance(node, ast.ImportFrom) else alias.name
        for node in nodes
        for alias in node.names
    }
    return {name.split(".")[1] for name in names if name.startswith("ltgen_bench.")} & (BELOW.keys() | PUBLIC)


@pytest.mark.parametrize("package", BELOW)
def test_a_package_imports_only_what_stands_below_it(package: str) -> None:
    for path in (PACKAGE / package).rglob("*.py"):
        assert imports(path) <= BELOW[package] | {package}, path


def test_packages_can_be_put_in_an_order() -> None:
    order = list(BELOW)
    for package, below in BELOW.items():
        assert all(order.index(name) < order.index(package) for name in below), package


def test_every_package_says_its_one_job_in_a_sentence() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} - {
        "methods",
        "datasets",
        "samplers",
        "trackers",
    }
    assert packages == BELOW.keys()
    for package in packages:
        job = ast.get_docstring(ast.parse((PACKAGE / package / "__init__.py").read_text()))
        assert job
        assert job.count(". ") == 0, package


def test_the_modules_at_the_root_import_no_package() -> None:
    """Except the public face and the entry point; the registry has the types of what it finds."""
    types = {"data", "sampling", "training"}
    for path in set(PACKAGE.glob("[!_]*.py")) - {PACKAGE / "api.py"}:
        assert not imports(path) - (types if path.name == "registry.py" else set()), path
