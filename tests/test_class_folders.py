"""Class folders, in a folder or a zip: which images are of which class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from image_files import Make, animals, check_balanced, load, noise, plugin, png, refused, tree, zipped

from ltgen_bench.errors import UsageError

pytestmark = pytest.mark.usefixtures("folder")


def notes(path: Path) -> tuple[str, ...]:
    return plugin("imagefolder")(data=path).pool().notes


def test_folder_of_classes(make: Make) -> None:
    data = load(make(animals()))
    assert data.class_names == ("cat", "dog", "eel")
    assert data.class_counts == (4, 4, 4)
    assert data.test is None
    assert np.array_equal(data.train.pixels[5], np.asarray(noise(11)))
    assert data.train.labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]


def test_folder_made_long_tailed(make: Make) -> None:
    path = make(animals())
    data = plugin("imagefolder")(data=path, imbalance=4).load()
    assert data.class_counts == (4, 2, 1)
    check_balanced(data)
    with pytest.raises(UsageError, match=r"--imbalance 100: class 1 .* is 4$"):
        plugin("imagefolder")(data=path).load()


def test_tree_and_zip_are_the_same(tmp_path: Path) -> None:
    files = animals()
    assert (
        load(tree(tmp_path / "t", files)).spec == load(zipped(tmp_path / "z.zip", dict(reversed(files.items())))).spec
    )


@pytest.mark.parametrize("prefix", ["photos/", "./", "a/b/c/"])
def test_folders_around_are_passed_through(make: Make, prefix: str) -> None:
    assert load(make(animals(prefix))).class_names == ("cat", "dog", "eel")


def test_nested_images(make: Make) -> None:
    files = {f"cat/young/{n}": b for n, b in enumerate(animals().values())} | animals()
    files = {f"{name}.png" if not name.endswith(".png") else name: content for name, content in files.items()}
    assert load(make(files)).class_counts == (16, 4, 4)


@pytest.mark.parametrize("held_out", ["test", "val"])
def test_train_and_test_folders(make: Make, held_out: str) -> None:
    data = load(make(animals("top/train/") | animals(f"top/{held_out}/", n=2, seed=100)))
    assert data.class_names == ("cat", "dog", "eel")
    assert len(data.train) == 12
    assert data.test is not None
    assert len(data.test) == 6
    assert np.array_equal(data.test.pixels[0], np.asarray(noise(100)))


def test_train_val_and_test(make: Make) -> None:
    files = animals("train/") | animals("val/", n=3) | animals("test/", n=1)
    data = load(make(files))
    assert data.test is not None
    assert len(data.test) == 3


def test_only_train(make: Make) -> None:
    assert load(make(animals("train/"))).class_names == ("cat", "dog", "eel")


def test_test_folder_with_other_classes(make: Make) -> None:
    path = make(animals("train/") | {"test/cat/1.png": png(noise(1))})
    assert refused(path) == (
        f"{path}: test/ has other class folders than train/: dog, eel in one of them only; make them the same, or move "
        "test/ elsewhere"
    )


def test_stray_files_are_ignored(make: Make) -> None:
    stray = ("README.md", "__MACOSX/top/cat/._0.png", "top/cat/.DS_Store", "top/dog/Thumbs.db", "top/labels.csv")
    path = make(animals("top/") | dict.fromkeys(stray, b"x"))
    assert load(path).class_counts == (4, 4, 4)


def test_images_outside_are_refused(make: Make) -> None:
    path = make(animals() | {"sample.png": png(noise(1))})
    assert refused(path) == f"{path}: sample.png is an image in no class folder"


def test_too_few_classes(make: Make) -> None:
    path = make({"top/cat/1.png": png(noise(1))})
    assert refused(path) == f"{path} needs at least two class folders with images; found: cat"


def test_no_images(make: Make) -> None:
    path = make({"cat/readme.txt": b"x"})
    assert f"{path} has no images in it (.bmp, " in refused(path)


def test_wrong_paths(tmp_path: Path) -> None:
    assert refused(tmp_path / "nowhere") == f"{tmp_path / 'nowhere'}: no such folder or zip"
    (tmp_path / "text").write_text("x")
    assert "is neither a folder nor a readable zip" in refused(tmp_path / "text")
    with pytest.raises(UsageError, match="imagefolder needs --data PATH"):
        plugin("imagefolder")().load()


def test_nothing_is_unpacked(tmp_path: Path) -> None:
    evil = {"../evil/1.png": png(noise(1)), "/evil/2.png": png(noise(2)), "cat/../../evil/3.png": png(noise(3))}
    (tmp_path / "in").mkdir()
    path = zipped(tmp_path / "in" / "z.zip", evil | animals())
    load(path)
    assert not list(tmp_path.rglob("evil*"))
    assert not Path("/evil").exists()


@pytest.mark.parametrize(
    ("train", "held_out"),
    [
        ("Train", "Test"),
        ("training", "validation"),
        ("TRAINING_SET", "Testing_Set"),
        ("train2017", "val2017"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("train", "valid"),
        ("train", "dev"),
        ("train/images", "eval/images"),
        ("TrainSet", "TestSet"),
        ("train_images", "test_images"),
        ("my_train", "my_val"),
        ("train", "hold-out"),
    ],
)
def test_usual_names_of_splits_are_known_in_any_case(make: Make, train: str, held_out: str) -> None:
    data = load(make(animals(f"{train}/") | animals(f"{held_out}/", n=2, seed=100)))
    assert data.class_names == ("cat", "dog", "eel")
    assert len(data.train) == 12
    assert data.test is not None
    assert np.array_equal(data.test.pixels[0], np.asarray(noise(100)))


@pytest.mark.parametrize(
    ("extra", "note"),
    [
        (animals("predict/"), "predict/ is not used (12 images)"),
        ({f"Unlabeled/{i}.png": png(noise(i)) for i in range(3)}, "Unlabeled/ is not used (3 images)"),
        ({"test/images/1.png": png(noise(1))}, "test/ has no class folders and is not used (1 image)"),
        (animals("valid/") | animals("test/"), "valid/ is not used: one set of held-out images is enough (12 images)"),
    ],
)
def test_parts_that_are_not_used_are_named(make: Make, extra: dict[str, bytes], note: str) -> None:
    path = make(animals("train/") | extra)
    data = load(path)
    assert data.class_names == ("cat", "dog", "eel")
    assert len(data.train) == 12
    assert notes(path) == (f"{path}: {note}",)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (animals("train/") | {"cat/1.png": png(noise(1))}, "train/ is named like splits of a data set, but not cat/"),
        (animals("test/") | animals("val/"), "there is no train/"),
        (
            animals("my_train/") | animals("my_test/") | animals("others/"),
            "my_test/ and my_train/ are named like splits",
        ),
        ({f"{s}{x}/1.png": png(noise(1)) for s in ("train", "test") for x in "AB"}, "put the images of each into one"),
        (animals() | {"Unlabelled/1.png": png(noise(1))}, "Unlabelled/ is named like a split of a data set; move it"),
        (animals("train/") | animals("Training/"), "Training/ and train/ are two folders for one split; leave one"),
        (animals("train/") | animals("val/") | animals("valid/"), "val/ and valid/ are two folders for one split"),
        (
            {"train/1.png": png(noise(1)), "test/1.png": png(noise(2))},
            "put the images of each into one folder per class",
        ),
        (
            animals() | {"test/1.png": png(noise(1))},
            "test/ is named like a split of a data set; move it elsewhere or, if",
        ),
        (animals("train/") | animals("test/") | {"1.png": png(noise(1))}, "1.png is an image in no class folder"),
        (
            {f"{c}/{s}/1.png": png(noise(1)) for c in ("cat", "dog") for s in ("train", "test")},
            "test/ and train/ lie inside of each class folder; put the class folders into them instead",
        ),
        (
            animals("lernen/") | animals("prüfen/"),
            "lernen/, prüfen/ all hold cat/, dog/, eel/, which seem to be the cl",
        ),
        (animals() | animals("old/"), "old/ holds cat/, dog/, eel/ once more, which are class folders beside it"),
    ],
)
def test_splits_that_do_not_fit_are_refused(make: Make, files: dict[str, bytes], sentence: str) -> None:
    assert sentence in refused(make(files))


def test_classes_may_hold_the_same_folders(make: Make) -> None:
    """More classes than that are no splits."""
    files = {f"{name}/{place}/1.png": png(noise(1)) for name in "012" for place in "01"}
    assert load(make(files)).class_counts == (2, 2, 2)


@pytest.mark.parametrize(
    "names",
    [("bus", "train"), ("invalid", "valid"), ("bullet_train", "steam_train"), ("dev", "ops"), ("extra", "plain")],
)
def test_classes_that_are_named_like_splits(make: Make, names: tuple[str, str]) -> None:
    assert load(make({f"{name}/{i}.png": png(noise(i)) for name in names for i in range(2)})).class_names == names


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("1", "10", "11", "2"), ("1", "2", "10", "11")),
        (("class10", "class9"), ("class9", "class10")),
        (("-1", "0", "0.5", "10", "2"), ("-1", "0", "0.5", "2", "10")),
        (("01", "1", "2"), ("01", "1", "2")),
        (("nan", "inf", "1"), ("1", "inf", "nan")),
        (("b", "A", "a"), ("A", "a", "b")),
    ],
)
def test_classes_are_in_order_with_numbers_by_value(
    make: Make, names: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert load(make({f"{name}/1.png": png(noise(1)) for name in names})).class_names == expected


SIDE = (
    *("Thumbs.db", "thumbs.db", "Desktop.ini", ".DS_Store", "._1.png", ".hidden/1.png", "@eaDir/1.png/thumb.jpg"),
    *("__MACOSX/._1.png", "__macosx/1.png", "$RECYCLE.BIN/1.png", "lost+found/1.png", "folder.ico"),
    *("Network Trash Folder/1.png", "Temporary Items/1.png", "RECYCLED/1.png", "@tmp/1.png"),
)


@pytest.mark.parametrize("name", SIDE)
def test_what_systems_leave_behind_is_ignored_everywhere(make: Make, name: str) -> None:
    path = make(animals("top/") | dict.fromkeys((name, f"top/{name}", f"top/cat/{name}"), b"x"))
    data = load(path)
    assert data.class_counts == (4, 4, 4)
    assert notes(path) == ()


def test_other_files_are_passed_over_and_counted(make: Make) -> None:
    path = make(animals() | dict.fromkeys(("dog/notes.TXT", "dog/0.txt", "cat/0.xml", "eel/README", "a.csv"), b"x"))
    data = load(path)
    assert data.class_counts == (4, 4, 4)
    assert notes(path) == (f"{path}: 4 files that are no images are passed over: 2 .txt, 1 .xml, 1 no suffix",)


@pytest.mark.parametrize("suffix", ["jfif", "JPE", "jp2", "tga", "dib", "pnm"])
def test_all_that_pillow_reads_is_an_image(make: Make, suffix: str) -> None:
    form = {"jfif": "JPEG", "jpe": "JPEG", "jp2": "JPEG2000", "tga": "TGA", "dib": "DIB", "pnm": "PPM"}[suffix.lower()]
    assert load(make(animals() | {f"cat/x.{suffix}": png(noise(5), form)})).class_counts == (5, 4, 4)


@pytest.mark.parametrize("name", ["cat/x.HEIC", "cat/x.svg", "cat/deep/x.eps"])
def test_images_that_pillow_does_not_read_are_refused(make: Make, name: str) -> None:
    path = make(animals() | {name: b"x"})
    assert (
        refused(path) == f"{path}: {name} is an image of a format that Pillow does not read; convert it, or remove it"
    )


def test_a_program_is_never_run_for_an_image(make: Make) -> None:
    path = make(
        animals() | {"cat/x.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"}
    )
    assert f"{path}: cat/x.png cannot be read as an image" in refused(path)


@pytest.mark.parametrize("prefix", ["", "top/", "train/"])
def test_an_empty_class_folder_is_refused(tmp_path: Path, prefix: str) -> None:
    path = tree(tmp_path / "t", animals(prefix))
    (path / prefix / "bee").mkdir()
    (path / prefix / "bee" / ".DS_Store").touch()
    sentence = f"the class folder {prefix}bee/ has no images; put some in, or remove it"
    assert refused(path) == f"{path}: {sentence}"
    archive = zipped(tmp_path / "z.zip", animals(prefix) | {f"{prefix}bee/": b""})
    assert refused(archive) == f"{archive}: {sentence}"


def test_a_folder_of_other_files_is_no_class_and_is_named(make: Make) -> None:
    path = make(animals() | {"annotations/1.xml": b"x"})
    data = load(path)
    assert data.class_names == ("cat", "dog", "eel")
    assert notes(path) == (f"{path}: annotations/ has no images in it and is no class",)


def test_a_class_that_is_still_packed_is_refused(make: Make) -> None:
    path = make(animals() | {"bee/images.ZIP": b"x"})
    assert refused(path) == f"{path}: bee/ has no images, but an archive; unpack it, or move the folder elsewhere"


def test_classes_are_listed_with_their_ids(make: Make) -> None:
    data = load(make(animals()))
    assert data.describe() == [
        "imagefolder: 12 training images of 8x8 RGB, 12 to score against",
        "3 classes, id: name (images): 0: cat (4), 1: dog (4), 2: eel (4)",
    ]


def test_what_was_passed_over_is_said_once(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    path = make(animals("train/") | animals("pred/") | {"train/cat/notes.txt": b"x"})
    for _ in range(2):
        load(path)
    assert capsys.readouterr().err.splitlines() == [
        f"{path}: pred/ is not used (12 images)",
        f"{path}: 1 file that is no image is passed over in train/: 1 .txt",
    ]
