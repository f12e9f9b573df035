"""The papers' protocols: what they say, how they are asked for, and which results are called by their names."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import ltgen_bench
from ltgen_bench.errors import UsageError
from ltgen_bench.leaderboard.pages.of_dataset import build
from ltgen_bench.planning.evaluations import asked_for, departures
from ltgen_bench.planning.plan import Request, plan
from ltgen_bench.runs.job import Execution, Job
from ltgen_bench.runs.record import Record
from ltgen_bench.scoring.metric_table import metric_name, metric_table
from ltgen_bench.spec.presets import PRESETS, RECIPES
from ltgen_bench.spec.protocols import LEGACY, PROTOCOLS, called, trained
from ltgen_bench.spec.specs import EvalSpec, NetSpec, RunSpec, SamplingSpec, TrainSpec

Cli = Callable[..., Any]
RUN = ("run", "--method", "ddpm", "--dataset", "digitslt", "--dry-run")


def jobs(protocols: Sequence[str], omegas: Sequence[str] = (), **more: Any) -> list[Job]:
    """Planned without Inception's weights, which are not to be had here."""
    request = Request(
        ["ddpm"],
        ["digitslt"],
        features="efflite0@32",
        execution=Execution("cpu"),
        evaluations=asked_for(omegas, protocols),
        **more,
    )
    return plan(request, Path("runs"))


def in_legacy_features(scored: EvalSpec) -> EvalSpec:
    return dataclasses.replace(scored, features=LEGACY)


@pytest.mark.parametrize(
    ("name", "sampling", "training"),
    [
        ("cbdm", (50_000, "ddpm", 1000, 1.6, "uniform"), (300_000, 48)),
        ("oc", (50_000, "ddim", 100, 1.5, "uniform"), (200_000, 128)),
        ("cm", (50_000, "ddim", 50, 1.5, "balanced"), (300_000, 64)),
        ("coral", (50_000, "ddpm", 1000, 0.8, "uniform"), (150_000, 128)),
        ("ccua", (10_000, "ddim", 100, 1.0, "uniform"), None),
    ],
)
def test_protocols_say_what_their_sources_state(
    name: str, sampling: tuple[Any, ...], training: tuple[int, int] | None
) -> None:
    protocol = PROTOCOLS[name]
    (job,) = jobs([name], ["1"] if name == "ccua" else [])
    sample = job.eval.sample
    assert (sample.images, sample.sampler, sample.steps, sample.omega, sample.labels) == sampling
    assert (sample.clip, sample.precision, sample.guide) == (False, "fp32", "unconditional")
    assert protocol.features == LEGACY
    assert (protocol.train and (protocol.train.steps, protocol.train.batch)) == training
    assert all((protocol.source, protocol.decides, protocol.open))
    assert {text.partition(":")[0] for text in protocol.decides} <= {metric_name(m, LEGACY) for m in metric_table()}
    assert name in called(in_legacy_features(job.eval))


def test_one_training_is_scored_by_several_protocols_whatever_the_preset_says() -> None:
    by_cm, by_cbdm = jobs(["cm", "cbdm"], preset="smoke")  # which clips, and makes 500 images
    assert by_cm.run == by_cbdm.run
    assert (by_cm.eval.sample, by_cbdm.eval.sample) == (PROTOCOLS["cm"].sample, PROTOCOLS["cbdm"].sample)
    assert by_cm.run.train == dataclasses.replace(PRESETS["smoke"].train, flip=False)
    assert "sampler ddpm, sampling steps 1,000" in by_cbdm.title


def test_other_settings_win_and_the_result_loses_the_name() -> None:
    (job,) = jobs(["cm"], settings=["sample.images=500"])
    assert job.eval.sample == dataclasses.replace(SamplingSpec(), images=500)
    assert called(in_legacy_features(job.eval)) == []
    assert list(departures([job], ["cm"])) == [
        "not protocol cm, and no table calls it so: sample.images=500, not 50000, features=efflite0@32, not "
        "inception-legacy"
    ]
    assert not list(departures([dataclasses.replace(job, eval=in_legacy_features(jobs(["cm"])[0].eval))], ["cm"]))


def test_another_sampler_than_the_protocols_has_steps_of_its_own() -> None:
    (job,) = jobs(["cm"], settings=["sample.sampler=ddpm"], preset="cbdm")
    assert (job.eval.sample.sampler, job.eval.sample.steps) == ("ddpm", 1000)
    (job,) = jobs(["cm"], settings=["sample.sampler=ddim"], preset="cbdm")  # as the protocol has it
    assert job.eval.sample == PROTOCOLS["cm"].sample
    for how in ({"protocols": ["cbdm"]}, {"protocols": [], "preset": "cbdm"}):
        with pytest.raises(UsageError, match=r"sampler=ddim: in place of ddpm, .* give --set sample\.steps=N, too"):
            jobs(**how, settings=["sample.sampler=ddim"])
        (job,) = jobs(**how, settings=["sample.sampler=ddim", "sample.steps=50"])
        assert (job.eval.sample.sampler, job.eval.sample.steps) == ("ddim", 50)


def test_omega_may_vary_only_where_the_paper_varies_it() -> None:
    by_cm, by_coral = (in_legacy_features(job.eval) for job in jobs(["cm", "coral"], ["0.6"]))
    assert called(by_cm) == []
    assert called(by_coral) == ["cbdm", "coral"]  # which sample and score in the same way
    (by_both,) = jobs(["cbdm", "coral"], ["0.6"])
    assert by_both.eval == jobs(["coral"], ["0.6"])[0].eval
    assert len(jobs(["cbdm", "coral"], ["0.8", "1.6"])) == 2
    assert len(jobs(["cbdm", "coral"], settings=["sample.omega=1"])) == 1
    grid = jobs(["coral", "ccua"], ["0.6", "1.8"])
    assert [(job.eval.sample.sampler, job.eval.sample.omega) for job in grid] == [
        *(("ddpm", 0.6), ("ddpm", 1.8)),
        *(("ddim", 0.6), ("ddim", 1.8)),
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--protocol", "corl"],
            "unknown protocol 'corl' in --protocol. Did you mean 'coral'? Known: cbdm, ccua, cm, ",
        ),
        (["--protocol", "cm,cm"], "--protocol: cm is there twice; keep one of them"),
        (["--protocol", "cm,"], "--protocol: a name is missing; write names with commas, for example cm,cbdm"),
        (["--protocol", "ccua"], "--protocol ccua: its source does not state omega, and none is guessed; give --omega"),
        (
            ["--protocol", "cm", "--omega", "1", "--set", "sample.omega=1"],
            "--set sample.omega=1: --omega says it, too; keep one of them",
        ),
        (
            ["--preset", "ccua"],
            "--preset ccua: the source of protocol ccua does not state all of its training (ltgen-bench show protocol "
            "ccua); name another preset beside --protocol ccua",
        ),
        (
            ["--protocol", "cm,cbdm,coral"],
            "--protocol cbdm,coral: here they differ in omega alone, 1.6 and 0.8; say which you want with --omega W,",
        ),
        (["--preset", "corl"], "unknown preset 'corl' in --preset. Did you mean 'coral'?"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: list[str], said: str, cli: Cli, tmp_path: Path) -> None:
    got = cli(*RUN, "--features", "efflite0@32", *words, "--runs", tmp_path / "runs")
    assert (got.code, got.out) == (2, "")
    assert got.err.startswith(f"error: {said}")
    assert got.err.count("\n") == 1


def test_protocols_are_listed_and_shown(cli: Cli) -> None:
    listed = cli("list", "protocols").out.splitlines()
    assert [line.split()[0] for line in listed] == ["protocols", *PROTOCOLS]
    for name, protocol in PROTOCOLS.items():
        shown = cli("show", "protocol", name).out
        assert protocol.source in shown
        assert all(f"- {line}\n" in shown for line in (*protocol.decides, *protocol.open, *protocol.differs))
        assert ("\nits code computes:" in shown) == (name == "cbdm") != ("\nits tables hold:" in shown)
        assert ("--omega W, to be given" in shown) == (name == "ccua") == ("sample.omega" not in shown.split("\n\n")[0])
        assert (f"training: --preset {name}, " in shown) == (name in RECIPES)
    got = cli("show", "protocol", "corl")
    assert (got.code, got.err) == (
        2,
        "error: unknown protocol 'corl' in show protocol. Did you mean 'coral'? Known: cbdm, ccua, cm, coral, oc\n",
    )
    assert cli("show", "coral").err == "error: show coral: say what it is, ltgen-bench show protocol coral\n"


@pytest.mark.parametrize("name", ["smoke", "cm"])
def test_what_show_preset_prints_can_be_set(name: str, cli: Cli) -> None:
    lines = cli("show", "preset", name).out.splitlines()
    settings = [line.removeprefix("--set ") for line in lines if line.startswith("--set ")]
    assert "sample.omega_minority=none" in settings
    (job,), (usual,) = (jobs([], preset=name, settings=s) for s in (settings, ["train.flip=true"]))
    assert job.eval == usual.eval
    assert dataclasses.replace(job.run, train=usual.run.train) == usual.run
    assert job.run.train == dataclasses.replace(usual.run.train, precision=(PRESETS | RECIPES)[name].train.precision)


def test_as_a_preset_a_protocol_is_its_training_and_its_evaluation() -> None:
    (job,) = jobs([], preset="coral")
    assert job.run.train == dataclasses.replace(TrainSpec(steps=150_000, batch=128), flip=False, precision="fp32")
    assert job.eval.sample == PROTOCOLS["coral"].sample
    assert RECIPES["coral"].features == LEGACY
    with_flips = dataclasses.replace(job.run, train=dataclasses.replace(job.run.train, flip=True))
    assert (trained(with_flips), trained(job.run)) == (["coral"], [])
    assert trained(dataclasses.replace(with_flips, net=NetSpec((32, 64)))) == []


def test_a_table_names_the_protocols_whose_settings_it_has(make_record: Callable[..., Record]) -> None:
    small = make_record(features=LEGACY, sample=vars(SamplingSpec()), data={"size": 32})
    assert isinstance(small.run, RunSpec)
    papers = dataclasses.replace(small, run=dataclasses.replace(small.run, net=NetSpec(), train=TrainSpec()))
    about = "- as in papers (`ltgen-bench show protocol NAME`): "
    page = build([small])["digitslt"]
    assert f"{about}evaluated as by `cm`\n" in page
    assert f"{about}evaluated as by `cm`; trained as by `cm`\n" in build([papers])["digitslt"]
    other = dataclasses.replace(papers, eval=dataclasses.replace(papers.eval, features="inception"))
    assert f"{about}trained as by `cm`\n" in build([other])["digitslt"]
    assert about not in build([make_record()])["digitslt"]
    earlier = dataclasses.replace(papers, run=dataclasses.replace(papers.run, protocol=1))
    assert about not in build([earlier])["digitslt"]


@pytest.mark.parametrize(("size", "said"), [(32, ""), (16, ", but at 16 pixels, not 32")])
def test_beside_the_protocols_stands_another_image_size(
    size: int, said: str, make_record: Callable[..., Record]
) -> None:
    record = make_record(features=LEGACY, sample=vars(SamplingSpec()), data={"size": size})
    assert f": evaluated as by `cm`{said}\n" in build([record])["digitslt"]


def test_images_made_elsewhere_have_no_protocol(tmp_path: Path, cli: Cli) -> None:
    import numpy as np

    pixels = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1), np.uint8)
    np.savez(tmp_path / "mine.npz", images=pixels, labels=np.arange(10).repeat(6))
    words = ("--samples", tmp_path / "mine.npz", "--dataset", "digitslt", "--runs", tmp_path / "runs")
    got = cli("score", *words, "--protocol", "cm")
    assert (got.code, got.err) == (
        2,
        "error: --protocol cm: images made elsewhere are scored as they are, leave it out\n",
    )


def test_in_python_a_plan_takes_protocols_too() -> None:
    options: Any = {"features": "efflite0@32", "device": "cpu"}
    by_name = ltgen_bench.plan("ddpm", "digitslt", protocol=["cm", "coral"], **options)
    assert [job.eval for job in by_name] == [job.eval for job in jobs(["cm", "coral"])]
    with pytest.raises(UsageError, match="unknown protocol 'cmm' in --protocol"):
        ltgen_bench.plan("ddpm", "digitslt", protocol="cmm", **options)
