"""What the command line says, to the letter where it matters: bad input gets one sentence and exit code 2."""

from __future__ import annotations

import dataclasses
import re
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ltgen_bench import registry
from ltgen_bench.planning.plan import Request, plan
from ltgen_bench.runs.job import Execution
from ltgen_bench.runs.record import Record
from ltgen_bench.runs.reproduce import command_line
from ltgen_bench.spec.presets import PRESETS, RECIPES
from ltgen_bench.spec.specs import SamplingSpec
from ltgen_bench.storage import lock
from ltgen_bench.storage.atomic_files import write_json

Cli = Callable[..., Any]
METHODS = ", ".join(registry.methods().entries())
DATASETS = ", ".join(registry.datasets().entries())
PRESETS_KNOWN = ", ".join(sorted(PRESETS | RECIPES))
SAMPLE_KNOWN = ", ".join(sorted(f"sample.{field.name}" for field in dataclasses.fields(SamplingSpec)))
SMOKE = PRESETS["smoke"]
COMMANDS = [
    *("run", "list", "show", "status", "prepare", "score"),
    *("export", "publish", "leaderboard", "compare", "check", "doctor"),
]
RUN = "run --method cm --dataset digitslt "


@pytest.fixture(autouse=True)
def empty_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is prepared and nothing has run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LTGEN_DATA", "/no/data")


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (
            "run --method cm+cbmd --dataset digitslt",
            f"unknown method 'cbmd' in --method cm+cbmd. Did you mean 'cbdm'? Known: {METHODS}",
        ),
        (
            "run --method cm --dataset digitlt",
            f"unknown dataset 'digitlt' in --dataset digitlt. Did you mean 'digitslt'? Known: {DATASETS}",
        ),
        (
            RUN + "--preset smok",
            f"unknown preset 'smok' in --preset. Did you mean 'smoke'? Known: {PRESETS_KNOWN}",
        ),
        (
            RUN + "--set trian.steps=4",
            "unknown section 'trian' in --set trian.steps. Did you mean 'train'? "
            "Known: cm, diffusion, net, sample, train",
        ),
        (RUN + "--set cbdm.tau=2", "--set cbdm.tau: none of the methods to run is cbdm"),
        (
            RUN + "--set sample.omeag=4",
            f"unknown setting 'sample.omeag' in --set. Did you mean 'sample.omega'? Known: {SAMPLE_KNOWN}",
        ),
        (
            RUN + "--set cm.wdiv=1",
            "unknown setting 'cm.wdiv' in --set. Did you mean 'cm.w_div'? "
            "Known: cm.dropout, cm.fraction, cm.guard, cm.lam, cm.layers, cm.rank_ratio, cm.w_con, cm.w_div",
        ),
        (
            RUN + "--set train.steps",
            "--set train.steps: write it as section.name=value, for example --set train.steps=1000",
        ),
        (RUN + "--set train.steps=four", "--set train.steps must be a whole number, not 'four'"),
        (RUN + "--set train.lr=nan", "--set train.lr must be a number, not 'nan'"),
        (RUN + "--set train.steps=0", "train.steps must be from 1 to 1000000000, not 0"),
        (
            RUN + "--set train.precision=fp16",
            "unknown value 'fp16' in --set train.precision. Did you mean 'bf16'? Known: bf16, fp32",
        ),
        (RUN + "--set cm.rank_ratio=2", "cm.rank_ratio must be above 0 and at most 1, not 2.0"),
        (
            RUN + "--set net.groups=32",
            "net.groups=32 gives groups of 1 of 32 channels; with fewer than 4 the normalisation takes out what time "
            "and label add, and the network does not see them; leave net.groups out, or use 8",
        ),
        (
            "run --method cm,cbdm --dataset digitslt",
            "--method cm,cbdm: combined they are cm+cbdm, one by one --method cm --method cbdm",
        ),
        (
            "run --method cm --dataset digitslt,cifar10lt",
            "--dataset digitslt,cifar10lt: give each its own, --dataset digitslt --dataset cifar10lt",
        ),
        (RUN + "--set cm.w_div=1 --set cm.w_div=2", "--set cm.w_div is given twice, 1 and 2; keep one"),
        (
            RUN + "--set cm.w_div=1 --set train.lr=1 --set cm.w_div=1",
            "--set cm.w_div is given twice, 1 and 1; keep one",
        ),
        (
            RUN + "--set net.channels=32,48 --set net.groups=3",
            "net.groups must divide each of net.channels, 32,48, not 3; leave net.groups out, or use 8",
        ),
        (
            RUN + "--set net.groups=0",
            "net.groups must divide each of net.channels, 32,32, not 0; leave net.groups out, or use 8",
        ),
        (RUN + "--set net.channels=32,2", "net.channels must be at least 4, not 32,2"),
        (RUN + "--set net.attention=2", "net.attention must be from -1 to 1, not 2"),
        (RUN + "--set diffusion.beta_end=1e-5", "diffusion.beta_start must be from 1e-09 to 1e-05, not 0.0001"),
        (RUN + "--set sample.steps=1001", "sample.steps must be from 1 to 1000, not 1001"),
        ("run --method resample+resample --dataset digitslt", "a method is named twice in resample+resample"),
        (RUN + "--seeds 0,one", "--seeds 0,one: write whole numbers with commas, for example 0,1,2"),
        (RUN + "--device gpu", "--device gpu: there is no such kind of device; use auto, cpu, cuda or cuda:N"),
        (RUN + "--checkpoint-every 0", "--checkpoint-every must be at least 0.1 seconds, not 0"),
        (
            "run --method cm --dataset cifar10lt --data-dir /no/folder",
            "cifar10lt is not prepared here (looked in /no/folder). "
            "Run: ltgen-bench prepare cifar10lt --data-dir /no/folder",
        ),
        (
            RUN + "--set sample.images=123",
            "123 images cannot be shared evenly by 10 classes; use --set sample.images=120",
        ),
        (
            RUN + "--size 7",
            "7x7 images do not suit a network of 2 levels, which needs a multiple of 2; "
            "use --size 6, or fewer levels with --set net.channels=...",
        ),
        (RUN + "--size 16", "--size 16: the images have 8x8 pixels and can only be reduced"),
        (
            RUN + "--imbalance 1000",
            "--imbalance 1000: class 7 (of 0 to 9) would get no image, as the largest class has 170; "
            "none takes the images as they come, and the largest ratio that leaves every class an image is 170",
        ),
        (RUN + "--imbalance many", "--imbalance many: give a number, for example 100, or none"),
        ("run --method cm --dataset imagefolder --data /no/photos", "/no/photos: no such folder or zip"),
        (RUN + "--data photos", "digitslt has its own images: leave out --data and --reference"),
        ("run --dataset digitslt", "Missing option '--method'."),
        (
            "list methds",
            "unknown kind 'methds' in list. Did you mean 'methods'? Known: datasets, methods, presets, protocols, runs",
        ),
        (
            "show methd cm",
            "unknown kind 'methd' in show. Did you mean 'method'? Known: dataset, method, preset, protocol, run",
        ),
        ("show method cn", f"unknown method 'cn' in show method cn. Did you mean 'cm'? Known: {METHODS}"),
        (
            "show preset pape",
            f"unknown preset 'pape' in show preset. Did you mean 'paper'? Known: {PRESETS_KNOWN}",
        ),
        ("show run 3f2a", "no run '3f2a' in runs. Run: ltgen-bench list runs"),
        ("show cm", "show cm: say what it is, ltgen-bench show method cm"),
        ("show cm+cb", "show cm+cb: say what it is, ltgen-bench show method cm+cb"),
        ("show digitslt", "show digitslt: say what it is, ltgen-bench show dataset digitslt"),
        ("show mini", "show mini: say what it is, ltgen-bench show preset mini"),
        ("show method", "show method: which one? Run: ltgen-bench list methods"),
        ("show run", "show run: which one? Run: ltgen-bench list runs"),
        ("check cm+cb", "check cm+cb: say what it is, ltgen-bench check method cm+cb"),
        ("check method", "check method: which one? Run: ltgen-bench list methods"),
        ("check methods cm", "unknown kind 'methods' in check. Did you mean 'method'? Known: method"),
        (
            "prepare digitlt",
            f"unknown dataset 'digitlt' in prepare digitlt. Did you mean 'digitslt'? Known: {DATASETS}",
        ),
        ("score 3f2a", "no run '3f2a' in runs. Run: ltgen-bench list runs"),
        ("export 3f2a folder", "no run '3f2a' in runs. Run: ltgen-bench list runs"),
        ("publish 3f2a", "no run '3f2a' in runs. Run: ltgen-bench list runs"),
    ],
)
def test_bad_input_gets_one_sentence(cli: Cli, command: str, sentence: str) -> None:
    got = cli(*shlex.split(command))
    said = re.sub(r"\. Searched: .* installed packages", "", got.err)
    assert (got.out, said, got.code) == ("", f"error: {sentence}\n", 2)
    assert list(Path().iterdir()) == []


def test_two_owners_of_one_hook_are_refused(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ltgen_bench.methods

    source = (
        "from ltgen_bench.training.method import Method\n\n\nclass Mine(Method):\n    name = 'mine'\n\n"
        "    def target(self, step, task):\n        return step.x0\n"
    )
    (tmp_path / "mine.py").write_text(source)
    monkeypatch.setattr(ltgen_bench.methods, "__path__", [*ltgen_bench.methods.__path__, str(tmp_path)])
    got = cli("run", "--method", "t2h+mine", "--dataset", "digitslt")
    assert got.err == "error: mine and t2h both set target(), which only one method can; pick one\n"
    assert got.code == 2


def test_missing_weights_are_named_and_never_fetched(cli: Cli, tmp_path: Path) -> None:
    got = cli(*shlex.split(RUN + "--features inception"))
    assert (got.code, got.out) == (2, "")
    assert got.err.startswith("error: no file /no/data/inception-2015-12-05.pt: ")
    assert got.err.count("\n") == 1
    labels = np.arange(10).repeat(12)
    np.savez(tmp_path / "mine.npz", images=np.zeros((120, 8, 8), np.uint8), labels=labels)
    for command in (RUN, f"score --samples {tmp_path}/mine.npz --dataset digitslt "):
        got = cli(*shlex.split(command + "--features inception --data-dir /my/data"))
        assert got.err.startswith("error: no file /my/data/inception-2015-12-05.pt: ")
        assert got.code == 2


def test_a_file_system_error_is_a_sentence_too(cli: Cli) -> None:
    got = cli(*shlex.split("run --method ddpm --dataset digitslt --runs /dev/null/runs"))
    assert got.code == 1
    assert re.fullmatch(r"error: \[Errno 20\] Not a directory: '/dev/null/runs/.*'\n", got.err)


def test_a_dry_run_prints_the_plan_and_creates_nothing(cli: Cli) -> None:
    command = "run --method ddpm --method cb+cm --dataset digitslt --seeds 0,1,1 --set train.steps=1000 --dry-run"
    got = cli(*shlex.split(command))
    assert (got.code, got.err) == (0, "")
    lines = [re.sub(r"\(\w{12}\)", "(ID)", line) for line in got.out.splitlines()]
    assert lines == [
        f"digitslt {method} seed {seed} (ID): starts 1,000 steps x {SMOKE.train.batch}, {SMOKE.sample.images} images, "
        f"features {SMOKE.features} (preset smoke)"
        for method in ("ddpm", "cm+cb")
        for seed in (0, 1)
    ] + [
        "digitslt: 574 training images of 8x8 grey, 1,740 to score against",
        "10 classes, id: name (images): 0: 0 (170), 1: 1 (121), 2: 2 (87), 3: 3 (62), 4: 4 (44), 5: 5 (32),",
        "6: 6 (23), 7: 7 (16), 8: 8 (11), 9: 9 (8)",
    ]
    assert list(Path().iterdir()) == []


def test_a_dry_run_says_what_would_become_of_each_run(cli: Cli, make_record: Callable[..., Record]) -> None:
    command = shlex.split("run --method ddpm --dataset digitslt --seeds 0,1,2,3,4")
    jobs = plan(Request(["ddpm"], ["digitslt"], [0, 1, 2, 3, 4]), Path("runs"))
    done, stopped, failed, running, _ = (job.run_folder for job in jobs)
    for job in jobs[:4]:
        job.run_folder.create(job.run)
    record = make_record()
    scores = Record(jobs[0].run, jobs[0].eval, record.scores, record.training, record.provenance, record.deviations)
    scores.write(done.result(jobs[0].eval.eval_id))
    (stopped.path / "checkpoint.pt").touch()
    write_json(failed.failed, {"reason": "loss became nan at step 7"})
    work = f"{SMOKE.train.steps:,} steps x {SMOKE.train.batch}, {SMOKE.sample.images} images, features {SMOKE.features}"
    with lock.hold(running.lock):
        lines = cli(*command, "--dry-run").out.splitlines()[:5]
        assert [line.partition(": ")[2].partition(" (")[0] for line in lines] == [
            "done already",
            f"goes on with {work}",
            "failed before: loss became nan at step 7; try again with --retry-failed",
            "running elsewhere",
            f"starts {work}",
        ]
        retried = cli(*command, "--dry-run", "--retry-failed").out.splitlines()[:5]
        assert retried[2].endswith(f": starts {work} (preset smoke)")


def test_a_preset_too_large_for_the_device_says_how_long_it_takes(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ltgen_bench.planning.training_time._flops_per_second", lambda *_: 1e11)
    got = cli(*shlex.split(RUN + "--preset paper --features efflite0@96 --set net.channels=128,256 --dry-run"))
    announced = r"digitslt cm seed 0: preset paper is large for this device: about [\d.]+ days of training a run, "
    assert re.search(announced, got.out)
    assert "large" not in cli(*shlex.split(RUN + "--dry-run")).out


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_ends_with_examples(cli: Cli, command: str) -> None:
    got = cli(*command.split(), "--help")
    assert (got.code, got.err) == (0, "")
    assert max(map(len, got.out.splitlines())) <= 80
    below_the_options = got.out.rpartition("╯")[2].split()
    assert below_the_options[0] in ("Example:", "Examples:", "Start")
    assert f"ltgen-bench {command}".strip() in " ".join(below_the_options)


def test_guidance_is_explained_where_it_is_set(cli: Cli) -> None:
    for command in ("run", "score"):
        words = re.sub(r"[│\s]+", " ", cli(command, "--help").out)
        assert "Guidance is eps_c + omega (eps_c - eps_u), as in the papers: the usual scale minus 1." in words


def test_no_command_shows_the_help(cli: Cli) -> None:
    got = cli()
    assert got.err == ""
    assert "Usage: ltgen-bench" in got.out


def test_version(cli: Cli) -> None:
    import ltgen_bench

    assert cli("--version").out == f"{ltgen_bench.__version__}\n"


def test_lists(cli: Cli) -> None:
    assert [line.split()[0] for line in cli("list", "methods").out.splitlines()] == ["methods", *METHODS.split(", ")]
    assert [line.split()[0] for line in cli("list", "datasets").out.splitlines()] == ["datasets", *DATASETS.split(", ")]
    assert [line.split()[0] for line in cli("list", "presets").out.splitlines()] == ["presets", *PRESETS, *RECIPES]
    everything = cli("list")
    assert everything.code == 0
    assert everything.out == "".join(cli("list", what).out for what in ("methods", "datasets", "presets", "protocols"))


def test_no_runs_yet(cli: Cli) -> None:
    for command in ("list runs", "status", "status --runs nowhere"):
        got = cli(*command.split())
        assert (got.code, got.err) == (0, "")
        assert got.out.endswith(f"no runs in {'nowhere' if 'nowhere' in command else 'runs'}\n")


def test_status_shows_how_far_each_run_is(cli: Cli) -> None:
    names = ["waiting", "stopped", "failed", "running"]
    jobs = plan(Request(["cm"], ["digitslt"], range(4), settings=["cm.w_div=1"]), Path("runs"))
    places = dict(zip(names, (job.run_folder for job in jobs), strict=True))
    for job in jobs:
        job.run_folder.create(job.run)
    progress = {"stage": "training", "done": 250, "total": 500, "time": 0.0}
    for name in ("stopped", "running"):
        figures = {"loss": 0.125, "images_per_s": 1234.5, "seconds_left": 75.0}
        write_json(places[name].path / "progress.json", progress | figures)
    (places["stopped"].path / "checkpoint.pt").touch()
    write_json(places["failed"].failed, {"reason": "loss became nan at step 7; the last good checkpoint is kept"})
    with lock.hold(places["running"].lock):
        lines = cli("status").out.splitlines()
    rows = {line.split()[1]: " ".join(line.split()[2:]) for line in lines[:-1]}
    run, size = "digitslt cm (cm.w_div=1.0) seed", f"smoke {SMOKE.train.steps:,} steps"
    assert rows == {
        "waiting": f"{run} 0 {size}",
        "stopped": f"{run} 1 {size} training 250/500",
        "failed": f"{run} 2 {size} loss became nan at step 7; the last good checkpoint is kept",
        "running": f"{run} 3 {size} training 250/500 loss 0.1250 1,234 images/s 1 min 15 s left",
    }
    assert lines[-1] == "1 failed, 1 running, 1 stopped, 1 waiting"


def test_the_doctor_says_what_is_there(cli: Cli) -> None:
    got = cli("doctor")
    assert (got.code, got.err) == (0, "")
    findings = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in got.out.splitlines())
    assert findings["data folder"] == "/no/data"
    assert findings["dataset digitslt"] == "ready: 574 training images, 170 to 8 per class"
    assert findings["dataset cifar10lt"].startswith("cifar10lt is not prepared here (looked in /no/data). Run: ")
    assert findings["features efflite0@96"].startswith("ready ")
    assert findings["features inception"].startswith("no file /no/data/inception-2015-12-05.pt")


def test_show_method(cli: Cli) -> None:
    out = cli("show", "method", "cm").out
    assert out.startswith("cm: Capacity manipulation: low-rank capacity")
    assert re.search(r"\nfile: \S+/methods/cm\.py\n", out)
    assert "\n--set cm.w_div=0.2\n" in out


def test_show_dataset(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    out = cli("show", "dataset", "digitslt").out
    assert out.startswith("digitslt: 1,797 real 8x8 grey digits")
    assert out.endswith("preset: smoke\nimbalance: 20\n")
    monkeypatch.setattr(
        registry.datasets().load("digitslt"), "imbalance", None
    )  # as a dataset with its own tail has it
    assert cli("show", "dataset", "digitslt").out.endswith("\nimbalance: none\n")


def test_show_preset(cli: Cli) -> None:
    out = cli("show", "preset", "paper").out
    for line in ("--set train.steps=300000", "--set net.channels=128,256,256,256", "--set sample.omega=1.5"):
        assert f"\n{line}\n" in out


@pytest.mark.parametrize(
    "request_",
    [
        Request(["ddpm"], ["digitslt"]),
        Request(["cm+cbdm"], ["digitslt"], [3], "mini", ["cm.w_div=1", "cm.layers=all", "train.flip=true"]),
        Request(
            ["cb"],
            ["digitslt"],
            preset="paper",
            settings=["net.channels=8,16", "train.lr=1e-12", "sample.omega=0", "diffusion.timesteps=50"],
            features="efflite0@32",
        ),
    ],
)
def test_the_command_that_repeats_a_run_gives_its_ids(request_: Request, cli: Cli, tmp_path: Path) -> None:
    (job,) = plan(request_, tmp_path)
    out = cli(*command_line(job.run, job.eval)[1:], "--runs", tmp_path, "--dry-run").out
    assert f"({job.run.run_id}): starts " in out
    assert plan(request_, tmp_path)[0] == job


def test_show_run_prints_the_command_that_repeats_it(
    cli: Cli, tmp_path: Path, make_record: Callable[..., Record]
) -> None:
    (job,) = plan(Request(["cm"], ["digitslt"], [4], settings=["sample.omega=0.5", "cm.w_div=1"]), tmp_path / "runs")
    job.run_folder.create(job.run)
    record = make_record()
    Record(job.run, job.eval, record.scores, record.training, record.provenance, record.deviations).write(
        job.run_folder.result(job.eval.eval_id)
    )
    out = cli("show", "run", job.run.run_id[:5]).out
    assert "\ndone\n" in out
    assert f"digitslt cm (cm.w_div=1.0) seed 4 ({job.run.run_id}), scored in efflite0@96\n" in out
    command = re.search(r"^the same again: ltgen-bench (.*)$", out, re.MULTILINE)
    assert command
    assert cli(*shlex.split(command[1]), "--dry-run").out.startswith(
        f"digitslt cm seed 4 ({job.run.run_id}): done already\n"  # the same run and the same evaluation
    )


def test_an_unusable_plugin_dataset_is_named(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ltgen_bench.datasets

    (tmp_path / "broken.py").write_text("import nowhere\n\n\nclass Broken:\n    name = 'broken'\n")
    monkeypatch.setattr(ltgen_bench.datasets, "__path__", [*ltgen_bench.datasets.__path__, str(tmp_path)])
    got = cli("run", "--method", "cm", "--dataset", "broken")
    assert got.code == 2
    reason = "ModuleNotFoundError: No module named 'nowhere'"
    assert got.err == f"error: dataset 'broken' ({tmp_path}/broken.py) cannot be imported: {reason}\n"


def test_interrupting_the_planning_is_no_traceback(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("ltgen_bench.planning.plan.plan", interrupted)
    got = cli(*RUN.split())
    assert (got.code, got.out, got.err.strip()) == (130, "", "")


def test_a_cpu_trains_in_float32_unless_told_otherwise(tmp_path: Path) -> None:
    def precision(*settings: str) -> str:
        request = Request(
            ["ddpm"], ["digitslt"], preset="60k", settings=settings, features="efflite0@96", execution=Execution("cpu")
        )
        return plan(request, tmp_path)[0].run.train.precision

    assert PRESETS["60k"].train.precision == "bf16"
    assert precision() == "fp32"
    assert precision("train.precision=bf16") == "bf16"


def test_an_average_that_remembers_the_untrained_weights_is_said_before_the_work(cli, tmp_path):
    got = cli(*(RUN + "--set train.ema=0.999 --set train.steps=100 --dry-run").split(), "--runs", tmp_path)
    assert got.code == 0
    assert "with train.ema=0.999, 90% of the averaged weights are still the untrained ones after 100 steps" in got.out
    assert "untrained" not in cli(*(RUN + "--dry-run").split(), "--runs", tmp_path).out
