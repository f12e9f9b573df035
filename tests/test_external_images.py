"""Images from anybody's trainer: read in every form, refused in one sentence, scored like a run's own."""

from __future__ import annotations

import dataclasses
import io
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ltgen_bench.data.external import read
from ltgen_bench.data.images import Images
from ltgen_bench.data.long_tail import LongTail
from ltgen_bench.errors import UsageError
from ltgen_bench.leaderboard.pages.of_dataset import build
from ltgen_bench.runs.record import Record, read_records
from ltgen_bench.runs.run_folder import RunFolder
from ltgen_bench.spec.specs import ExternalSpec, ScoreSpec
from ltgen_bench.storage import lock

Cli = Callable[..., Any]
PER_CLASS = 12


@pytest.fixture
def given(digits: LongTail) -> Images:
    """Real digits with some noise: 12 of each class."""
    chosen = [np.flatnonzero(digits.reference.labels == c)[:PER_CLASS] for c in range(10)]
    images = digits.reference[np.concatenate(chosen)]
    noise = np.random.default_rng(0).normal(0, 20, images.pixels.shape)
    return Images((images.pixels + noise).round().clip(0, 255).astype(np.uint8), images.labels)


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def write_tree(folder: Path, images: Images, names: Callable[[int], str] = str, mode: str = "L") -> Path:
    for i, (pixels, label) in enumerate(zip(images.pixels, images.labels, strict=True)):
        path = folder / names(label) / f"{i:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[..., 0]).convert(mode).save(path)
    return folder


def zipped(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder), "zip", folder))


def named(data: LongTail, all_words: bool = False) -> LongTail:
    """The same digits with names for class names, some of which look like ids."""
    if all_words:
        return dataclasses.replace(data, class_names=tuple("abcdefghij"))
    return dataclasses.replace(data, class_names=("zero", "one", "2", "3", "four", "five", "six", "7", "eight", "nine"))


def same(a: Images, b: Images) -> bool:
    return np.array_equal(a.pixels, b.pixels) and np.array_equal(a.labels, b.labels)


def test_arrays_are_read_in_both_layouts_and_without_a_channel(digits: LongTail, given: Images, tmp_path: Path) -> None:
    for dtype in (np.int32, np.uint8, np.int64):
        for pixels in (given.pixels, given.pixels.transpose(0, 3, 1, 2), given.pixels[..., 0]):
            path = npz(tmp_path / "a.npz", images=pixels, labels=given.labels.astype(dtype))
            assert same(read(path, digits), given)
    np.savez_compressed(tmp_path / "b.npz", images=given.pixels, labels=given.labels)
    assert same(read(tmp_path / "b.npz", digits), given)


def test_class_folders_are_read_by_name_or_number(digits: LongTail, given: Images, tmp_path: Path) -> None:
    data = named(digits)
    by_number = write_tree(tmp_path / "numbers", given, lambda c: f"{c:02}")
    by_name = write_tree(tmp_path / "names", given, lambda c: data.class_names[c], "RGB")  # grey, with three channels
    for path in (by_number, zipped(by_number)):
        assert same(read(path, data), given)
    got = read(by_name, data)
    order = np.argsort(got.labels, kind="stable")  # folders come in the order of their names
    assert same(got[order], given)


def colour(data: LongTail) -> LongTail:
    reference = Images(np.repeat(data.reference.pixels, 3, 3), data.reference.labels)
    return dataclasses.replace(data, reference=reference, spec=dataclasses.replace(data.spec, channels=3))


def test_colours_are_kept(digits: LongTail, given: Images, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (120, 8, 8, 3), np.uint8)
    for arrays in (pixels, pixels.transpose(0, 3, 1, 2)):
        got = read(npz(tmp_path / "a.npz", images=arrays, labels=given.labels), colour(digits))
        assert np.array_equal(got.pixels, pixels)


def arrays(given: Images, **changes: Any) -> dict[str, Any]:
    return {"images": given.pixels, "labels": given.labels} | changes


def with_nan(pixels: np.ndarray) -> np.ndarray:
    floats = pixels / np.float32(255)
    floats[7, 0, 0, 0] = np.nan
    return floats


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda g: arrays(g, images=g.pixels / 255),
            "images are float64 from 0 to 1; round them to uint8 from 0 to 255",
        ),
        (lambda g: arrays(g, images=with_nan(g.pixels)), "image 7 holds NaN or infinity; only finished images can be"),
        (
            lambda g: arrays(g, images=g.pixels.astype(int)),
            "images are int64; round them to uint8 from 0 to 255, as only",
        ),
        (lambda g: arrays(g, labels=g.labels / 1), "labels are float64; give class ids, whole numbers"),
        (lambda g: arrays(g, labels=g.labels[:-1]), r"labels of shape \(119,\) for images of shape \(120, 8, 8, 1\);"),
        (lambda g: arrays(g, labels=np.eye(10, dtype=int)[g.labels]), r"labels of shape \(120, 10\) for images"),
        (lambda g: arrays(g, images=np.repeat(g.pixels, 3, 3)), r"\(120, 8, 8, 3\); .* digitslt are 8x8 grey$"),
        (lambda g: arrays(g, images=g.pixels[:, ::2, ::2]), r"are 8x8 grey; --size 4 reduces them to yours$"),
        (lambda g: arrays(g, images=np.repeat(g.pixels, 2, 1)), r"\(120, 16, 8, 1\); .* digitslt are 8x8 grey$"),
        (lambda g: arrays(g, images=g.pixels.reshape(-1)[:120]), r"images have shape \(120,\); the images of digitslt"),
        (
            lambda g: {"x": g.pixels, "labels": g.labels},
            "has no array 'images', only x, labels; name the arrays images",
        ),
        (lambda g: arrays(g, labels=g.labels.astype(object)), "the array labels holds Python objects, which are never"),
    ],
)
def test_arrays_that_cannot_be_scored_are_refused(
    digits: LongTail, given: Images, tmp_path: Path, change: Callable[[Images], dict[str, Any]], sentence: str
) -> None:
    path = npz(tmp_path / "a.npz", **change(given))
    with pytest.raises(UsageError, match=sentence) as error:
        read(path, digits)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_grey_images_are_refused_where_the_dataset_has_colours(digits: LongTail, given: Images, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the images of digitslt are 8x8 RGB$"):
        read(npz(tmp_path / "a.npz", **arrays(given)), colour(digits))


def test_files_that_are_none_are_refused(digits: LongTail, given: Images, tmp_path: Path) -> None:
    text, array, cut = tmp_path / "a.txt", tmp_path / "a.npy", tmp_path / "cut.npz"
    text.write_text("hello")
    np.save(array, given.pixels)
    whole = npz(tmp_path / "whole.npz", **arrays(given)).read_bytes()
    cut.write_bytes(whole[:-200])
    for path in (text, array, cut):
        with pytest.raises(UsageError, match=f"{path} is neither an npz nor a folder or zip of class folders"):
            read(path, digits)
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(whole[:400] + bytes([whole[400] ^ 255]) + whole[401:])
    with pytest.raises(UsageError, match=f"{damaged}: the array images cannot be read: "):
        read(damaged, digits)
    with pytest.raises(UsageError, match="nowhere: no such file or folder"):
        read(tmp_path / "nowhere", digits)


def test_folders_that_cannot_be_scored_are_refused(digits: LongTail, given: Images, tmp_path: Path) -> None:
    data = named(digits)
    misspelt = write_tree(tmp_path / "misspelt", given, lambda c: data.class_names[c].replace("four", "fuor"))
    with pytest.raises(UsageError, match=r"unknown class 'fuor' in .*/misspelt. Did you mean 'four'\?"):
        read(misspelt, data)
    folder = write_tree(tmp_path / "digits", given)
    for name, image, sentence in (
        ("oblong.png", Image.new("L", (8, 9)), "3/oblong.png has 8x9 pixels; the images of digitslt are 8x8 grey$"),
        ("small.png", Image.new("L", (4, 4)), "3/small.png has 4x4 pixels; .*; --size 4 reduces them to yours"),
        ("red.png", Image.new("RGB", (8, 8), (255, 0, 0)), "3/red.png has colours; the images of digitslt are grey"),
    ):
        image.save(folder / "3" / name)
        with pytest.raises(UsageError, match=sentence):
            read(folder, digits)
        (folder / "3" / name).unlink()
    (folder / "3" / "cut.png").write_bytes(b"no image")
    with pytest.raises(UsageError, match=r"3/cut\.png cannot be read as an image"):
        read(folder, digits)


@pytest.fixture
def samples(given: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return npz(tmp_path / "mine.npz", **arrays(given))


SCORE = ("score", "--dataset", "digitslt", "--features", "efflite0@32", "--device", "cpu", "--samples")


def without(given: Images, c: int, n: int = PER_CLASS) -> dict[str, Any]:
    kept = np.flatnonzero((given.labels != c) | (np.cumsum(given.labels == c) > n))
    return {"images": given.pixels[kept], "labels": given.labels[kept]}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda g: without(g, 7), "no generated images of class 7; every class is scored, with as many images each"),
        (
            lambda g: without(g, 7, 1),
            "11 generated images of class 7 and 12 of class 0; every class must have as many",
        ),
        (
            lambda g: arrays(g, labels=g.labels + 1),
            "mine.npz: labels are 1 to 10, but the class ids of digitslt are 0 to 9; subtract 1",
        ),
        (
            lambda g: arrays(g, labels=g.labels - 1),
            "generated images have class -1; the dataset has classes 0 to 9",
        ),
    ],
)
def test_sets_that_are_not_balanced_are_refused_and_nothing_is_written(
    cli: Cli, given: Images, samples: Path, change: Callable[[Images], dict[str, Any]], sentence: str
) -> None:
    npz(samples, **change(given))
    got = cli(*SCORE, samples.name)
    assert (got.code, got.out, got.err) == (2, "", f"error: {sentence}\n")
    assert [p.name for p in samples.parent.iterdir()] == ["mine.npz"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["score"], "score takes either a RUN or --samples FILE, and not both"),
        (["score", "3f2a", "--samples", "x.npz"], "score takes either a RUN or --samples FILE, and not both"),
        (["score", "3f2a", "--name", "me"], "--name goes with --samples: a run has its own, leave it out"),
        (["score", "--samples", "x.npz"], "--samples needs --dataset NAME, what to compare the images with"),
        ([*SCORE, "x.npz"], "x.npz: no such file or folder"),
        ([*SCORE, "mine.npz", "--name", "a|b"], "--name 'a|b': give 1 to 60 printable characters, without | and `"),
        (
            [*SCORE, "mine.npz", "--set", "sample.omega=0"],
            "--set sample.omega=0: images made elsewhere are scored as they are, leave it out",
        ),
    ],
)
def test_a_command_that_makes_no_sense_is_refused(cli: Cli, samples: Path, words: list[str], sentence: str) -> None:
    got = cli(*words)
    assert (got.code, got.out, got.err) == (2, "", f"error: {sentence}\n")
    assert [p.name for p in samples.parent.iterdir()] == ["mine.npz"]


def test_images_made_elsewhere_are_scored_listed_shown_and_published(
    cli: Cli, given: Images, samples: Path, make_record: Callable[..., Record]
) -> None:
    first = cli(*SCORE, samples, "--name", "my method")
    assert (first.code, first.err) == (0, "")
    (record,), problems = read_records(Path("runs"), "*/*/*/result-*.json")
    assert (problems, type(record.run), type(record.eval)) == ([], ExternalSpec, ScoreSpec)
    assert (record.run.name, record.run.images, record.training) == ("my method", 120, {})
    run_folder = RunFolder.of(Path("runs"), record.run)
    assert f"digitslt my method made elsewhere ({record.run_id}), scored in efflite0@32\n" in first.out
    assert f"\nsamples: {run_folder.path}/samples.png\n" in first.out
    written = sorted(p.name for p in run_folder.path.iterdir())
    result = f"result-{record.eval_id}"
    assert written == [f"{result}.json", f"{result}.png", "samples.npz", "samples.png", "spec.json"]
    assert record.scores["FD-efflite0@32"]["minority"]["n_gen"] == 48
    assert set(record.scores["class-pull-efflite0@32"]) == set("0123456789")
    assert {"memorised-efflite0@32", "accuracy-efflite0@32", "class-KID-efflite0@32"} <= set(record.scores)

    listed = cli("list", "runs").out
    distance = record.scores["KID-efflite0@32"]["overall"]["value"]  # of 120 images nothing else can be ranked
    assert listed.startswith(f"runs\n{record.run_id}  done  digitslt  my method  made elsewhere  ")
    assert listed.endswith(f"  120 images  KID-efflite0@32 {distance:.4f}\n1 done\n")
    shown = cli("show", "run", record.run_id[:6]).out
    assert "\nclasses whose images pull the distance up most (mean influence, to first order):\noverall" in shown
    assert f"\nworst and best images: {run_folder.path}/{result}.png\n" in shown
    assert "ltgen-bench score --samples PATH --name 'my method' --dataset digitslt --size 8 --imbalance 20.0 " in shown
    published = cli("publish", record.run_id, "--folder", "leaderboards")
    target = Path("leaderboards/results/digitslt/elsewhere") / f"{record.run_id}-{record.eval_id}.json"
    assert (published.code, Record.read(target)) == (0, record)
    assert cli("leaderboard", "--csv", "all.csv").code == 0
    table = pd.read_csv("all.csv", low_memory=False)
    assert set(table.name) == {"my method"}
    assert set(table["images"]) == {120}

    # The same images in another order, form and place are the same set: nothing is left to do.
    before = {p: p.stat().st_mtime_ns for p in run_folder.path.iterdir()}
    turned = npz(samples.with_name("turned.npz"), images=given.pixels[::-1, ..., 0], labels=given.labels[::-1])
    assert cli(*SCORE, turned, "--name", "my method").out == first.out
    assert {p: p.stat().st_mtime_ns for p in run_folder.path.iterdir()} == before

    # Other features need no file any more.
    again = cli("score", record.run_id, "--features", "efflite0@64", "--device", "cpu")
    assert (again.code, again.err) == (0, "")
    assert sorted(r.eval.features for r in run_folder.results()[0]) == ["efflite0@32", "efflite0@64"]
    refused = cli("score", record.run_id, "--set", "sample.omega=0")
    assert refused.err == "error: --set sample.omega=0: images made elsewhere are scored as they are, leave it out\n"
    with lock.hold(run_folder.lock):
        held = cli("score", record.run_id, "--features", "efflite0@96", "--device", "cpu")
    assert held.code == 2
    assert held.err.endswith(" is scoring these images; wait for it\n")


def test_a_run_and_images_made_elsewhere_never_share_a_table(make_record: Callable[..., Record]) -> None:
    run = make_record("cm", 9.0)
    how = ScoreSpec(**{f.name: getattr(run.eval, f.name) for f in dataclasses.fields(ScoreSpec)})

    def elsewhere(name: str, sha256: str, fd: float, images: int = 500) -> Record:
        spec = ExternalSpec(name, run.run.dataset, images, sha256)
        return dataclasses.replace(make_record("cm", fd), run=spec, eval=how, training={})

    records = [run, *(elsewhere("theirs", str(i), 5.0 + i) for i in range(3)), elsewhere("ours", "9", 7.0)]
    records.append(elsewhere("theirs", "large", 3.0, images=1000))
    page = build(records)["digitslt"]
    own, others = page.split("\n## Images made elsewhere\n")
    assert "theirs" not in own
    assert "| cm" not in others
    assert others.index("### 8x8, 1,000 images") < others.index("### 8x8, 500 images")
    assert "| theirs | 3      | **6.00 ± 1.00**" in others
    assert "| ours   | 1      | 7.00" in others
    command = "- ours: `ltgen-bench score --samples PATH --name ours --dataset digitslt --size 8 --imbalance 20.0 "
    assert f"{command}--features efflite0@96`\n" in others
    assert build(reversed(records))["digitslt"] == page


def test_identity_is_the_content_and_the_name(make_record: Callable[..., Record], tmp_path: Path) -> None:
    data = make_record().run.dataset
    one = ExternalSpec("mine", data, 500, "aa")
    assert (one.run_id, one.config_id) == ("708bc7a4e09b", "e7d9e31fbd54")
    assert dataclasses.replace(one, sha256="bb").run_id != one.run_id
    assert dataclasses.replace(one, sha256="bb", images=600).config_id == one.config_id
    assert dataclasses.replace(one, name="yours").config_id != one.config_id
    run_folder = RunFolder.of(tmp_path, one)
    run_folder.create(one)
    assert run_folder.spec == one
    with pytest.raises(UsageError, match="a run is scored from images made for the purpose"):
        dataclasses.replace(make_record(), run=one)


def test_a_zip_of_class_folders_may_hold_an_array(digits: LongTail, given: Images, tmp_path: Path) -> None:
    path = zipped(write_tree(tmp_path / "s", given, "s/{}".format))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("s/labels.npy", b"x")
        archive.writestr("s/3/features.npy", b"x")
    assert same(read(path, digits), given)


def test_a_list_of_arrays_under_other_names_is_short(digits: LongTail, tmp_path: Path) -> None:
    path = npz(tmp_path / "many.npz", **{f"a{i}": np.zeros(1) for i in range(50)})
    with pytest.raises(UsageError, match=r"has no array 'images', only a0, a1, a2, a3, a4, \.\.\.; name the arrays"):
        read(path, digits)


def test_class_folders_with_numbers_are_taken_by_value(digits: LongTail, given: Images, tmp_path: Path) -> None:
    counted = dataclasses.replace(digits, class_names=tuple(str(c + 1) for c in range(10)))
    for names in ("{}", "{:03}"):
        folder = write_tree(tmp_path / names, given, lambda c, names=names: names.format(c + 1))
        assert same(read(folder, counted), given)
    with pytest.raises(UsageError, match="unknown class '0'"):
        read(write_tree(tmp_path / "ids", given), counted)
    with pytest.raises(UsageError, match=r"labels are 1 to 10, but the class ids of digitslt are 0 to 9; subtract 1"):
        read(write_tree(tmp_path / "from 1", given, lambda c: str(c + 1)), named(digits, all_words=True))
    twice = write_tree(tmp_path / "twice", given)
    write_tree(twice, given, lambda c: f"0{c}")
    with pytest.raises(UsageError, match="0/ and 00/ are both of class 0; put them into one"):
        read(twice, digits)


def test_labels_of_classes_that_other_trainers_sort_as_text_are_explained(
    digits: LongTail, given: Images, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = npz(tmp_path / "a.npz", **arrays(given))
    read(path, digits)
    assert capsys.readouterr().err == ""
    read(path, dataclasses.replace(digits, class_names=tuple(str(c + 1) for c in range(10))))
    assert "labels are taken for class ids: 0 is 1, 1 is 2, ...; a trainer that sorts" in capsys.readouterr().err


def test_class_names_are_compared_in_one_form(digits: LongTail, given: Images, tmp_path: Path) -> None:
    data = dataclasses.replace(digits, class_names=("caf\xe9", *"123456789"))
    folder = write_tree(tmp_path / "nfd", given, lambda c: str(c) if c else "cafe\u0301")
    assert np.array_equal(np.sort(read(folder, data).labels), given.labels)


def test_images_are_called_like_their_file_whatever_its_form(cli: Cli, given: Images, tmp_path: Path) -> None:
    folder = write_tree(tmp_path / os.fsdecode(b"th\xe9"), given)
    for path, name in ((folder, r"th\xe9"), (npz(tmp_path / "cafe\u0301.npz", **arrays(given)), "caf\xe9")):
        got = cli(*SCORE, path, "--runs", tmp_path / "runs")
        assert (got.code, got.err) == (0, "")
        assert f"digitslt {name} made elsewhere (" in got.out


def test_a_zip_that_holds_no_images_is_refused(digits: LongTail, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", io.BytesIO(b"x").getvalue())
    with pytest.raises(UsageError, match="has no images in it"):
        read(path, digits)
