"""Fingerprints of code: what changes them, what does not, and whether others can get at the code."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import ltgen_bench.methods
from ltgen_bench import registry
from ltgen_bench.source_code import LOADERS, doubts, edited, fingerprint, fingerprints

CODE = '''
"""Words."""
from ltgen_bench.training.method import Method

class Mine(Method):
    """More words."""

    name = "minelike"

    def losses(self, step, task):
        return {"term": 2 * step.base.mean()}
'''


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., type]]:
    """Write the method's file (and others beside it) and load it."""
    folder = tmp_path / "methods"
    folder.mkdir()
    monkeypatch.setattr(ltgen_bench.methods, "__path__", [*ltgen_bench.methods.__path__, str(folder)])

    def write(text: str, **others: str) -> type:
        for name, content in {"minelike": text, **others}.items():
            path = folder / f"{name}.py"
            path.write_text(content)
            sys.modules.pop(f"ltgen_bench.methods.{name}", None)
        importlib.invalidate_caches()
        sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
        try:
            return registry.methods().load("minelike")
        finally:
            sys.dont_write_bytecode = before

    yield write
    for name in [name for name in sys.modules if name.startswith("ltgen_bench.methods.minelike")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("2 * step", "3 * step", False),
        ("    def losses", "    version = 2\n\n    def losses", False),
        ('"term"', '"another"', False),
        ("class Mine", "SIZE = 1\n\nclass Mine", False),
        ("        return", "        # why\n\n        return", True),
        ("Words.", "Other words.", True),
        ('    """More words."""\n', "", True),
        ("2 * step", "2*(step)", True),
    ],
)
def test_code_counts_and_words_do_not(write: Callable[..., type], old: str, new: str, same: bool) -> None:
    first = fingerprint(write(CODE))
    assert old in CODE
    assert (fingerprint(write(CODE.replace(old, new))) == first) is same


def test_what_a_method_uses_of_its_folder_counts_too(write: Callable[..., type]) -> None:
    text = CODE.replace("class Mine", "from ltgen_bench.methods.minelike_helper import factor\n\nclass Mine")
    helper = "def factor():\n    return {}\n"
    first = fingerprint(write(text, minelike_helper=helper.format(2)))
    assert fingerprint(write(text, minelike_helper=helper.format(2))) == first
    assert fingerprint(write(text, minelike_helper=helper.format(3))) != first


@pytest.mark.parametrize(
    "statement",
    [
        "from ltgen_bench.methods.minelike_helper import FACTOR",
        "import ltgen_bench.methods.minelike_helper as helper",
        "import ltgen_bench.methods.minelike_helper",
        "from ltgen_bench.methods import minelike_helper",
        "from .minelike_helper import FACTOR",
        "def late():\n    from . import minelike_helper",
        "import my_numbers",
        "from my_numbers import FACTOR",
    ],
)
def test_however_it_is_imported(
    write: Callable[..., type], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_numbers", raising=False)

    def made(factor: int) -> str:
        text = f"FACTOR = {factor}\n"
        (tmp_path / "my_numbers.py").write_text(text)
        return fingerprint(write(CODE.replace("class Mine", f"{statement}\n\nclass Mine"), minelike_helper=text))

    assert made(2) == made(2) != made(3)


def test_built_in_plugins_have_fingerprints_of_their_own() -> None:
    found = fingerprints(["cm", "cbdm"], "digitslt", "ddim")
    assert list(found) == ["method cm", "method cbdm", "dataset digitslt", "sampler ddim"]
    assert len(set(found.values())) == 4


def test_only_what_both_sides_know_is_compared() -> None:
    assert edited({}, {"method cm": "a"}) == edited({"method cm": "a"}, {}) == []
    assert edited({"method cm": "a", "method cb": "c"}, {"method cm": "b", "method cb": "c"}) == ["method cm"]


def test_code_that_others_cannot_get_at_is_named(write: Callable[..., type], tmp_path: Path) -> None:
    then = {"method minelike": fingerprint(write(CODE))}

    def found() -> list[str]:
        return doubts(then, LOADERS)

    def git(*words: str) -> None:
        author = ["-c", "user.name=x", "-c", "user.email=x@x"]
        subprocess.run(["git", "-C", str(tmp_path), *author, *words], check=True, capture_output=True)

    nowhere = f"method minelike ({tmp_path}/methods/minelike.py) is in no package and no commit: nobody else can"
    assert found()[0].startswith(nowhere)
    git("init")
    assert found()[0].startswith(nowhere)
    git("add", ".")
    git("commit", "-m", "x")
    assert found() == []
    write(CODE + "# only a comment\n")
    assert found()[0].startswith(nowhere)
    write(CODE.replace("2", "3"))
    assert found() == [
        "method minelike has been edited since this result was made: the code it was made with may be lost"
    ]
    assert doubts({}, LOADERS) == []  # made before there were fingerprints
    assert doubts({"method gone": "0"}, LOADERS)[0].startswith("method gone cannot be looked at: unknown")
