"""Identity: what is in a run's and a score's id, and what is not; reading settings from JSON and the command line."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from ltgen_bench import ROOT
from ltgen_bench.errors import UsageError, unknown
from ltgen_bench.runs.job import DataOptions, Execution, Job
from ltgen_bench.runs.record import Record
from ltgen_bench.runs.run_folder import RunFolder
from ltgen_bench.spec.presets import PRESETS
from ltgen_bench.spec.serialise import coerce, digest, from_json, identity, override, to_json
from ltgen_bench.spec.specs import (
    DatasetSpec,
    DiffusionSpec,
    EvalSpec,
    MethodSpec,
    NetSpec,
    RunSpec,
    SamplingSpec,
    TrainSpec,
)
from ltgen_bench.training.method import Method
from ltgen_bench.training.stack import build_stack, describe

DATA = DatasetSpec("digitslt", 1, 20.0, 8, 1, (170, 8), "aa", "bb", "cc")
RUN = RunSpec(
    preset="smoke",
    dataset=DATA,
    methods=(MethodSpec("cm", 1, {"w_div": 0.2, "layers": "up"}), MethodSpec("cbdm", 1, {"tau": 1.0})),
    net=NetSpec(channels=(32, 64), layers=1),
    train=TrainSpec(steps=800),
    diffusion=DiffusionSpec(),
    seed=0,
)
EVAL = EvalSpec("efflite0@96", "dd", "cc", {"majority": [0], "minority": [1]}, 1, SamplingSpec(500))


PAPER = dataclasses.replace(RUN, methods=(MethodSpec("ddpm", 1, {}),), net=NetSpec(), train=TrainSpec(), seed=3)
RECORDS = sorted((ROOT / "leaderboards" / "results").glob("*/*/*.json"))


def test_ids_are_pinned() -> None:
    # When this fails, the meaning of every published result is at stake: did you mean to change what identifies a run?
    assert (RUN.run_id, RUN.config_id, EVAL.eval_id) == ("ec649f6aadcd", "e95116ff5009", "66d4ee9ef61b")
    inception = EvalSpec("inception", "ee", "cc", {"majority": [0], "minority": [1]}, 2, SamplingSpec())
    assert (PAPER.run_id, PAPER.config_id, inception.eval_id) == ("a8cd3d6633c3", "463b80c826cd", "5e6fc5380fd3")


def test_runs_of_protocol_1_keep_their_ids() -> None:
    narrow = dataclasses.replace(RUN, protocol=1, net=dataclasses.replace(RUN.net, groups=32))
    assert (narrow.run_id, narrow.config_id) == ("bc88dd02ebd3", "d1b5f8ad3593")
    paper = dataclasses.replace(PAPER, protocol=1)
    assert (paper.run_id, paper.config_id) == ("156d1b847c1e", "46041548da15")


def test_a_field_that_was_added_later_changes_nothing_that_was_there() -> None:
    value = to_json(dataclasses.replace(RUN, protocol=1, net=dataclasses.replace(RUN.net, groups=32)))
    del value["net"]["groups"]
    assert from_json(RunSpec, value).net.groups == 32
    assert from_json(RunSpec, value).run_id == "bc88dd02ebd3"
    sampling = {"images": 500, "sampler": "ddim", "steps": 50, "omega": 1.5}
    assert from_json(SamplingSpec, sampling) == SamplingSpec(500)
    assert identity(SamplingSpec(500)) == sampling
    assert identity(SamplingSpec(500, clip=True)) == sampling | {"clip": True}
    assert identity(SamplingSpec(500, omega_minority=2, omega_interval=(0, 0.5))) == sampling | {
        "omega_minority": 2.0,
        "omega_interval": [0.0, 0.5],
    }
    folder = RunFolder(Path())
    assert str(folder.samples(SamplingSpec())) == "samples-d3e2275d5111.npz"
    assert folder.samples(SamplingSpec()) != folder.samples(SamplingSpec(clip=True))


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_every_published_record_is_read_with_the_ids_it_has(path: Path) -> None:
    record = Record.read(path)  # verifies the ids that it holds
    assert path.stem == f"{record.run_id}-{record.eval_id}"
    assert isinstance(record.run, RunSpec)
    if record.run.protocol == 1:
        assert record.run.net.groups == 32


def test_a_run_says_how_many_groups_its_network_has() -> None:
    for channels, groups in {
        (32, 64): 8,
        (8,): 2,
        (16, 16): 4,
        (64, 96): 16,
        (48,): 12,
        (128, 256): 32,
        (4,): 1,
    }.items():
        run = dataclasses.replace(RUN, net=NetSpec(channels=channels))
        assert run.net.groups == groups
        assert dataclasses.replace(RUN, net=NetSpec(channels=channels, groups=groups)).run_id == run.run_id
    assert dataclasses.replace(RUN, net=NetSpec(groups=16)).run_id != dataclasses.replace(RUN, net=NetSpec()).run_id


def test_the_seed_is_in_the_run_id_but_not_in_the_config_id() -> None:
    other = dataclasses.replace(RUN, seed=1)
    assert other.run_id != RUN.run_id
    assert other.config_id == RUN.config_id


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": dataclasses.replace(DATA, split_sha256="other")},
        {"methods": (MethodSpec("cm", 2, {"w_div": 0.2, "layers": "up"}), MethodSpec("cbdm", 1, {"tau": 1.0}))},
        {"methods": (MethodSpec("cm", 1, {"w_div": 0.3, "layers": "up"}), MethodSpec("cbdm", 1, {"tau": 1.0}))},
        {"net": NetSpec(channels=(32, 64), layers=2)},
        {"train": TrainSpec(steps=801)},
        {"diffusion": DiffusionSpec(timesteps=500)},
        {"protocol": 3},
    ],
)
def test_whatever_changes_a_number_changes_both_ids(changes: dict[str, Any]) -> None:
    other = dataclasses.replace(RUN, **changes)
    assert other.run_id != RUN.run_id
    assert other.config_id != RUN.config_id


def test_names_for_values_are_not_hashed() -> None:
    marked = tuple(dataclasses.replace(m, changed=tuple(m.params)) for m in RUN.methods)
    assert dataclasses.replace(RUN, preset="mini", methods=marked).run_id == RUN.run_id


def test_equal_settings_have_equal_ids() -> None:
    whole_numbers = dataclasses.replace(
        RUN, dataset=dataclasses.replace(DATA, imbalance=20), train=TrainSpec(800, ema=0)
    )
    floats = dataclasses.replace(RUN, train=TrainSpec(800, ema=-0.0))
    assert whole_numbers.run_id == floats.run_id
    assert dataclasses.replace(EVAL, sample=SamplingSpec(500, omega=2)).eval_id == (
        dataclasses.replace(EVAL, sample=SamplingSpec(500, omega=2.0)).eval_id
    )
    lists = dataclasses.replace(RUN, net=NetSpec(channels=[32, 64], layers=1))  # type: ignore[arg-type]
    assert lists.run_id == RUN.run_id
    reordered = {"layers": "up", "w_div": 0.2}
    assert dataclasses.replace(RUN, methods=(MethodSpec("cm", 1, reordered), RUN.methods[1])).run_id == RUN.run_id


def test_a_hyper_parameter_counts_the_same_typed_or_by_default() -> None:
    class Careless(Method):
        name = "careless"
        scale: float = 2  # an integer where the type says float

    typed = override(Careless(), {"scale": "2"}, "careless")
    assert json.dumps(to_json(describe(typed))) == json.dumps(to_json(describe(Careless())))
    assert describe(Careless()).params == {"scale": 2.0}
    assert describe(override(Careless(), {"scale": "3"}, "careless")).changed == ("scale",)


def test_digest_refuses_nan() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest({"omega": float("nan")})


def test_specs_survive_being_written_and_read(make_record: Callable[..., Record]) -> None:
    data = DataOptions(imbalance=None, data="/photos", max_size=16)
    job = Job("/runs/x", RUN, EVAL, data, Execution("cpu", checkpoint_seconds=0.5))
    assert Job.from_json(json.loads(json.dumps(job.to_json()))) == job
    assert Job.from_json(dataclasses.replace(job, data=DataOptions()).to_json()).data.imbalance == "default"
    record = make_record("cm", params={"w_div": 1.0})
    assert from_json(Record, json.loads(json.dumps(to_json(record)))) == record
    stack = build_stack(describe(m) for m in build_stack([MethodSpec("cm", 1, {"layers": "all"})]).methods)
    assert stack.methods[0].layers == "all"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("1_000", int, 1000),
        (2, float, 2.0),
        ("1e-3", float, 0.001),
        ("False", bool, False),
        ("yes", bool, True),
        ("32,64", tuple[int, ...], (32, 64)),
        ([32, 64], tuple[int, ...], (32, 64)),
        ("none", float | None, None),
        ("none", int | str, "none"),
        ("7", int | str, 7),
        ("ddim", Literal["ddim", "ddpm"], "ddim"),
    ],
)
def test_values_are_read_as_their_fields_say(value: object, kind: Any, expected: object) -> None:
    got = coerce(value, kind, "x")
    assert got == expected
    assert type(got) is type(expected)


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ("many", int, "x must be a whole number, not 'many'"),
        (2.5, int, "x must be a whole number, not 2.5"),
        (True, int, "x must be a whole number, not True"),
        ("nan", float, "x must be a number, not 'nan'"),
        ("1e999", float, "x must be a number, not '1e999'"),
        ("maybe", bool, "x must be true or false, not 'maybe'"),
        ("32,wide", tuple[int, ...], "x must be a whole number, not 'wide'"),
        (5, tuple[int, ...], "x must be a comma-separated list of whole numbers, not 5"),
        (5, str, "x must be text, not 5"),
        ("fp61", Literal["fp32", "bf16"], "unknown value 'fp61' in x. Did you mean 'fp32'? Known: bf16, fp32"),
    ],
)
def test_wrong_values_are_refused_in_a_sentence(value: object, kind: Any, message: str) -> None:
    with pytest.raises(UsageError) as error:
        coerce(value, kind, "x")
    assert str(error.value) == message


def test_unknown_settings_are_named_with_the_near_miss() -> None:
    with pytest.raises(UsageError, match=r"unknown setting 'train\.stesp' in --set\. Did you mean 'train\.steps'\?"):
        override(TrainSpec(), {"stesp": "5"}, "train")
    with pytest.raises(UsageError, match=r"--set train\.steps must be a whole number, not 'five'"):
        override(TrainSpec(), {"steps": "five"}, "train")


def test_json_of_another_shape_is_refused() -> None:
    value = to_json(RUN)
    with pytest.raises(UsageError, match=r"spec\.json lacks the field 'seed'"):
        from_json(RunSpec, {k: v for k, v in value.items() if k != "seed"}, "spec.json")
    with pytest.raises(UsageError, match=r"unknown field 'sed' in spec\.json\. Did you mean 'seed'\?"):
        from_json(RunSpec, value | {"sed": 1}, "spec.json")
    with pytest.raises(UsageError, match=r"spec\.json\.train must be an object of TrainSpec's fields, not 5"):
        from_json(RunSpec, value | {"train": 5}, "spec.json")
    with pytest.raises(UsageError, match=r"spec\.json\.seed must be a whole number, not 'one'"):
        from_json(RunSpec, value | {"seed": "one"}, "spec.json")


def test_far_misses_get_no_suggestion() -> None:
    message = "unknown method 'xyz' in --method xyz. Known: cbdm, cm"
    assert str(unknown("method", "xyz", ["cm", "cbdm"], "--method xyz")) == message


@pytest.mark.parametrize("name", PRESETS)
def test_the_averaged_weights_of_a_preset_have_forgotten_the_start(name):
    """At mini, 5 % of untrained weights made the Fréchet distance of ddpm on digits 417 in place of 57."""
    train = PRESETS[name].train
    assert train.ema**train.steps < 0.01
