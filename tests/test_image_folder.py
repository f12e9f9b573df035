"""The user's own images: decoded, reduced, cached."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from image_files import (
    ZIP,
    Make,
    animals,
    check_balanced,
    counts_of,
    load,
    needs_zip,
    noise,
    plugin,
    png,
    refused,
    rows,
    tree,
    zipped,
)
from PIL import Image

from ltgen_bench.data.images import Images
from ltgen_bench.data.long_tail import exponential_counts

pytestmark = pytest.mark.usefixtures("folder")


@pytest.mark.parametrize(
    ("cat", "channels"), [("L", 1), ("1", 1), ("LA", 1), ("P", 3), ("RGB", 3), ("RGBA", 3), ("CMYK", 3)]
)
def test_channels(tmp_path: Path, cat: str, channels: int) -> None:
    form, end = ("TIFF", "tif") if cat == "CMYK" else ("PNG", "PNG")
    image = noise(5).convert("L").convert(cat) if channels == 1 else noise(5).convert(cat)
    data = load(tree(tmp_path / "t", animals(mode="L") | {f"cat/x.{end}": png(image, form)}))
    assert data.spec.channels == channels
    last = data.train.pixels[data.train.labels == 0][-1]
    assert np.array_equal(last.squeeze(), np.asarray(image.convert("L" if channels == 1 else "RGB")))


def test_camera_rotation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    data = load(tree(tmp_path / "t", animals() | {"cat/9.png": png(noise(5), exif=exif)}))
    assert np.array_equal(data.train.pixels[4], np.asarray(noise(5))[::-1, ::-1])


def test_damaged_image_is_named(make: Make) -> None:
    whole = png(noise(5, (64, 64)))
    path = make(animals() | {"cat/7.png": whole[: len(whole) // 2]})
    assert f"{path}: cat/7.png cannot be read as an image" in refused(path)
    path = make(animals() | {"cat/7.png": b""})
    assert f"{path}: cat/7.png cannot be read as an image" in refused(path)


def test_deep_images_are_refused(make: Make) -> None:
    deep = Image.fromarray(np.zeros((8, 8), np.uint16))
    path = make(animals() | {"cat/7.png": png(deep)})
    assert refused(path) == f"{path}: cat/7.png has more than 8 bits per pixel; convert it to 8"


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(16, 16)], 16),
        ([(28, 28)], 28),
        ([(40, 40)], 40),
        ([(50, 50)], 32),  # cannot be halved twice
        ([(40, 40), (44, 44)], 32),
        ([(40, 50)], 32),
        ([(22, 30), (60, 60)], 20),  # never enlarged
    ],
)
def test_default_size(tmp_path: Path, sizes: list[tuple[int, int]], expected: int) -> None:
    files = {f"{c}/{i}.png": png(noise(i, size)) for c in "ab" for i, size in enumerate(sizes)}
    assert load(tree(tmp_path / "t", files)).spec.size == expected


def test_sizes(tmp_path: Path) -> None:
    path = tree(tmp_path / "t", {f"{c}/1.png": png(noise(1, (40, 24))) for c in "ab"})
    data = load(path, size=12)
    expected = noise(1, (40, 24)).resize((12, 12), Image.Resampling.LANCZOS, box=(8, 0, 32, 24))
    assert np.array_equal(data.train.pixels[0], np.asarray(expected))
    assert load(path, max_size=12).spec == data.spec
    assert refused(path, size=25) == f"--size 25: {path}: a/1.png has 40x24 pixels, and images can only be reduced"


def test_reference(tmp_path: Path) -> None:
    path = tree(tmp_path / "t", animals())
    other = zipped(tmp_path / "r.zip", animals(n=3, seed=500) | {"cat/9.png": png(noise(999))})
    data = load(path, reference=other)
    assert len(data.train) == 12
    assert counts_of(data.reference, 3) == [3, 3, 3]
    assert not rows(data.reference) & rows(data.train)
    other = zipped(tmp_path / "o.zip", {"cat/1.png": png(noise(1)), "cow/1.png": png(noise(1))})
    assert refused(path, reference=other) == f"--reference {other}: its class folders are not those of {path}"


def cache(folder: Path) -> list[Path]:
    return sorted((folder / "imagefolder").iterdir())


def test_cache(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tree(tmp_path / "t", animals("train/") | animals("test/", n=2))
    kind = plugin("imagefolder")
    assert kind(data=path).prepare() == f"12 images of 3 classes are decoded in {folder}."
    assert len(cache(folder)) == 2
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules[kind.__module__], "decode", None)
        first = load(path)
    same = load(zipped(tmp_path / "same.zip", animals("train/") | animals("test/", n=2)))
    assert first.spec == same.spec
    assert len(cache(folder)) == 4


def test_changed_tree_is_read_again(tmp_path: Path, folder: Path) -> None:
    path = tree(tmp_path / "t", animals())
    before = load(path)
    file = path / "cat" / "0.png"
    file.write_bytes(png(noise(77)))
    os.utime(file, ns=(1, 1))
    after = load(path)
    assert np.array_equal(after.train.pixels[0], np.asarray(noise(77)))
    assert before.spec.data_sha256 != after.spec.data_sha256
    (path / "cat" / "0.png").rename(path / "cat" / "9.png")
    assert np.array_equal(load(path).train.pixels[3], np.asarray(noise(77)))


def test_changed_zip_is_read_again(tmp_path: Path) -> None:
    path = zipped(tmp_path / "z.zip", animals())
    stat = path.stat()
    load(path)
    zipped(path, animals() | {"cat/0.png": png(noise(77))})
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert np.array_equal(load(path).train.pixels[0], np.asarray(noise(77)))


def test_import_by_prepare(tmp_path: Path, folder: Path) -> None:
    plugin("imagefolder")().prepare(zipped(tmp_path / "z.zip", animals()))
    assert len(cache(folder)) == 1


def test_cache_that_cannot_be_written(tmp_path: Path, folder: Path) -> None:
    folder.write_text("a file")
    assert f"cannot write {folder / 'imagefolder'}" in refused(tree(tmp_path / "t", animals()))


def test_linked_folders_are_followed(tmp_path: Path) -> None:
    real = tree(tmp_path / "real", animals())
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in ("cat", "eel"):
        (linked / name).symlink_to(real / name)
    assert load(linked).class_names == ("cat", "eel")
    (real / "cat" / "gone.png").symlink_to(real / "nowhere")
    assert refused(linked) == f"cannot read {linked / 'cat' / 'gone.png'}: No such file or directory"


@needs_zip
def test_real_zip(folder: Path) -> None:
    kind = plugin("imagefolder")
    data = kind(data=ZIP).load()
    check_balanced(data)
    assert data.class_counts == exponential_counts(5000, 10, 100)
    assert data.class_names[0] == "airplane"
    assert data.test is not None
    assert counts_of(data.test, 10) == [1000] * 10
    assert data.train.pixels.shape == (12_406, 32, 32, 3)
    # The files are sorted, so the labels are those of the golden split above.
    assert data.spec.split_sha256 == "f5a6ab138b23b845089475f48a506b9479d512102972d52a891a06c42a25baa3"
    assert kind(data=ZIP).load().spec == data.spec


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:-100], lambda b: b[:400] + bytes(500) + b[900:]])
def test_a_damaged_cache_is_made_again(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[bytes], bytes]
) -> None:
    path = tree(tmp_path / "t", animals("train/") | animals("test/", n=2))
    before = load(path)
    for file in cache(folder):
        file.write_bytes(damage(file.read_bytes()))
    assert load(path).spec == before.spec
    err = capsys.readouterr().err
    assert sorted(line.split(",")[0] for line in err.splitlines()) == [str(file) for file in cache(folder)]
    load(path)
    assert capsys.readouterr().err == ""


def test_a_cache_of_other_images_is_made_again(tmp_path: Path, folder: Path) -> None:
    path = tree(tmp_path / "t", animals())
    before = load(path)
    (file,) = cache(folder)
    Images(np.zeros((5, 8, 8, 3), np.uint8), np.array([0, 0, 1, 1, 2])).save(file)
    assert load(path).spec == before.spec


def test_a_full_disk_is_noticed_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=100))
    sentence = refused(tree(tmp_path / "t", animals()))
    assert "needs 0.0 MB of free disk, and has 0.0 MB; make room, or name another folder, --data-dir" in sentence


def test_an_image_that_is_too_small_is_named(tmp_path: Path) -> None:
    path = tree(tmp_path / "t", animals() | {"cat/x.png": png(noise(1, (3, 9)))})
    assert refused(path) == f"{path}: cat/x.png has 3x9 pixels, and images need at least 4x4; remove it"
    assert load(path, size=3).spec.size == 3
    path = tree(tmp_path / "s", animals("train/") | animals("test/") | {"test/cat/0.png": png(noise(1, (7, 9)))})
    assert refused(path) == (
        f"{path}: test/cat/0.png has 7x9 pixels, and images can only be reduced, here to 8x8; remove it, or choose a "
        "smaller --size"
    )
