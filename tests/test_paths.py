"""Paths on the command line and in the environment are what a user means by them."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ltgen_bench.cli.main import app
from ltgen_bench.cli.paths import as_path

Cli = Callable[..., Any]
RUN = ("run", "--method", "ddpm", "--dataset", "digitslt", "--dry-run")


def test_every_path_option_is_of_the_one_type() -> None:
    found = 0
    for command in app.registered_commands:
        assert command.callback is not None
        for name, hint in typing.get_type_hints(command.callback, include_extras=True).items():
            kind, *extras = typing.get_args(hint) if typing.get_origin(hint) is typing.Annotated else (hint,)
            if kind is Path or Path in typing.get_args(kind):
                assert [extra.parser for extra in extras], f"{command.callback.__name__}: {name}"
                assert inspect.getmodule(extras[0].parser) is inspect.getmodule(as_path)
                found += 1
    assert found > 20


@pytest.mark.parametrize(
    "words",
    [
        (*RUN, "--runs", ""),
        (*RUN, "--data-dir", ""),
        (*RUN, "--data", " "),
        ("prepare", "cifar10lt", "--from", ""),
        ("score", "--samples", "", "--dataset", "digitslt"),
        ("leaderboard", "--csv", ""),
        ("leaderboard", "--folder", ""),
        ("export", "3f2a", ""),
        (*RUN, "--features-weights", ""),
    ],
)
def test_an_empty_path_is_refused(
    cli: Cli, words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    got = cli(*words)
    assert (got.code, got.out) == (2, "")
    assert got.err.endswith(": the path is empty; name one, or leave the option out\n")
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_cannot_exist_is_refused(cli: Cli) -> None:
    got = cli(*RUN, "--data", "x" * 300)
    assert (got.code, got.out) == (2, "")
    assert got.err == f"error: --data: {'x' * 300} cannot be used: File name too long\n"


def test_the_home_folder_is_meant_by_a_tilde(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cli("list", "runs", "--runs=~/my runs").out == f"runs\nno runs in {tmp_path}/my runs\n"
    monkeypatch.setenv("LTGEN_RUNS", "~/others")
    assert cli("list", "runs").out == f"runs\nno runs in {tmp_path}/others\n"
    monkeypatch.setenv("LTGEN_DATA", "~/data")
    assert f"(looked in {tmp_path}/data)" in cli("run", "--method", "ddpm", "--dataset", "cifar10lt").err
    got = cli("list", "runs", "--runs", "~no-such-user/x")
    assert (got.code, got.out) == (2, "")
    assert got.err.startswith("error: --runs (or LTGEN_RUNS): ~no-such-user/x cannot be used: ")


def test_a_variable_that_is_empty_is_none(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTGEN_RUNS", "")
    assert cli("list", "runs").out == "runs\nno runs in runs\n"


def test_a_file_is_no_folder_and_a_folder_no_file(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.touch()
    for words in (("list", "runs", "--runs", file), (*RUN, "--data-dir", file), ("leaderboard", "--folder", file)):
        got = cli(*words)
        assert (got.code, got.out) == (2, "")
        assert got.err.endswith(f": {file} is a file; name a folder\n")
    monkeypatch.setenv("LTGEN_DATA", str(file))
    assert cli(*RUN).err == f"error: --data-dir (or LTGEN_DATA): {file} is a file; name a folder\n"
    monkeypatch.delenv("LTGEN_DATA")
    for words in ((*RUN, "--features-weights", tmp_path), ("leaderboard", "--csv", tmp_path)):
        assert cli(*words).err.endswith(f": {tmp_path} is a folder; name a file\n")


def test_a_name_that_no_file_can_have_is_a_sentence(cli: Cli) -> None:
    got = cli("list", "runs", "--runs", "x" * 5000)
    assert got.code in (0, 2)
    assert "Traceback" not in got.err
    assert cli(*RUN, "--features-weights", "x" * 5000).code == 2


def test_paths_that_workers_use_hold_in_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ltgen_bench.cli import options

    monkeypatch.chdir(tmp_path)
    for kind in (options.Data, options.Reference, options.DataDir, options.FeaturesWeights):
        assert typing.get_args(kind)[1].parser("x") == tmp_path / "x"
