"""What is built carries its methods and datasets inside the package, and nothing at the top level beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hatchling import build

import ltgen_bench

ROOT = Path(__file__).resolve().parent.parent
PLUGINS = {f"ltgen_bench/{kind}/{path.name}" for kind in ("methods", "datasets") for path in ROOT.glob(f"{kind}/*.py")}


def built(hook: Callable[[str], str], source: Path, target: Path) -> Path:
    """Call a hook of the build backend as pip does: in the source folder."""
    before = Path.cwd()
    target.mkdir(parents=True)
    os.chdir(source)
    try:
        return target / hook(str(target))
    finally:
        os.chdir(before)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(build.build_wheel, ROOT, tmp_path_factory.mktemp("built") / "wheel")


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_one_package_with_all_methods_and_datasets(wheel: Path) -> None:
    held = names(wheel)
    assert len(PLUGINS) >= 12
    assert held >= PLUGINS
    assert "ltgen_bench/py.typed" in held
    assert {name.split("/")[0] for name in held} == {"ltgen_bench", f"ltgen_bench-{ltgen_bench.__version__}.dist-info"}
    assert not any("__pycache__" in name for name in held)


def test_the_wheel_works_where_there_is_no_checkout(wheel: Path, tmp_path: Path) -> None:
    installed, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    code = """
from importlib.metadata import entry_points
from ltgen_bench import registry

for plugins in (registry.methods(), registry.datasets()):
    for entry in plugins.entries().values():
        print(entry.origin)
print(*(script.value for script in entry_points(group="console_scripts", name="ltgen-bench")))
"""
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run([sys.executable, "-c", code], cwd=elsewhere, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *origins, script = done.stdout.splitlines()
    files = {name for name in origins if os.sep in name}  # other packages' plugins, if there are any, are no files
    assert files >= {str(installed / name) for name in PLUGINS if "/digitslt" in name or "/cm" in name}
    assert all(name.startswith(f"{installed}{os.sep}") for name in files)
    assert script == "ltgen_bench.cli:main"


def test_the_source_archive_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    archive = built(build.build_sdist, ROOT, tmp_path / "sdist")
    with tarfile.open(archive) as source:
        source.extractall(tmp_path / "unpacked", filter="data")
    (root,) = (tmp_path / "unpacked").iterdir()
    for path in ("pyproject.toml", "README.md", "ci/hatch_build.py", "methods/cm.py", "tests/test_packaging.py"):
        assert (root / path).is_file(), path
    assert names(built(build.build_wheel, root, tmp_path / "wheel")) == names(wheel)
