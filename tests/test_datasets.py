"""What all datasets keep, where their data lies, and the digits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from image_files import FILES, ROOT, check_balanced, counts_of, plugin

from ltgen_bench.data.prepare import data_folder, preparing
from ltgen_bench.errors import UsageError

pytestmark = pytest.mark.usefixtures("folder")


def test_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LTGEN_DATA", str(tmp_path))
    assert data_folder(Path("here")) == Path.cwd() / "here"
    assert data_folder() == tmp_path
    assert data_folder(Path("~/x")) == Path.home() / "x"


def test_default_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    platformdirs = pytest.importorskip("platformdirs")
    monkeypatch.delenv("LTGEN_DATA")
    assert data_folder() == platformdirs.user_cache_path("ltgen-bench", appauthor=False)


@pytest.mark.parametrize("name", ["cifar10lt", "cifar100lt", "fashionmnistlt"])
def test_missing_data_names_the_command(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        plugin(name)().load()
    assert str(error.value) == (
        f"{name} is not prepared here (looked in {tmp_path / 'data'}). Run: ltgen-bench prepare {name}"
    )
    with pytest.raises(UsageError, match=r"prepare \S+ --data-dir '/a b'$"):
        plugin(name)(data_dir=Path("/a b")).load()


def test_preparing_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "set"
    with preparing(target) as part:
        (part / "file").write_text("x")
        assert not target.exists()
    assert [p.name for p in target.parent.iterdir()] == ["set"]
    assert (target / "file").read_text() == "x"


@pytest.mark.parametrize("problem", [RuntimeError, KeyboardInterrupt])
def test_interrupted_preparing_leaves_nothing(tmp_path: Path, problem: type[BaseException]) -> None:
    def prepare() -> None:
        with preparing(tmp_path / "set") as part:
            (part / "file").write_text("x")
            raise problem

    with pytest.raises(problem):
        prepare()
    assert list(tmp_path.iterdir()) == []


def test_preparing_twice_at_once(tmp_path: Path) -> None:
    with preparing(tmp_path / "set"), pytest.raises(UsageError) as error, preparing(tmp_path / "set"):
        pass
    assert f"{tmp_path / 'set'} is being prepared by process {os.getpid()} on " in str(error.value)
    assert str(error.value).endswith("; wait for it")
    assert (tmp_path / "set").is_dir()


def test_preparing_after_a_killed_process(tmp_path: Path) -> None:
    (tmp_path / ".set.part").mkdir()
    (tmp_path / ".set.part" / "half").write_text("x")
    with preparing(tmp_path / "set"):
        pass
    assert list((tmp_path / "set").iterdir()) == []


def test_preparing_after_a_process_that_was_killed_in_it(tmp_path: Path) -> None:
    code = """
import sys, time
from pathlib import Path
from ltgen_bench.data.prepare import preparing
with preparing(Path(sys.argv[1])) as part:
    (part / "half").write_text("x")
    print("ready", flush=True)
    time.sleep(60)
"""
    words = [sys.executable, "-c", code, str(tmp_path / "set")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        with pytest.raises(UsageError, match="is being prepared"), preparing(tmp_path / "set"):
            pass
        process.kill()
    with preparing(tmp_path / "set") as part:
        (part / "whole").write_text("x")
    assert [p.name for p in (tmp_path / "set").iterdir()] == ["whole"]
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


def test_preparing_repairs_what_is_there_and_keeps_the_rest(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for name in ("damaged", "mine"):
        (tmp_path / "set" / name).write_text("x")
    with preparing(tmp_path / "set") as part:
        (part / "damaged").write_text("whole")
    assert {p.name: p.read_text() for p in (tmp_path / "set").iterdir()} == {"damaged": "whole", "mine": "x"}


def test_preparing_on_a_full_disk_is_refused_at_once(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="GB of free disk, and has"),
        preparing(tmp_path / "s", space=10**18),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_preparing_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "set").write_text("mine")
    with pytest.raises(UsageError, match="exists already"), preparing(tmp_path / "set"):
        pass
    with pytest.raises(UsageError, match="cannot write in"), preparing(tmp_path / "set" / "in a file"):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize("name", FILES)
def test_contract(name: str) -> None:
    kind = plugin(name)
    first = (kind.__doc__ or "").splitlines()[0]
    assert 0 < len(first) <= 110
    assert first.endswith(".")
    assert kind.preset in ("smoke", "mini", "paper")
    assert isinstance(kind.flip, bool)
    assert kind.version >= 1


def test_listing_is_light() -> None:
    code = (
        f"import sys, importlib; [importlib.import_module('ltgen_bench.datasets.' + n) for n in {FILES}];"
        "print(sorted({'torch', 'torchvision', 'sklearn', 'ray'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_folder_is_no_package() -> None:
    assert not (ROOT / "datasets" / "__init__.py").exists(), "it would shadow Hugging Face's `datasets`"


def test_digits() -> None:
    data = plugin("digitslt")().load()
    check_balanced(data)
    assert data.class_counts == (170, 121, 87, 62, 44, 32, 23, 16, 11, 8)
    assert counts_of(data.reference, 10) == [174] * 10
    assert data.train.pixels.shape == (574, 8, 8, 1)
    assert (data.train.pixels.min(), data.train.pixels.max()) == (0, 255)
    assert data.test is None
    assert data.groups.majority == (0, 1, 2)
    assert data.spec.imbalance == 20
    assert data.spec.split_sha256 == "435e456388d7e688fc486deee4859e28acbb75f66b17f1d92fbf17dd6d52f5a7"
    assert data.spec.data_sha256 == "e4d34e0890a1bd6d5fbf86e7960230d9368010a42199c5135329ece00794d6c5"


def test_digits_need_nothing() -> None:
    digits = plugin("digitslt")
    assert digits().prepare() == "digitslt needs no preparation."
    with pytest.raises(UsageError, match="leave out --from"):
        digits().prepare(Path("x"))
    with pytest.raises(UsageError, match="leave out --data"):
        digits(data=Path("x"))
