"""Methods and datasets are found where they lie, without being imported, and a bad one is named in a sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ltgen_bench
from ltgen_bench import registry
from ltgen_bench.errors import UsageError
from ltgen_bench.registry import Registry

ROOT = Path(__file__).resolve().parent.parent
METHODS = ["cb", "cbdm", "cm", "ddpm", "noise-resampling", "resample", "t2h"]
DATASETS = ["cifar100lt", "cifar10lt", "digitslt", "fashionmnistlt", "imagefolder"]

MINE = '''
from ltgen_bench.training.method import Method


class Mine(Method):
    """Halves the loss."""

    name = "mine"

    def weight(self, step, task):
        return step.y.new_full(step.y.shape, 0.5, dtype=step.x0.dtype)
'''


PLAIN = 'class Plain:\n    name = "plain"\n'  # enough to be found, and imported in no time


def python(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """A fresh Python that finds this ltgen_bench."""
    path = os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(Path(ltgen_bench.__file__).parent.parent)])
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": path.strip(os.pathsep)} | environment,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def folders(tmp_path: Path) -> Callable[..., Registry[Any]]:
    """The methods of folders with these files."""

    def make(*folders: dict[str, str]) -> Registry[Any]:
        for number, files in enumerate(folders):
            for name, text in files.items():
                path = tmp_path / str(number) / name
                path.parent.mkdir(exist_ok=True)
                path.write_text(text)
        return Registry("method", [str(tmp_path / str(number)) for number in range(len(folders))])

    return make


def test_all_that_is_shipped_is_listed_with_a_summary() -> None:
    assert registry.methods().entries().keys() >= set(METHODS)
    assert registry.datasets().entries().keys() >= set(DATASETS)
    for entry in (*registry.methods().entries().values(), *registry.datasets().entries().values()):
        assert entry.summary.endswith(".")
        assert Path(entry.origin).is_file()


def test_listing_imports_neither_torch_nor_ray_nor_any_plugin() -> None:
    code = """
import sys
from ltgen_bench.cli.main import main
sys.argv = ["ltgen-bench", "list"]
try:
    main()
finally:
    heavy = {"torch", "ray", "diffusers", "torchvision", "sklearn", "pandas", "matplotlib"} & sys.modules.keys()
    plugins = [name for name in sys.modules if name.startswith(("ltgen_bench.methods.", "ltgen_bench.datasets."))]
    print("imported:", sorted(heavy), plugins)
"""
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("imported: [] []\n")
    for name in (*METHODS, *DATASETS, "smoke", "mini", "60k", "paper"):
        assert f"\n  {name} " in done.stdout


def test_a_file_dropped_into_a_folder_is_a_method(tmp_path: Path) -> None:
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "my_file.py").write_text(MINE)
    done = python("-m", "ltgen_bench", "list", "methods", cwd=tmp_path, LTGEN_PLUGINS=str(tmp_path))
    assert "mine              Halves the loss.\n" in done.stdout
    done = python("-m", "ltgen_bench", "check", "method", "mine", cwd=tmp_path, LTGEN_PLUGINS=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("ok  ") == 8, done.stdout


def test_a_plain_installation_finds_what_is_dropped_into_a_checkout(tmp_path: Path) -> None:
    """Copies of what is installed are no clash; a file that was changed since is, as it would silently not be used."""
    shipped = Path(registry.methods().entries()["ddpm"].origin)
    (tmp_path / "ltgen_bench").mkdir()
    (tmp_path / "ltgen_bench" / "_plugin_path.py").touch()
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "ddpm.py").write_bytes(shipped.read_bytes())
    (tmp_path / "methods" / "my_file.py").write_text(MINE)
    call = (
        "-c",
        "import sys; from ltgen_bench.cli import main; sys.argv = ['ltgen-bench', 'list', 'methods']; main()",
    )
    done = python(*call, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "mine              Halves the loss.\n" in done.stdout
    (tmp_path / "methods" / "ddpm.py").write_text("# changed")
    done = python(*call, cwd=tmp_path)
    assert done.returncode == 2
    assert "two method files share a name: " in done.stderr
    assert "or install the checkout again" in done.stderr


def test_a_name_must_be_unique(folders: Callable[..., Registry[Any]]) -> None:
    with pytest.raises(UsageError, match=r"two methods are named 'mine': \S+/a\.py and \S+/b\.py; rename one"):
        folders({"a.py": MINE, "b.py": MINE}).entries()
    with pytest.raises(UsageError, match=r"two method files share a name: \S+/0/a\.py and \S+/1/a\.py; rename one"):
        folders({"a.py": MINE}, {"a.py": MINE.replace("mine", "other")}).entries()


def test_a_clash_with_a_shipped_method_names_both_files(tmp_path: Path) -> None:
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "my_cm.py").write_text(MINE.replace('"mine"', '"cm"'))
    done = python("-m", "ltgen_bench", "list", cwd=tmp_path, LTGEN_PLUGINS=str(tmp_path))
    assert done.returncode == 2
    shipped = registry.methods().entries()["cm"].origin
    assert done.stderr == f"error: two methods are named 'cm': {shipped} and {tmp_path}/methods/my_cm.py; rename one\n"


def test_a_file_that_is_not_python_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "whole.py").write_text(PLAIN)
    (tmp_path / "methods" / "half.py").write_text("class Half(\n")
    (tmp_path / "methods" / "lost.py").write_text("import no_such_module\n\n\nclass Lost:\n    name = 'lost'\n")
    (tmp_path / "methods" / ".#open.py").symlink_to("editors-lock")
    code = """
from ltgen_bench import registry
from ltgen_bench.errors import UsageError
print(registry.methods().load("plain").__name__)
print(registry.methods().entries()["half"].summary)
for name in ("half", "lost"):
    try:
        registry.methods().load(name)
    except UsageError as error:
        print(error)
"""
    done = python("-c", code, cwd=tmp_path, LTGEN_PLUGINS=str(tmp_path))
    where = f"{tmp_path}/methods"
    assert done.stdout.splitlines() == [
        "Plain",
        "broken: '(' was never closed (half.py, line 1)",
        f"method 'half' ({where}/half.py) cannot be imported: SyntaxError: '(' was never closed (half.py, line 1)",
        f"method 'lost' ({where}/lost.py) cannot be imported: ModuleNotFoundError: No module named 'no_such_module'",
    ], done.stderr


def test_only_classes_with_a_name_are_plugins(folders: Callable[..., Registry[Any]]) -> None:
    found = folders(
        {
            "a.py": MINE.replace('name = "mine"', 'name: str = "typed"'),
            "helper.py": "class Helper:\n    size = 3\n",
            "_private.py": MINE,
        }
    ).entries()
    assert list(found) == ["typed"]


def test_unknown_names_get_the_near_miss() -> None:
    with pytest.raises(UsageError) as error:
        registry.methods().load("cbmd", "--method cm+cbmd")
    known = ", ".join(registry.methods().entries())
    assert str(error.value) == f"unknown method 'cbmd' in --method cm+cbmd. Did you mean 'cbdm'? Known: {known}"


def test_a_package_adds_methods_through_an_entry_point(tmp_path: Path) -> None:
    (tmp_path / "my_package.py").write_text(PLAIN)
    (tmp_path / "my_package-1.0.dist-info").mkdir()
    (tmp_path / "my_package-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n"
    )
    (tmp_path / "my_package-1.0.dist-info" / "entry_points.txt").write_text(
        "[ltgen_bench.methods]\nplain = my_package:Plain\ngone = my_package:Gone\n"
    )
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from ltgen_bench import registry
from ltgen_bench.errors import UsageError
print(registry.methods().entries()["plain"].origin)
print(registry.methods().load("plain").__name__)
try:
    registry.methods().load("gone")
except UsageError as error:
    print(error)
"""
    done = python("-c", code)
    assert done.stdout.splitlines() == [
        "package my-package",
        "Plain",
        "package my-package has no class with name = 'gone'",
    ], done.stderr


@pytest.mark.parametrize("folder", ["methods", "datasets"])
def test_the_top_level_folders_are_no_packages(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists(), (
        f"delete {folder}/__init__.py: with it, every process started at the root of a checkout imports this folder as "
        f"`{folder}`; Hugging Face's package of the name `datasets` would be hidden"
    )


def test_datasets_is_not_ours_even_at_the_root_of_a_checkout(tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "__init__.py").write_text("mine = False\n")
    # -c puts the current folder first on the path, the other package comes last.
    code = "import sys; sys.path.append(sys.argv[1]); import datasets; print(datasets.mine)"
    done = python("-c", code, str(tmp_path), cwd=ROOT)
    assert done.stdout == "False\n", done.stderr
