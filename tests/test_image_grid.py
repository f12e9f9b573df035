"""Pictures are drawn whatever the classes are called and the user's matplotlib is set to."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ltgen_bench.data import image_grid
from ltgen_bench.data.image_grid import class_label, drawable, save_extremes, save_grid
from ltgen_bench.data.images import Images
from ltgen_bench.data.long_tail import LongTail

ODD = (
    *("caf\udce9", "a\nb", "猫", "😀", "$x^2$", r"\alpha {", "", " ", "x" * 300, "\x00\x1b[31m"),
    *("קָטָן", "\u200b", "a\ud800b", "<b>&", "e\u0301"),
)


@pytest.mark.parametrize("names", [ODD[:10], ODD[5:]], ids=["first", "others"])
def test_every_name_can_be_drawn_without_a_warning(digits: LongTail, tmp_path: Path, names: tuple[str, ...]) -> None:
    data = dataclasses.replace(digits, class_names=names)
    few = digits.reference[::29]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_grid(few, data, tmp_path / "grid.png", title=f"title {''.join(names)}")
        save_extremes(few, np.arange(len(few)) / 10, data, tmp_path / "extremes.png")
    for file in ("grid.png", "extremes.png"):
        with Image.open(tmp_path / file) as image:
            assert min(image.size) > 100


def test_what_cannot_be_drawn_is_replaced(digits: LongTail) -> None:
    data = dataclasses.replace(digits, class_names=("猫", "caf\udce9", "café", "x" * 40, *"456789"))
    assert [class_label(data, c) for c in range(5)] == ["0: ?", "1: caf?", "café", f"3: {'x' * 29}…", "4"]
    assert drawable("a\nb · é") == "a?b · é"


@pytest.mark.parametrize(
    "settings",
    [
        {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
        {"MPLBACKEND": "nonsense"},
        {"MPLBACKEND": "TkAgg"},
        {"matplotlibrc": "text.usetex: True\nfont.family: No Such Font\nsavefig.format: pdf\nbackend: TkAgg\n"},
    ],
)
def test_settings_of_the_user_do_not_matter(tmp_path: Path, settings: dict[str, str]) -> None:
    if rc := settings.get("matplotlibrc"):
        (tmp_path / "matplotlibrc").write_text(rc)
    code = """
import sys, os
from pathlib import Path
from ltgen_bench.data.image_grid import save_grid
from ltgen_bench.runs.job import DataOptions
data = DataOptions().load("digitslt")
before = os.environ.get("MPLBACKEND")
save_grid(data.reference, data, Path("grid.png"), title="x")
assert "matplotlib.pyplot" not in sys.modules
assert os.environ.get("MPLBACKEND") == before
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=os.environ | settings, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")


def test_large_images_are_reduced(digits: LongTail, tmp_path: Path) -> None:
    pixels = np.zeros((40, 1200, 1200, 3), np.uint8)
    save_grid(Images(pixels, np.repeat(np.arange(10), 4)), digits, tmp_path / "grid.png", title="x")
    with Image.open(tmp_path / "grid.png") as image:
        assert max(image.size) < 4000


@pytest.mark.parametrize(("size", "shown"), [(1, 32), (8, 32), (12, 36), (28, 56), (32, 32), (100, 100), (200, 128)])
def test_small_images_are_enlarged_smoothly_and_others_kept(
    digits: LongTail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, shown: int
) -> None:
    drawn: list[np.ndarray] = []
    legends: list[str] = []
    draw = image_grid._draw

    def note(pixels: np.ndarray, rows: Any, title: str, legend: str) -> Any:
        drawn.append(pixels)
        legends.append(legend)
        return draw(pixels, rows, title, legend)

    monkeypatch.setattr(image_grid, "_draw", note)
    pixels = np.random.default_rng(0).integers(0, 256, (20, size, size, 3), np.uint8)
    save_grid(Images(pixels, np.repeat(np.arange(10), 2)), digits, tmp_path / "grid.png", title="x")
    assert drawn[0].shape == (20, shown, shown, 3)
    if size == shown:
        np.testing.assert_array_equal(drawn[0], pixels)
    assert (f"enlarged smoothly from {size}x{size}" in legends[0]) == (size < shown)
    if size == 8:  # not by nearest pixel
        assert len(np.unique(drawn[0][0, :4, :4], axis=0)) > 1
