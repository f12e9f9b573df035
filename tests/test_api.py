"""What scripts and notebooks call, and that none of it costs anything before it is used."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ltgen_bench
from ltgen_bench import ROOT, Images, RunFailed, UsageError, load_results, plan, run, score
from ltgen_bench.data.long_tail import LongTail
from ltgen_bench.planning.plan import Request
from ltgen_bench.planning.plan import plan as plan_request
from ltgen_bench.runs.job import DataOptions, Job
from ltgen_bench.runs.record import Record

SMALL = {"features": "efflite0@32", "device": "cpu"}
MakeRecord = Callable[..., Record]


@pytest.fixture
def launcher(make_record: MakeRecord) -> Callable[..., dict[str, int]]:
    """Writes a result for each job, but for seed 13."""
    some = make_record()

    def launch(jobs: Iterable[Job], show: Any) -> dict[str, int]:
        for job in jobs:
            show.started(job)
            if job.run.seed != 13:
                record = Record(job.run, job.eval, some.scores, some.training, some.provenance, some.deviations)
                job.run_folder.create(job.run)
                record.write(job.run_folder.result(job.eval.eval_id))
            show.ended(job, "done", "")
        return {}

    return launch


def imported_by(code: str) -> set[str]:
    """Top-level modules that are imported when a fresh Python has run this."""
    code += "\nimport sys\nprint(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.splitlines()[-1].split())


def test_importing_the_package_imports_nothing_that_takes_time() -> None:
    heavy = {"torch", "numpy", "pandas", "ray", "typer", "rich", "diffusers", "matplotlib"}
    assert not imported_by("import ltgen_bench; dir(ltgen_bench); from ltgen_bench import UsageError") & heavy
    assert {"torch", "typer"} <= imported_by("from ltgen_bench import Method, plan")  # the test can fail


def test_help_imports_no_torch() -> None:
    code = (
        "import sys; from ltgen_bench.cli import main\nfor words in ([], ['run']):\n"
        " sys.argv = ['ltgen-bench', *words, '--help']\n try: main()\n except SystemExit: pass"
    )
    assert not imported_by(code) & {"torch", "numpy", "pandas", "ray", "diffusers", "matplotlib", "sklearn"}


def test_every_public_name_is_the_one_that_type_checkers_see() -> None:
    source = ast.parse((ROOT / "ltgen_bench" / "__init__.py").read_text())
    (typing_only,) = (node for node in source.body if isinstance(node, ast.If))
    shown = {a.name: node.module for node in typing_only.body if isinstance(node, ast.ImportFrom) for a in node.names}
    assert sorted(shown) == ltgen_bench.__all__
    for name, module in shown.items():
        assert getattr(ltgen_bench, name) is getattr(importlib.import_module(str(module)), name)
        assert name in dir(ltgen_bench)
    with pytest.raises(AttributeError, match="has no attribute 'Methd'"):
        _ = ltgen_bench.Methd


def test_a_plan_in_python_is_that_of_the_command_line(tmp_path: Path) -> None:
    settings = {"train.steps": 100, "net.channels": (32, 32), "train.flip": True, "cm.w_div": 1, "sample.omega": 0.5}
    jobs = plan(["ddpm", "cm"], "digitslt", seeds=range(2), settings=settings, runs=tmp_path, imbalance=None, **SMALL)
    typed = ["train.steps=100", "net.channels=32,32", "train.flip=true", "cm.w_div=1", "sample.omega=0.5"]
    request = Request(
        ["ddpm", "cm"], ["digitslt"], [0, 1], None, typed, "efflite0@32", DataOptions(imbalance=None), jobs[0].execution
    )
    assert jobs == plan_request(request, tmp_path)
    with pytest.raises(UsageError, match="Did you mean 'cbdm'"):
        plan("cbmd", "digitslt")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"imbalence": 10}, r"unknown option 'imbalence' in plan\(...\)\. Did you mean 'imbalance'\?"),
        ({"seed": [1]}, "Did you mean 'seeds'"),
        ({"seeds": 3}, "seeds=3: give a list of whole numbers, such as"),
        ({"seeds": "012"}, "seeds='012': give a list"),
        ({"seeds": [0.5]}, "give a list of whole numbers"),
    ],
)
def test_a_mistake_in_a_plan_gets_a_sentence(options: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        plan("ddpm", "digitslt", **options)


def test_a_tracker_is_named_in_a_plan(tmp_path: Path) -> None:
    planned, without = (plan("ddpm", "digitslt", runs=tmp_path, **more) for more in ({"track": "tensorboard"}, {}))
    assert planned[0].execution.track == ("tensorboard",)
    assert planned[0].run == without[0].run
    with pytest.raises(UsageError, match="Did you mean 'tensorboard'"):
        plan("ddpm", "digitslt", track=["tensorbord"])


def test_what_is_no_job_and_what_are_no_images_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="run takes the jobs that plan gives, not 'ddpm'"):
        run(["ddpm"])  # type: ignore[list-item]
    pixels = np.zeros((120, 8, 8, 1), np.uint8)
    with pytest.raises(UsageError, match=r"give Images\(pixels, labels\) or the path of a file or folder, not ndarray"):
        score(pixels, "digitslt")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="Did you mean 'features'"):
        score(tmp_path, "digitslt", feature="efflite0@32")  # type: ignore[call-arg]


def test_a_grid_is_run_once_and_its_records_come_in_order(
    launcher: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = plan(["ddpm", "cm"], "digitslt", runs=tmp_path)
    records = run(jobs, launcher=launcher)
    assert [(r.run_id, r.eval_id) for r in records] == [(job.run.run_id, job.eval.eval_id) for job in jobs]
    assert f"[2/2] digitslt cm seed 0: {jobs[1].folder}\n" in capsys.readouterr().out

    def nothing_to_do(*_: object) -> dict[str, int]:
        raise AssertionError

    assert run(jobs, launcher=nothing_to_do) == records
    frame = load_results(tmp_path)
    assert set(frame.run_id) == {job.run.run_id for job in jobs}
    assert set(frame["train.steps"]) == {jobs[0].run.train.steps}


def test_seeds_may_be_numpys(tmp_path: Path) -> None:
    assert [job.run.seed for job in plan("ddpm", "digitslt", seeds=np.arange(2), runs=tmp_path)] == [0, 1]


def test_runs_without_a_result_are_named_when_the_others_are_done(launcher: Any, tmp_path: Path) -> None:
    jobs = plan("ddpm", "digitslt", seeds=[13, 1], runs=tmp_path)
    with pytest.raises(RunFailed, match="1 of 2 runs have no result: digitslt ddpm seed 13 waiting, see "):
        run(jobs, launcher=launcher, quiet=True)
    assert jobs[1].state == "done"
    with pytest.raises(UsageError, match="give 'local', 'ray' or a function"):
        run(jobs, launcher="slurm")  # type: ignore[arg-type]


def test_a_quiet_run_says_nothing(launcher: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(plan("ddpm", "digitslt", runs=tmp_path), launcher=launcher, quiet=True)
    assert capsys.readouterr() == ("", "")


def test_results_are_loaded_from_any_folder_of_them(launcher: Any, tmp_path: Path, make_record: MakeRecord) -> None:
    (job,) = plan("ddpm", "digitslt", runs=tmp_path / "runs")
    run([job], launcher=launcher, quiet=True)
    make_record("cm").write(tmp_path / "boards" / "results" / "digitslt" / "cm" / "1-2.json")
    assert set(load_results(job.folder).method) == set(load_results(str(tmp_path / "runs")).method) == {"ddpm"}
    assert set(load_results(tmp_path / "boards").method) == {"cm"}
    assert load_results(tmp_path).empty
    (tmp_path / "boards" / "results" / "half.json").write_text("{")
    with pytest.warns(UserWarning, match=r"left out: .*half\.json"):
        assert set(load_results(tmp_path / "boards").method) == {"cm"}
    with pytest.raises(UsageError, match="nowhere: no such folder"):
        load_results(tmp_path / "nowhere")


def test_images_are_scored_without_a_run_folder(digits: LongTail, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    labels = np.arange(10).repeat(12)
    images = Images(np.random.default_rng(0).integers(0, 256, (120, 8, 8, 1), np.uint8), labels)
    scores = score(images, "digitslt", cache="features", **SMALL)
    assert scores["FD-efflite0@32"]["minority"].keys() >= {"value", "se", "n_gen", "n_real"}
    assert [path.name for path in tmp_path.iterdir()] == ["features"]
    images.save(tmp_path / "mine.npz")
    assert score("mine.npz", "digitslt", cache="features", **SMALL) == scores
    with pytest.raises(UsageError, match="generated images are 4x4 grey, those of the dataset 8x8 grey"):
        score(Images(np.zeros((120, 4, 4, 1), np.uint8), labels), "digitslt")


def test_the_python_in_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) >= 4
    notebook = ModuleType("readme")
    monkeypatch.setitem(sys.modules, "readme", notebook)
    for block in blocks:  # as cells: later ones know the names of earlier ones
        exec(compile(block, "README.md", "exec"), vars(notebook))
