"""Class folders, in a folder or a zip: which images are of which class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from image_files import Make, animals, check_balanced, load, noise, plugin, png, refused, tree, zipped

from ltgen_bench.errors import UsageError

pytestmark = pytest.mark.usefixtures("folder")


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
    assert refused(path) == f"{path}: test/ has other class folders than train/"


def test_stray_files_are_ignored(make: Make) -> None:
    stray = ("README.md", "__MACOSX/top/cat/._0.png", "top/cat/.DS_Store", "top/dog/Thumbs.db", "top/labels.csv")
    path = make(animals("top/") | dict.fromkeys(stray, b"x"))
    assert load(path).class_counts == (4, 4, 4)


def test_other_files_in_a_class_folder_are_refused(make: Make) -> None:
    path = make(animals() | {"dog/notes.txt": b"x"})
    assert refused(path) == f"{path}: dog/notes.txt is not an image; remove it from the class folder"


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
