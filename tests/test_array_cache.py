"""What is kept between runs: typed statistics in files of plain arrays."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ltgen_bench.scoring.pack import cached_dataclass, pack, unpack


@dataclass(frozen=True)
class Inner:
    values: Tensor
    n: int


@dataclass(frozen=True)
class Outer:
    scale: float
    parts: dict[int, Inner]
    other: Inner | None
    named: dict[str, Tensor]


OUTER = Outer(0.5, {3: Inner(torch.arange(4.0), 4), 7: Inner(torch.zeros(0), 0)}, None, {})


def test_what_was_packed_is_unpacked_with_its_types(tmp_path: Path) -> None:
    back = unpack(Outer, pack(OUTER))
    assert (back.scale, back.other, back.named, list(back.parts)) == (0.5, None, {}, [3, 7])
    assert (back.parts[3].n, back.parts[7].values.shape) == (4, (0,))
    assert torch.equal(back.parts[3].values, torch.arange(4.0))
    cached_dataclass(Outer, tmp_path / "a.npz", lambda: OUTER)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert set(file) == {"scale", "parts/3/values", "parts/3/n", "parts/7/values", "parts/7/n"}


def test_a_file_of_another_layout_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    cached_dataclass(Inner, path, lambda: OUTER.parts[3])
    assert cached_dataclass(Outer, path, lambda: OUTER) is OUTER
    assert cached_dataclass(Outer, path, lambda: pytest.fail("is there")).scale == 0.5


def test_a_folder_that_cannot_be_written_to_is_read_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached_dataclass(Inner, tmp_path / "a.npz", lambda: OUTER.parts[3])
    monkeypatch.setattr(os, "access", lambda *_: False)  # a superuser may write anywhere
    assert cached_dataclass(Inner, tmp_path / "a.npz", lambda: pytest.fail("is there")).n == 4
    assert cached_dataclass(Inner, tmp_path / "b.npz", lambda: OUTER.parts[7]).n == 0
    (tmp_path / "file").touch()
    assert cached_dataclass(Inner, tmp_path / "file" / "c.npz", lambda: OUTER.parts[7]).n == 0
    assert {path.name for path in tmp_path.iterdir()} == {"a.npz", "file"}


def test_a_lock_that_was_lost_meanwhile_costs_the_file_alone(tmp_path: Path) -> None:
    """As that of a process which was suspended while it computed."""

    def make() -> Inner:
        (tmp_path / "a.lock").write_text(json.dumps({"host": "elsewhere", "pid": 1, "token": "another"}))
        return OUTER.parts[3]

    assert cached_dataclass(Inner, tmp_path / "a.npz", make).n == 4
    assert not (tmp_path / "a.npz").exists()  # that is for the other to write
