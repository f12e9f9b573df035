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
from ltgen_bench.registry import Entry, Registry
from ltgen_bench.training.method_contract import CLAIMS

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


PLAIN = 'from ltgen_bench import Method\n\n\nclass Plain(Method):\n    name = "plain"\n'


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
    assert done.stdout.count("ok  ") == len(CLAIMS), done.stdout


def checkout(folder: Path, **methods: str) -> Path:
    """A checkout, as far as the registry looks, with these files of methods."""
    (folder / "ltgen_bench").mkdir(parents=True)
    (folder / "ltgen_bench" / "_plugin_path.py").touch()
    (folder / "methods").mkdir()
    for name, text in methods.items():
        (folder / "methods" / f"{name}.py").write_text(text)
    return folder


LIST = (
    "-c",
    "import sys; from ltgen_bench.cli.main import main; sys.argv = ['ltgen-bench', 'list', 'methods']; main()",
)


def test_an_installation_finds_what_is_dropped_into_a_checkout(tmp_path: Path) -> None:
    shipped = Path(registry.methods().entries()["ddpm"].origin).read_text()
    done = python(*LIST, cwd=checkout(tmp_path, ddpm=shipped, my_file=MINE))
    assert (done.returncode, done.stderr) == (0, "")
    assert "mine              Halves the loss.\n" in done.stdout


@pytest.mark.parametrize("file", ["ddpm", "renamed"])
def test_a_checkout_wins_over_the_installation_with_a_note(tmp_path: Path, file: str) -> None:
    """Also when a method is edited that the installation ships, or moved to another file there."""
    edited = (
        PLAIN.replace("Plain", "Edited")
        .replace("    name", '    """Edited here."""\n\n    name')
        .replace("plain", "ddpm")
    )
    here = checkout(tmp_path, **{"cb": "# changed\n", file: edited})
    done = python(*LIST, cwd=here)
    assert done.returncode == 0
    assert done.stderr.startswith(f"note: methods and datasets are those of {here}, where methods/cb.py differs from ")
    assert done.stderr.count("\n") == 1
    assert "\n  ddpm              Edited here.\n" in done.stdout
    assert "\n  cb " not in done.stdout
    load = "from ltgen_bench import registry; print(registry.methods().load('ddpm').__name__)"
    assert python("-c", load, cwd=here).stdout == "Edited\n"


def test_a_checkout_is_no_folder_of_plugins_beside_itself(tmp_path: Path) -> None:
    here = checkout(tmp_path, my_file=MINE)
    done = python(*LIST, cwd=here, LTGEN_PLUGINS=os.pathsep.join([".", str(here)]))
    assert (done.returncode, done.stderr) == (0, "")


def test_plugins_lie_in_the_home_folder(tmp_path: Path) -> None:
    (tmp_path / "mine" / "methods").mkdir(parents=True)
    (tmp_path / "mine" / "methods" / "a.py").write_text(MINE)
    done = python(*LIST, HOME=str(tmp_path), LTGEN_PLUGINS="~/mine")
    assert "  mine  " in done.stdout


def test_methods_and_files_in_any_spelling_of_a_name(tmp_path: Path) -> None:
    """An accent in one character or two, and a file's name that is not UTF-8."""
    folder = tmp_path / "methods"
    folder.mkdir()
    (folder / "cafe\u0301.py").write_text(PLAIN.replace("plain", "cafe\u0301"))
    (folder / os.fsdecode(b"th\xe9.py")).write_text(PLAIN.replace("plain", "tea"))
    code = """
from ltgen_bench import registry
print(ascii(registry.methods().load("caf\\xe9").name), registry.methods().load("cafe\\u0301").__name__)
print(registry.methods().load("tea").name)
"""
    done = python("-c", code, LTGEN_PLUGINS=str(tmp_path))
    assert done.stdout.splitlines() == [r"'caf\xe9' Plain", "tea"], done.stderr
    (folder / "other.py").write_text(PLAIN.replace("plain", "caf\xe9"))
    done = python(*LIST, LTGEN_PLUGINS=str(tmp_path))
    assert "two methods are named 'caf\xe9'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dataset_of_the_users_own_has_a_name_of_its_own() -> None:
    kind, data_name = registry.dataset("imagefolder-my-birds")
    assert (kind.name, data_name) == ("imagefolder", "my-birds")
    assert registry.dataset("digitslt") == (registry.datasets().load("digitslt"), None)
    for name in ("digitslt-mine", "imagefolder-", "birds-imagefolder"):
        with pytest.raises(UsageError, match=f"unknown dataset '{name}' in here"):
            registry.dataset(name, "here")


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


@pytest.mark.parametrize("kind", registry.BASES)
def test_a_class_that_is_not_of_the_kind_is_refused(
    kind: registry.Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd.py").write_text('class Odd:\n    name = "odd"\n')
    found: Registry[Any] = Registry(kind, [str(tmp_path)])
    entry = Entry("odd", "", str(tmp_path / "odd.py"), "odd")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError) as refused:
        found.import_entry(entry)
    assert str(refused.value) == f"{kind} 'odd' ({tmp_path}/odd.py) is no subclass of {registry.BASES[kind]}"


def test_unknown_names_get_the_near_miss() -> None:
    with pytest.raises(UsageError) as error:
        registry.methods().load("cbmd", "--method cm+cbmd")
    known, folder = ", ".join(registry.methods().entries()), ROOT / "methods"
    assert str(error.value) == (
        f"unknown method 'cbmd' in --method cm+cbmd. Did you mean 'cbdm'? Known: {known}. "
        f"Searched: {folder}, installed packages"
    )


def test_an_unknown_name_says_which_folders_were_searched(tmp_path: Path) -> None:
    code = "from ltgen_bench import registry; registry.methods().load('mine')"
    done = python("-c", code, LTGEN_PLUGINS=str(tmp_path / "nowhere"))
    assert f"Searched: {ROOT / 'methods'}, {tmp_path}/nowhere/methods (not there), installed packages" in done.stderr


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
