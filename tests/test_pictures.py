"""Pictures are made of the records alone, the same each time, and say when they are out of date."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from drawn_records import publish_all, records_of, with_classes
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ltgen_bench.leaderboard.dataset_page import dataset_pages
from ltgen_bench.leaderboard.kept import Kept, record_path
from ltgen_bench.leaderboard.pages.of_dataset import build
from ltgen_bench.leaderboard.pictures import style
from ltgen_bench.leaderboard.pictures.of_page import pictures_of
from ltgen_bench.leaderboard.pictures.picture import MADE_OF, PIXELS, Picture, PictureFile, _digest_of_pixels, made_of
from ltgen_bench.runs.record import Record

MakeRecord = Callable[..., Record]
Cli = Callable[..., Any]
KINDS = {"trade-off", "differences", "classes", "samples", "guidance", "steps", "losses"}


def pictures(records: list[Record], folder: Path) -> dict[str, Picture]:
    """Of the first section, by kind."""
    (page,) = dataset_pages(records)
    found = pictures_of(page, Kept(folder))[page.sections[0].board.title]
    return {re.sub(r"^digitslt-\w{6}-", "", picture.name): picture for picture in found}


def test_pictures_are_regenerated_without_a_diff(
    make_record: MakeRecord, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boards = publish_all(records_of(make_record), tmp_path, cli)
    assert cli("leaderboard", "--folder", boards).code == 0
    drawn = {path: path.read_bytes() for path in (boards / "pictures").iterdir()}
    assert {path.stem.split("-", 2)[2] for path in drawn} == KINDS
    assert sum(map(len, drawn.values())) < 500_000
    assert cli("leaderboard", "--folder", boards).out == ""
    checked = cli("leaderboard", "--folder", boards, "--check")
    assert (checked.code, checked.out.count("is up to date")) == (0, len(drawn) + 2)
    for path in drawn:
        path.unlink()
    assert cli("leaderboard", "--folder", boards, "--check").code == 1
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 30)  # a user's settings
    monkeypatch.setitem(matplotlib.rcParams, "axes.facecolor", "red")
    cli("leaderboard", "--folder", boards)
    assert {path: path.read_bytes() for path in (boards / "pictures").iterdir()} == drawn


def test_all_that_pages_and_index_link_to_is_there(make_record: MakeRecord, cli: Cli, tmp_path: Path) -> None:
    boards = publish_all(records_of(make_record), tmp_path, cli)
    cli("leaderboard", "--folder", boards)
    linked = set()
    for page in (boards / "digitslt.md", boards / "README.md"):
        places = re.findall(r"\]\(([^)#]+)\)", page.read_text())
        assert places
        assert all((boards / place).exists() for place in places)
        linked |= {boards / place for place in places}
    assert set((boards / "pictures").iterdir()) <= linked


def test_classes_are_shown_by_a_distance_that_few_images_do_not_bias(make_record: MakeRecord, tmp_path: Path) -> None:
    records = [with_classes(make_record(name, fd)) for name, fd in (("cm", 9.0), ("ddpm", 12.0))]
    records[0].scores["class-FD64-efflite0@96"]["3"]["flag"] = "n<4d"  # type: ignore[index]
    shown = pictures(records, tmp_path)["classes"].shown
    assert (shown["y"], "△ fewer than 4 images" in shown["below"]) == ("class-FD64", True)  # there is no other
    assert re.search(r"^\| 3 .* 13\.00 △ ", build(records)["digitslt"], re.M)
    for record in records:
        kid = {str(c): {"value": 0.01 * c} for c in range(10)}
        record.scores["class-KID-efflite0@96"] = kid  # type: ignore[index]
    shown = pictures(records, tmp_path)["classes"].shown
    assert (shown["y"], "△" in shown["below"]) == ("class-KID", False)
    del records[0].scores["class-FD64-efflite0@96"]["3"]["flag"]  # type: ignore[attr-defined]
    assert pictures(records, tmp_path)["classes"].shown["y"] == "class-FD64"


def test_a_picture_knows_what_it_was_drawn_from(make_record: MakeRecord, tmp_path: Path) -> None:
    records = records_of(make_record)
    picture = pictures(records, tmp_path)["trade-off"]
    file = PictureFile(tmp_path / "a.png", picture)
    assert not file.current
    file.write()
    assert file.current
    again = pictures([make_record("ddpm", 12.5, seed=3), *records], tmp_path)["trade-off"]
    assert not PictureFile(file.path, again).current
    # Drawn a little otherwise from the same figures, as by another version of matplotlib: still current.
    with Image.open(file.path) as image:
        other = image.convert("RGB").point(lambda value: value // 2)
    said = PngInfo()
    said.add_text(MADE_OF, picture.source)
    said.add_text(PIXELS, _digest_of_pixels(other))
    other.save(file.path, pnginfo=said)
    assert file.current
    # Edited by hand, cut, or somebody else's: not.
    whole = file.path.read_bytes()
    said.add_text(PIXELS, "0" * 16)
    other.save(file.path, pnginfo=said)
    assert made_of(file.path) is None
    file.path.write_bytes(whole[: len(whole) // 2])
    assert made_of(file.path) is None
    Image.new("RGB", (9, 9)).save(file.path)
    assert made_of(file.path) is None


def test_the_same_figures_to_six_digits_are_the_same_picture(make_record: MakeRecord, tmp_path: Path) -> None:
    """Versions of Python and SciPy differ in the last digits."""
    first, second, third = (
        pictures([make_record("cm", 9.0 * factor), make_record("ddpm", 12.0)], tmp_path)["trade-off"].source
        for factor in (1.0, 1.0 + 1e-12, 1.001)
    )
    assert first == second != third


def test_pictures_that_no_page_shows_are_removed_but_nobody_elses(
    make_record: MakeRecord, cli: Cli, tmp_path: Path
) -> None:
    boards = publish_all([make_record("cm", 9.0), make_record("ddpm", 12.0)], tmp_path, cli)
    cli("leaderboard", "--folder", boards)
    (drawn,) = boards.glob("pictures/*trade-off.png")
    old, own = drawn.with_name("digitslt-000000-trade-off.png"), drawn.with_name("mine.png")
    old.write_bytes(drawn.read_bytes())
    Image.new("RGB", (9, 9)).save(own)
    checked = cli("leaderboard", "--folder", boards, "--check")
    assert (checked.code, f"{old} belongs to no page; run ltgen-bench leaderboard\n" in checked.out) == (1, True)
    assert cli("leaderboard", "--folder", boards).out == f"removed {old}, which belongs to no page\n"
    assert (old.exists(), own.exists(), drawn.exists()) == (False, True, True)


def test_pictures_draw_what_the_board_says(make_record: MakeRecord, tmp_path: Path) -> None:
    records = records_of(make_record)
    (page,) = dataset_pages(records)
    board, found = page.sections[0].board, pictures(records, tmp_path)
    trade_off = found["trade-off"].shown
    assert trade_off["baseline"] == "ddpm"
    assert {line["name"]: line["seeds"] for line in trade_off["lines"]} == {
        row.name: [[row.by_seed(board.majority)[s], row.by_seed(board.minority)[s]] for s in row.seeds]
        for row in board.all_rows
    }
    for versus, line in zip(board.versus, found["differences"].shown["lines"], strict=True):
        for column, drawn in zip(board.distances, line["differences"], strict=True):
            paired = versus.paired(column)
            assert paired is not None
            assert (drawn["mean"], drawn["verdict"]) == (paired.mean, paired.verdict)
            assert (drawn["interval"], drawn["seeds"]) == (paired.interval, list(paired.differences.values()))
    (classes,) = found["classes"].shown["panels"]
    assert classes["lines"].keys() == {"ddpm", "cm", "cm+cbdm", "cm (cm.w_div=1.0)"}
    assert classes["lines"]["ddpm"]["x"] == [170, 121, 87, 62, 44, 32, 23, 16, 11, 8]
    assert classes["lines"]["ddpm"]["y"][0] == pytest.approx(10 * np.mean([12.0, 12.3, 12.6]))
    overall = found["guidance"].shown["panels"][0]["lines"]
    assert (overall["ddpm (n 1)"]["x"], overall["cm (n 1)"]["y"][0]) == ([0.5, 1.5], 8.5)
    assert found["steps"].shown["panels"][0]["lines"]["ddpm (n 1)"]["x"] == [400, 800]
    assert found["guidance"].shown["below"].startswith("8x8, imbalance 20, 800 steps x 32, 500 images, efflite0@96 · ")
    assert found["steps"].shown["below"].startswith("8x8, imbalance 20, batches of 32, 500 images, omega 1.5, ")


def test_losses_of_seeds_that_were_logged_at_other_steps_are_averaged(make_record: MakeRecord, tmp_path: Path) -> None:
    """Logs are written by the clock."""
    records = [make_record("cm", 9.0, seed=seed) for seed in (0, 1)]
    for record, steps in zip(records, ((50, 100, 200, 300, 400), (50, 150, 310)), strict=True):
        path = record_path(tmp_path, record).with_name(f"{record.run_id}-loss.csv")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("step,majority\n" + "".join(f"{n},{1000 - n + 10 * record.run.seed}\n" for n in steps))
    (page,) = dataset_pages(records)
    (found,) = (p for p in pictures_of(page, Kept(tmp_path))[page.sections[0].board.title] if "loss" in p.alt)
    (line,) = found.shown["panels"][0]["lines"].values()
    assert line == {"x": [50, 100, 200, 300], "y": pytest.approx([955, 905, 805, 705])}


def test_a_method_has_one_colour_on_a_page(make_record: MakeRecord, tmp_path: Path) -> None:
    """Whatever its rank in a section is."""
    order = {800: ("cm", "cb", "cbdm", "ddpm"), 400: ("ddpm", "cbdm", "cm", "cb")}
    records = [
        make_record(method, 9.0 + place, train={"steps": steps})
        for steps, methods in order.items()
        for place, method in enumerate(methods)
    ]
    (page,) = dataset_pages(records)
    colours = []
    for found in pictures_of(page, Kept(tmp_path)).values():
        for picture in found:
            if "ranked" in picture.shown:
                looks = style.looks(picture.shown["ranked"], picture.shown["baseline"])
                colours.append({name.split()[0]: look["color"] for name, look in looks.items()})
    assert len(colours) == 3  # both trade-offs, and over steps
    assert colours[0] == colours[1] == colours[2]
    assert len(set(colours[0].values())) == 4


def test_copies_and_unpublished_results_are_marked(make_record: MakeRecord, tmp_path: Path) -> None:
    records = [make_record("ddpm", 12.0 + seed, seed=seed) for seed in range(3)]
    copies = [make_record("cm", 5.0 + seed, seed=seed, memorised="minority") for seed in range(3)]
    (page,) = dataset_pages([*records, *copies], {(copies[0].run_id, copies[0].eval_id)})
    trade_off, forest = (picture.shown for picture in pictures_of(page, Kept(tmp_path))[page.sections[0].board.title])
    assert [(line["name"], line["copied"]) for line in trade_off["lines"]] == [("cm ‡ ◆", True), ("ddpm", False)]
    (line,) = forest["lines"]
    assert line["name"] == "cm ‡ ◆"
    assert [each["verdict"] for each in line["differences"]] == ["better", "better", "not ranked"]
    for shown in (trade_off, forest):
        assert shown["below"].endswith(" · ‡ memorised training images, not ranked · ◆ not published")


def test_a_method_far_off_leaves_the_others_legible(make_record: MakeRecord, tmp_path: Path) -> None:
    methods = {"ddpm": 100.0, "cm": 95.0, "cb": 99.0, "cbdm": 103.0, "t2h": 98.0, "resample": 400.0}
    records = [make_record(name, fd + seed, seed=seed) for name, fd in methods.items() for seed in range(3)]
    found = pictures(records, tmp_path)
    for panel in found["differences"].draw(found["differences"].shown).axes:
        assert 5 < panel.get_xlim()[1] < 20
        assert [text.get_text() for text in panel.texts if text.get_text()] == ["+300"]
    (axes, *_) = found["trade-off"].draw(found["trade-off"].shown).axes
    assert axes.get_xlim()[1] < 150
    assert any("beyond the edge: resample, 3 seeds" in text.get_text() for text in axes.texts)


def test_pictures_stand_on_an_opaque_light_panel(make_record: MakeRecord, tmp_path: Path) -> None:
    """Legible on a dark page, too."""
    for picture in pictures(records_of(make_record), tmp_path).values():
        with Image.open(io.BytesIO(picture.png())) as image:
            assert "transparency" not in image.info
            light = np.asarray(image.convert("L"))
        assert (np.median(light), light[3, 3]) == (pytest.approx(255, abs=3), pytest.approx(255, abs=3))
        assert light.min() < 60


@pytest.mark.parametrize(
    "records",
    [
        [("ddpm", 12.0, {})],
        [("cm", 9.0, {}), ("cb", 10.0, {})],  # no baseline
        [("cm", 9.0, {}), ("ddpm", 12.0, {"seed": 1})],  # no pair
        [("cm", 9.0, {}), ("ddpm", 9.0, {})],  # no difference
        [("ddpm", 12.0, {}), *[("cm", 9.0 + n, {"params": {"w_div": n + 0.5}}) for n in range(60)]],
        [("ddpm", 12.0, {}), ("cm", 1e30, {}), ("cb", 13.0, {}), ("t2h", 14.0, {}), ("cbdm", -5.0, {})],
        [("ddpm", 12.0, {}), ("$x^{2$\n<b>漢字" * 20, 9.0, {})],
    ],
    ids=["one", "no-baseline", "no-pair", "equal", "many", "far", "names"],
)
def test_any_records_can_be_drawn(make_record: MakeRecord, tmp_path: Path, records: list[Any]) -> None:
    made = [with_classes(make_record(name, fd, **more)) for name, fd, more in records]
    for picture in pictures(made, tmp_path).values():
        with Image.open(io.BytesIO(picture.png())) as image:
            assert max(image.size) < 4000


def test_whether_pictures_are_up_to_date_is_told_without_matplotlib(
    make_record: MakeRecord, cli: Cli, tmp_path: Path
) -> None:
    """In a second, and whatever its version is."""
    boards = publish_all([make_record("cm", 9.0), make_record("ddpm", 12.0)], tmp_path, cli)
    cli("leaderboard", "--folder", boards)
    command = f"""
import sys
from ltgen_bench.cli.main import main
sys.argv = ["ltgen-bench", "leaderboard", "--check", "--folder", {str(boards)!r}]
try:
    main()
finally:
    assert not {{"matplotlib", "torch", "pandas"}} & sys.modules.keys()
"""
    assert subprocess.run([sys.executable, "-c", command]).returncode == 0
