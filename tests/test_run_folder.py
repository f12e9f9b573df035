"""Run folders: states, files that are whole or not there, and results that cannot be trusted."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ltgen_bench.errors import UsageError
from ltgen_bench.leaderboard.frame import figures
from ltgen_bench.leaderboard.pages.of_dataset import build
from ltgen_bench.leaderboard.text import pull_text, score_text
from ltgen_bench.runs.record import BadRecord, Record, read_records
from ltgen_bench.runs.run_folder import RunFolder, find_run, run_folders
from ltgen_bench.spec.specs import SamplingSpec
from ltgen_bench.storage import lock
from ltgen_bench.storage.atomic_files import atomic_write, read_json, write_json

MakeRecord = Callable[..., Record]


@pytest.fixture
def record(make_record: MakeRecord) -> Record:
    return make_record("cm+cbdm", 12.0)


@pytest.fixture
def run_folder(tmp_path: Path, record: Record) -> RunFolder:
    """A run folder on which nobody has worked yet."""
    made = RunFolder.of(tmp_path, record.run)
    made.create(record.run)
    return made


# States


def test_a_run_goes_from_waiting_to_done(run_folder: RunFolder, record: Record) -> None:
    eval_id = record.eval_id
    assert (run_folder.state(), run_folder.state(eval_id)) == ("waiting", "waiting")
    with lock.hold(run_folder.lock):
        assert (run_folder.state(), run_folder.state(eval_id)) == ("running", "running")
    (run_folder.path / "checkpoint-previous.pt").touch()
    assert (run_folder.state(), run_folder.state(eval_id)) == ("stopped", "stopped")
    write_json(run_folder.failed, {"reason": "loss became nan at step 3"})
    assert (run_folder.state(), run_folder.state(eval_id)) == ("failed", "failed")
    assert run_folder.why_failed() == "loss became nan at step 3"
    run_folder.failed.unlink()
    run_folder.model.mkdir()
    assert run_folder.state(eval_id) == "stopped"
    record.write(run_folder.result(eval_id))
    assert (run_folder.state(), run_folder.state(eval_id)) == ("done", "done")
    assert run_folder.state("another eval") == "stopped"


def test_a_dead_worker_leaves_a_stopped_run(run_folder: RunFolder) -> None:
    (run_folder.path / "checkpoint.pt").touch()
    with subprocess.Popen([sys.executable, "-c", ""]) as worker:
        pass
    theirs = {"host": socket.gethostname(), "pid": worker.pid, "token": "theirs"}
    run_folder.lock.write_text(json.dumps(theirs))
    assert run_folder.state() == "stopped"


def test_a_damaged_or_foreign_result_is_not_done(
    run_folder: RunFolder, record: Record, make_record: MakeRecord
) -> None:
    path = run_folder.result(record.eval_id)
    path.write_text('{"half')
    assert run_folder.state(record.eval_id) == "waiting"
    make_record("cb").write(path)
    assert run_folder.state(record.eval_id) == "waiting"
    make_record("cm+cbdm", sample={"omega": 0.0}).write(path)
    assert run_folder.state(record.eval_id) == "waiting"


def test_damaged_progress_and_failure_notes_say_nothing(run_folder: RunFolder) -> None:
    for text in ("{", "[]", '{"stage": "training"}', "\xff"):
        (run_folder.path / "progress.json").write_text(text, encoding="latin-1")
        run_folder.failed.write_text(text, encoding="latin-1")
        assert run_folder.progress() == {}
        assert run_folder.why_failed() == f"see {run_folder.log}"


def test_creating_a_run_again_keeps_it_and_clears_what_a_killed_worker_left(
    run_folder: RunFolder, record: Record
) -> None:
    before = (run_folder.path / "spec.json").read_bytes()
    (run_folder.path / ".model.1a2b.part").mkdir()
    (run_folder.path / ".model.1a2b.part" / ".config.json.part").touch()
    (run_folder.path / "samples-1").mkdir()
    (run_folder.path / "samples-1" / ".0000000.npz.3c4d.part").touch()
    run_folder.create(record.run)
    assert (run_folder.path / "spec.json").read_bytes() == before
    assert sorted(p.name for p in run_folder.path.rglob("*")) == ["samples-1", "spec.json"]


@pytest.mark.parametrize("damage", ["{", "{}", "null", ""])
def test_a_damaged_spec_is_named_and_written_again(run_folder: RunFolder, record: Record, damage: str) -> None:
    path = run_folder.path / "spec.json"
    before = path.read_bytes()
    run_folder.code_file.write_text('{"method cm": "a"}')
    path.write_text(damage)
    with pytest.raises(UsageError, match=r"spec\.json .*; the command that made the run writes it again"):
        assert run_folder.spec
    with pytest.raises(UsageError, match="method cm: the code has been edited"):
        run_folder.create(record.run, {"method cm": "b"})
    run_folder.create(record.run, {"method cm": "a"})
    assert path.read_bytes() == before


def test_a_folder_with_a_foreign_spec_is_not_used(
    run_folder: RunFolder, record: Record, make_record: MakeRecord
) -> None:
    run_folder.spec_file.unlink()
    other = make_record("cb").run
    run_folder.create(other)
    with pytest.raises(UsageError, match=rf"spec\.json is of another run, {other.run_id}; move the folder away"):
        run_folder.create(record.run)


def test_the_code_of_a_run_is_noted_when_it_begins(run_folder: RunFolder, record: Record) -> None:
    """A run from before there were fingerprints has none, later too; of a later sampler they are added."""
    run_folder.create(record.run, {"method cm": "a"})
    assert run_folder.code == {}
    run_folder.spec_file.unlink()
    run_folder.create(record.run, {"method cm": "a", "sampler ddim": "b"})
    run_folder.create(record.run, {"method cm": "a", "sampler ddpm": "c"})
    assert run_folder.code == {"method cm": "a", "sampler ddim": "b", "sampler ddpm": "c"}
    for other in ({"method cm": "b"}, {"sampler ddpm": "d"}):
        with pytest.raises(UsageError, match=r"the code has been edited since run \w+ was begun; raise its `version`"):
            run_folder.create(record.run, other)
    assert run_folder.code == {"method cm": "a", "sampler ddim": "b", "sampler ddpm": "c"}


def test_samples_of_different_settings_have_different_files(run_folder: RunFolder) -> None:
    assert run_folder.samples(SamplingSpec(omega=0.0)) != run_folder.samples(SamplingSpec(omega=1.5))
    assert run_folder.grid(SamplingSpec()).suffix == ".png"


def test_runs_are_found_by_the_start_of_their_id_or_by_folder(
    run_folder: RunFolder, tmp_path: Path, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = run_folder.path.name
    assert find_run(tmp_path, run_id[:4]).path == run_folder.path
    assert find_run(tmp_path / "elsewhere", str(run_folder.path)).path == run_folder.path
    monkeypatch.chdir(run_folder.path)
    assert find_run(tmp_path, ".").path == run_folder.path
    with pytest.raises(UsageError, match=r"no run 'ffff' in \S+\. Run: ltgen-bench list runs"):
        find_run(tmp_path, "ffff")
    records = [make_record("cb", seed=seed) for seed in range(17)]  # two of them share their first digit
    for record in records:
        RunFolder.of(tmp_path, record.run).create(record.run)
    assert len(run_folders(tmp_path)) == 18
    digits = [record.run_id[0] for record in records]
    shared = next(d for d in digits if digits.count(d) > 1)
    with pytest.raises(UsageError, match=rf"'{shared}' fits \d+ runs: .*; give more of the id"):
        find_run(tmp_path, shared)


# Files


def test_a_file_is_replaced_only_when_all_went_well(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    with atomic_write(path) as file:
        file.write(b"first")

    def fail() -> None:
        with atomic_write(path) as file:
            file.write(b"second, unfini")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_bytes() == b"first"
    assert list(path.parent.iterdir()) == [path]


def test_a_crash_before_the_rename_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"a": 1})

    def crash(source: Path, target: Path) -> None:
        assert json.loads(source.read_bytes()) == {"a": 2}  # the new one is whole before it takes the place
        raise SystemExit("killed")

    monkeypatch.setattr("ltgen_bench.storage.atomic_files.os.replace", crash)
    with pytest.raises(SystemExit):
        write_json(path, {"a": 2})
    assert read_json(path) == {"a": 1}


def test_json_is_strict(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert list(tmp_path.iterdir()) == []
    for text in ('{"a": NaN}', "{", "", "[" * 100_000):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"file\.json is not valid JSON"):
            read_json(path)
    with pytest.raises(ValueError, match=rf"{tmp_path} cannot be read: Is a directory"):
        read_json(tmp_path)


# Records


def test_a_record_survives_being_written_and_read(run_folder: RunFolder, record: Record) -> None:
    path = run_folder.result(record.eval_id)
    record.write(path)
    assert Record.read(path) == record
    assert path.stat().st_size < 10_000
    head = list(json.loads(path.read_text()).items())[:4]
    assert head[1:] == [
        ("run_id", record.run_id),
        ("config_id", record.run.config_id),
        ("eval_id", record.eval_id),
    ]


def damage(value: Any, *keys: str, to: Any) -> str:
    """The JSON text of a value in which one thing deep inside is another."""
    inner = value
    for key in keys[:-1]:
        inner = inner[key]
    if to is ...:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = to
    return json.dumps(value)


FD = ("scores", "FD-efflite0@96")


@pytest.mark.parametrize(
    ("keys", "to", "reason"),
    [
        (("schema",), 2, r"is not a result file of schema 1"),
        (("run_id",), "0" * 12, r"run_id is '0{12}', but its contents give '\w{12}'"),
        (("run", "seed"), 5, r"run_id is '\w{12}', but its contents give '\w{12}'"),
        (("eval", "sample", "omega"), 0.0, r"eval_id is '\w{12}', but its contents give '\w{12}'"),
        (("run", "train", "steps"), "many", r"\.run\.train\.steps must be a whole number, not 'many'"),
        (("run",), None, r"\.run must be an object of RunSpec's fields, not None"),
        (("eval", "metrics"), {}, r"\.eval\.metrics must be a list of objects of MetricSpec's fields, not \{\}"),
        (("eval", "groups"), "9" * 99, r"\.eval\.groups must be an object, not '9{59}\.\.\.$"),
        (("run", "methods"), [{"name": "cm"}], r"\.run\.methods lacks the field 'version'"),
        ((*FD, "overall", "value"), None, r"FD-efflite0@96 of overall has no value"),
        ((*FD, "overall", "value"), float("nan"), r"is not valid JSON: NaN is not a JSON number"),
        ((*FD, "overall", "se"), float("inf"), r"is not valid JSON: Infinity is not a JSON number"),
        ((*FD, "minority"), 5, r"FD-efflite0@96 of minority has no value"),
        (FD, 5, r"FD-efflite0@96 holds no groups"),
        ((*FD, "overall", "value"), True, r"FD-efflite0@96 of overall has no value"),
        ((*FD, "overall", "value"), "5", r"FD-efflite0@96 of overall has no value"),
        ((*FD, "overall", "value"), 10**400, r"value of FD-efflite0@96 overall is not a number up to 1e\+100"),
        ((*FD, "overall", "value"), 1e308, r"value of FD-efflite0@96 overall is not a number up to 1e\+100"),
        ((*FD, "overall", "flag"), "labels?", r"ceiling of FD-efflite0@96 overall is missing"),
        ((*FD, "overall", "n_gen"), None, r"n_gen of FD-efflite0@96 overall must be a whole number, not None"),
        ((*FD, "overall", "n_gen"), "100", r"n_gen of FD-efflite0@96 overall must be a whole number, not '100'"),
        ((*FD, "overall", "n_real"), 0.5, r"n_real of FD-efflite0@96 overall must be a whole number, not 0\.5"),
        ((*FD, "overall", "flag"), {"{": 1}, r"flag of FD-efflite0@96 overall must be text, not {'{': 1}"),
        (
            ("scores", "memorised-efflite0@96"),
            {"overall": {"value": 0.5, "flag": "memorised"}},
            r"unseen of memorised-efflite0@96 overall is missing",
        ),
        (
            ("scores", "class-pull-efflite0@96"),
            {"0": {"value": 0.5, "within_group": 0.5}},
            r"class of class-pull-efflite0@96 0 is missing",
        ),
        (
            ("scores", "class-pull-efflite0@96"),
            {"cat": {"value": 0.5, "within_group": 0.5, "class": "cat"}},
            r"class-pull-efflite0@96 is of classes by number, not of 'cat'",
        ),
        (("training", "alarm_steps"), {"grad": "often"}, r"alarm_steps in training must be of another type, not"),
        (("training", "seconds"), 10**400, r"seconds in training is not a number up to 1e\+100"),
        (("provenance", "code"), 5, r"code in provenance must be of another type, not 5"),
        (("provenance", "dirty"), "no", r"dirty in provenance must be true or false, not 'no'"),
        (("deviations",), {"cm": 5}, r"deviations must be texts"),
    ],
)
def test_a_damaged_record_is_refused_with_the_reason(
    tmp_path: Path, record: Record, keys: tuple[str, ...], to: Any, reason: str
) -> None:
    path = tmp_path / "result.json"
    record.write(path)
    path.write_text(damage(json.loads(path.read_text()), *keys, to=to))
    with pytest.raises(BadRecord, match=rf"{path}.*{reason}"):
        Record.read(path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"data": {"class_counts": ()}}, "the dataset has no classes"),
        ({"data": {"name": "../digitslt"}}, "'../digitslt' is no name of a method or dataset"),
        ({"method": "cm\n"}, r"'cm\\n' is no name of a method or dataset"),
    ],
)
def test_a_record_whose_ids_are_right_may_be_refused_too(
    tmp_path: Path, make_record: MakeRecord, changes: dict[str, Any], reason: str
) -> None:
    path = tmp_path / "result.json"
    make_record(**changes).write(path)
    with pytest.raises(BadRecord, match=rf"{path}: {reason}"):
        Record.read(path)


def test_parameters_that_are_called_changed_must_be_there(tmp_path: Path, make_record: MakeRecord) -> None:
    path = tmp_path / "result.json"
    record = make_record(params={"w": 1.0})
    record.write(path)
    value = json.loads(path.read_text())
    value["run"]["methods"][0]["changed"] = ["w", "v"]  # not in the ids
    path.write_text(json.dumps(value))
    with pytest.raises(BadRecord, match="ddpm has no parameter 'v'"):
        Record.read(path)


def test_one_odd_record_takes_no_page_down(tmp_path: Path, make_record: MakeRecord) -> None:
    """Whatever single value in it is another: it is read and shown, or left out by name."""
    folder = tmp_path / "results" / "digitslt" / "ddpm"
    folder.mkdir(parents=True)
    make_record("cb").write(folder / "whole.json")
    odd = folder / "odd.json"
    make_record(flag="n<d", memorised="minority", params={"w": 1.0}).write(odd)
    whole = json.loads(odd.read_text())

    def places(value: Any, *keys: Any) -> list[tuple[Any, ...]]:
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        return [keys, *(place for key, item in inner for place in places(item, *keys, key))]

    for keys in places(whole)[1:]:
        for to in (None, "100", 10**400, [], ...):
            text = damage(json.loads(json.dumps(whole)), *keys, to=to)
            for _ in range(4):  # its ids are made right, as if somebody had written it so
                odd.write_text(text)
                records, problems = read_records(tmp_path, "**/*.json")
                assert len(records) + len(problems) == 2
                assert not any(problem.startswith(str(folder / "whole")) for problem in problems)
                if not (wrong := re.search(r": (\w+_id) is .*, but its contents give '(\w+)'", "".join(problems))):
                    break
                text = json.dumps(json.loads(text) | {wrong[1]: wrong[2]})
            else:
                raise AssertionError(problems)
            assert build(records)["digitslt"]
            figures(records)
            for record in records:
                assert score_text(record)
                assert pull_text(record) == ""


def test_figures_beyond_all_floats_are_refused(tmp_path: Path, record: Record) -> None:
    path = tmp_path / "result.json"
    record.write(path)
    path.write_text(path.read_text().replace('"value": 12.0', '"value": 1e999', 1))
    with pytest.raises(BadRecord, match=r"value of FD-efflite0@96 overall is not a number up to 1e\+100"):
        Record.read(path)


def test_bad_and_doubled_files_are_left_out_and_named(tmp_path: Path, record: Record) -> None:
    record.write(tmp_path / "a.json")
    (tmp_path / "b.json").write_text("\xff", encoding="latin-1")
    record.write(tmp_path / "c.json")
    (tmp_path / "d.json").symlink_to("nowhere")
    records, problems = read_records(tmp_path, "*.json")
    assert records == [record]
    assert [p.split(" ")[0] for p in problems] == [str(tmp_path / "b.json"), str(tmp_path / "c.json"), "[Errno"]
    assert problems[1] == f"{tmp_path}/c.json is of the same run and evaluation as {tmp_path}/a.json"


def test_status_names_damaged_files_and_still_lists_the_rest(
    run_folder: RunFolder, record: Record, make_record: MakeRecord, cli: Callable[..., Any]
) -> None:
    runs = run_folder.path.parents[2]
    record.write(run_folder.result(record.eval_id))
    broken, lost = (RunFolder.of(runs, make_record("cb", seed=seed).run) for seed in (1, 2))
    broken.create(make_record("cb", seed=1).run)
    broken.result("0" * 12).write_text("{}")
    lost.create(make_record("cb", seed=2).run)
    (lost.path / "spec.json").write_text("{")
    (broken.path / "progress.json").write_text("{}")
    got = cli("status", "--runs", runs)
    assert got.code == 1
    first, second, last = got.out.splitlines()
    assert first.startswith(f"{broken.path.name}  waiting  digitslt  cb       seed 1")
    assert second.startswith(f"{run_folder.path.name}  done     digitslt  cm+cbdm  seed 0")
    assert last == "1 done, 1 waiting"
    assert f"left out: {broken.path}/result-000000000000.json is not a result file of schema 1\n" in got.err
    assert f"left out: {lost.path}/spec.json is not valid JSON: " in got.err
