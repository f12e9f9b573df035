"""The examples of methods/README.md work, and the page names all that it is about."""

import dataclasses
import re
from pathlib import Path

import pytest

from ltgen_bench import ROOT, Method, Step, Task, registry
from ltgen_bench.diffusion.denoiser import Encoded
from ltgen_bench.training.method import HOOKS
from ltgen_bench.training.method_contract import check_method
from ltgen_bench.training.stack import overridden

PAGE = (ROOT / "methods" / "README.md").read_text(encoding="utf-8")
BLOCKS = {re.search(r'name = "(.*?)"', code)[1]: code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)}


@pytest.fixture
def examples(tmp_path, monkeypatch):
    for name, code in BLOCKS.items():
        (tmp_path / f"page_{name.replace('-', '_')}.py").write_text(code)
    monkeypatch.setattr("ltgen_bench.methods.__path__", [*registry.methods().package_path, str(tmp_path)])


@pytest.mark.parametrize("name", BLOCKS)
def test_an_example_keeps_the_contract(name, examples):
    assert not {claim: problem for claim, problem in check_method(name) if problem}


def test_the_examples_override_what_they_are_to_show(examples):
    shown = {name: overridden(registry.methods().load(name)()) for name in BLOCKS}
    assert shown == {
        "tail-weight": ("weight",),
        "focal": ("weight",),
        "contrast": ("losses", "reuses_encoder"),
    }


def test_the_page_names_every_hook_and_field():
    for hook in HOOKS:
        assert f"| `{hook}(self" in PAGE
    public = {f.name for f in dataclasses.fields(Step) if not f.name.startswith("_")}
    own = public - {"logged", "images", "alarms"} | {"log", "log_images", "alarm"}  # those write these
    properties = {n for n, v in vars(Task).items() if isinstance(v, property)}
    fields = own | {f.name for f in dataclasses.fields(Task)} | properties | set(Encoded._fields)
    fields |= {n for n in Method.__annotations__ if n != "name"}
    missing = {name for name in fields if not re.search(rf"`{name}\b", PAGE)}
    assert not missing


def test_the_page_disturbs_no_listing():
    assert not (Path(ROOT) / "methods" / "__init__.py").exists()
    assert "README" not in registry.methods().entries()
