"""Probes of whole runs, by the command line."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from whole_runs import job_of

from ltgen_bench.launch.worker import Worker
from ltgen_bench.probes import probing
from ltgen_bench.probes.draws import DenoisingLoss
from ltgen_bench.probes.probe_file import ProbeFile
from ltgen_bench.runs.job import Stage
from ltgen_bench.storage import lock
from ltgen_bench.storage.atomic_files import sha256

Cli = Callable[..., Any]
FEW = ("--images", "2", "--draws", "1", "--device", "cpu")
SINGLE = ("--images", "64", "--singles", "32", "--parameters", "200", "--device", "cpu")
KINDS = (
    ("pruning", "--percent", "0,20", *FEW),
    ("reserve", "--random", "2", *FEW),
    ("dominance", *SINGLE),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs folder with a run of cm and one of ddpm, trained and not sampled."""
    runs = tmp_path_factory.mktemp("probes") / "runs"
    for method in ("cm", "ddpm"):
        job = job_of(method, runs)
        worker = Worker(dataclasses.replace(job, stage=Stage("train")))
        with lock.hold(job.lock) as worker.lock:
            worker.run()
    return runs


@pytest.fixture
def cm(trained: Path, tmp_path: Path) -> Path:
    return copied(trained, tmp_path, "cm")


@pytest.fixture
def ddpm(trained: Path, tmp_path: Path) -> Path:
    return copied(trained, tmp_path, "ddpm")


def copied(trained: Path, folder: Path, method: str) -> Path:
    (run,) = trained.glob(f"digitslt/{method}/*")
    return Path(shutil.copytree(run, folder / "runs" / run.relative_to(trained)))


def hashes(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def result_of(run: Path) -> dict[str, Any]:
    (path,) = run.glob("probe-*.json")
    return dict(ProbeFile.read(path).result)


@pytest.mark.parametrize("words", KINDS, ids=[words[0] for words in KINDS])
def test_a_probe_adds_its_files_and_changes_none(
    cli: Cli, cm: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    before = hashes(cm)
    first = cli("probe", words[0], cm, *words[1:])
    assert (first.code, first.err) == (0, "")
    after = hashes(cm)
    assert {name: after[name] for name in before} == before
    added = sorted(after.keys() - before.keys())
    assert [name.startswith(f"probe-{words[0]}-") for name in added] == [True, True]
    assert [Path(name).suffix for name in added] == [".json", ".png"]
    assert not [path for path in cm.iterdir() if path.name.startswith("probe-") and path.is_dir()]
    assert all(f"\n{scope} " in first.out for scope in ("overall", "majority", "medium", "minority"))

    monkeypatch.setattr(probing, "_measure", lambda *_: pytest.fail("measured what is known"))
    again = cli("probe", words[0], cm, *words[1:])
    assert again.code == 0
    assert again.out.splitlines() == [line for line in first.out.splitlines() if not line.startswith("[")]  # progress
    assert "\n9: 9 " not in again.out
    assert "\n9: 9 " in cli("probe", words[0], cm, *words[1:], "--per-class").out


def test_another_setting_is_another_probe(cli: Cli, ddpm: Path) -> None:
    for more in ((), ("--per", "network"), ("--seed", "1")):
        assert cli("probe", "pruning", ddpm, *FEW, *more).code == 0
    found = [ProbeFile.read(path) for path in ddpm.glob("probe-pruning-*.json")]
    assert len({json.dumps(probe.result) for probe in found}) == len({probe.spec.id for probe in found}) == 3


def test_a_damaged_result_is_made_again(cli: Cli, ddpm: Path) -> None:
    assert cli("probe", "pruning", ddpm, *FEW).code == 0
    (path,) = ddpm.glob("probe-*.json")
    whole = result_of(ddpm)
    path.write_text(path.read_text().replace('"percents": [\n   10.0', '"percents": [\n   20.0'))
    assert cli("probe", "pruning", ddpm, *FEW).code == 0
    assert result_of(ddpm) == whole


def test_a_reserve_of_nothing_makes_no_difference(cli: Cli, cm: Path) -> None:
    shutil.rmtree(cm / "model-general")
    shutil.copytree(cm / "model", cm / "model-general")
    assert cli("probe", "reserve", cm, *FEW).code == 0
    found = result_of(cm)
    assert (found["rank"], found["layers"], found["strength"]) == (0, 0, 0)
    changes = [change for part in found["losses"].values() for change in part["change"].values()]
    assert len(changes) == 2 * (1 + 3 + 3)
    assert all(figures["value"] == figures["se"] == 0 for change in changes for figures in change.values())


def test_the_reserve_of_a_run_is_what_its_method_folded_in(cli: Cli, cm: Path) -> None:
    assert cli("probe", "reserve", cm, *FEW).code == 0
    found = result_of(cm)
    # 32 channels: rank 3 of each kernel's 3, in the two convolutions of each of four blocks and one that enlarges.
    assert (found["layers"], found["rank"]) == (9, 9 * 9)
    assert found["energy"]["25%"] < found["energy"]["50%"] < found["energy"]["75%"] < 1
    values = found["losses"]["training"]["change"]
    assert 0 != values["without"]["overall"]["value"] != values["random 1"]["overall"]["value"]
    assert values["random 1"]["overall"]["value"] != values["random 2"]["overall"]["value"]


def test_gradients_know_the_reserve(cli: Cli, cm: Path, ddpm: Path) -> None:
    for run in (cm, ddpm):
        assert cli("probe", "dominance", run, *SINGLE).code == 0
    with_reserve, without = result_of(cm), result_of(ddpm)
    # A and B of nine layers, (9, 96) or (9, 192) and (96, 9).
    assert with_reserve["reserve"] == with_reserve["parameters"] - without["parameters"] > 0
    assert 0 < with_reserve["scopes"]["overall"]["reserve"] < 1
    assert without["scopes"]["overall"]["reserve"] == 0
    assert {"formula", "nearest", "cos"} <= with_reserve["theory"].keys()


@pytest.mark.parametrize("at", [1, 2])
def test_an_interrupted_probe_goes_on(
    cli: Cli, ddpm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    words = ("--percent", "10,30", *FEW)
    whole = Path(shutil.copytree(ddpm, tmp_path / "whole"))
    assert cli("probe", "pruning", whole, *words).code == 0
    loss, calls = DenoisingLoss.__call__, []

    def interrupted(self: DenoisingLoss, net: Any, progress: Any) -> Any:
        calls.append(net)
        if len(calls) == at + 1:
            raise KeyboardInterrupt
        return loss(self, net, progress)

    monkeypatch.setattr(DenoisingLoss, "__call__", interrupted)
    stopped = cli("probe", "pruning", ddpm, *words)
    assert (stopped.code, stopped.out) == (130, "stopped; run the same command to go on\n")
    assert not list(ddpm.glob("probe-*.json"))
    assert not list(ddpm.glob("probe-*/lock"))
    assert cli("probe", "pruning", ddpm, *words).code == 0
    assert len(calls) == 3 + 1  # the one that was interrupted is made again, and no other
    assert result_of(ddpm) == result_of(whole)


def test_changed_networks_are_scored_beside_the_trained_one(cli: Cli, ddpm: Path, tmp_path: Path) -> None:
    fewer = ("--set", "sample.images=120", "--set", "sample.steps=2", "--features", "efflite0@32")
    done = cli("probe", "pruning", ddpm, "--percent", "0,50", *FEW, "--score", *fewer)
    assert (done.code, done.err) == (0, "")
    assert "FD-efflite0@32 ↓, 120 images" in done.out
    scores = result_of(ddpm)["scores"]
    assert scores["0%"] == scores["trained"] != scores["50%"]
    assert set(scores["50%"]["FD-efflite0@32"]) == {"overall", "majority", "medium", "minority"}
    # Too few images for this distance: marked in every cell, as on leaderboards.
    _, _, table = done.out.partition("FD-efflite0@32 ↓, 120 images\n")
    (line,) = re.findall(r"^majority .*$", table.partition("\n\n")[0], re.MULTILINE)
    assert re.fullmatch(r"majority( +\d+\.\d\d ± \d+\.\d\d ⚠){3}", line)
    assert "\n⚠ fewer images than feature dimensions" in done.out
    assert cli("probe", "page", ddpm, "--page", tmp_path / "claims").code == 0
    page = (tmp_path / "claims" / "README.md").read_text()
    assert "Change of FD-efflite0@32 ↓ ⚠, %, 120 images:" in page
    assert "\n⚠ fewer images than feature dimensions" in page


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pruning", "--percent", "10,60"), "--percent 10,60: 60 is not from 0 to 50"),
        (("pruning", "--percent", "0.5"), "--percent 0.5: each must be 0, or from 1 to 50"),
        (("pruning", "--percent", "ten"), "--percent ten: write numbers with commas, for example 5,10,20"),
        (("pruning", "--percent", "5,5.0"), "--percent 5,5.0: 5 is given twice; keep one"),
        (("reserve", "--part", "100"), "--part 100: 100 is not from 1 to 99"),
        (("pruning", "--set", "sample.omega=1"), "--set goes with --score"),
        (("reserve", "--features", "inception"), "--features goes with --score"),
    ],
)
def test_settings_that_make_no_sense_are_refused(cli: Cli, cm: Path, words: tuple[str, ...], said: str) -> None:
    before = hashes(cm)
    got = cli("probe", words[0], cm, *words[1:])
    assert (got.code, got.out, got.err) == (2, "", f"error: {said}\n")
    assert hashes(cm) == before


def test_a_run_that_lacks_what_a_probe_needs_is_refused(cli: Cli, cm: Path, ddpm: Path) -> None:
    def refused(kind: str, run: Path) -> str:
        got = cli("probe", kind, run)
        assert (got.code, got.out) == (2, "")
        assert not list(run.glob("probe-*"))
        return str(got.err)

    assert "is of ddpm, which reserves nothing: there is no reserve to probe" in refused("reserve", ddpm)
    shutil.rmtree(cm / "model-general")
    assert "it was trained before networks without their reserve were kept, or it was deleted" in refused("reserve", cm)
    (cm / "checkpoint.pt").write_bytes(b"damaged")
    assert "has no checkpoint of its last step" in refused("dominance", cm)
    (cm / "checkpoint.pt").unlink()
    assert "has no checkpoint: it was trained before the last one was kept" in refused("dominance", cm)
    (ddpm / "model" / "diffusion_pytorch_model.safetensors").write_bytes(b"damaged")
    assert "is damaged" in refused("pruning", ddpm)
    shutil.rmtree(ddpm / "model")
    for kind in ("pruning", "dominance"):
        assert "is not trained to its end" in refused(kind, ddpm)


def test_a_run_in_progress_is_refused_and_so_is_a_second_probe(cli: Cli, ddpm: Path) -> None:
    with lock.hold(ddpm / "lock"):
        got = cli("probe", "pruning", ddpm, *FEW)
    assert got.code == 2
    assert "is in progress: process" in got.err
    assert cli("probe", "pruning", ddpm, *FEW).code == 0
    (path,) = ddpm.glob("probe-*.json")
    path.unlink()
    with lock.hold(path.with_suffix("") / "lock"):
        got = cli("probe", "pruning", ddpm, *FEW)
    assert got.code == 2
    assert "is at this probe; wait for it" in got.err
