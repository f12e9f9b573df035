from __future__ import annotations

import dataclasses
import gzip
import hashlib
import importlib
import io
import json
import os
import pickle
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image

from ltgen_bench.data.dataset import Dataset, Pool
from ltgen_bench.data.images import Images
from ltgen_bench.data.long_tail import LongTail, choose, exponential_counts
from ltgen_bench.data.prepare import data_folder, preparing
from ltgen_bench.data.resize import resized, square
from ltgen_bench.errors import UsageError

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("LTGEN_TEST_DATA", ROOT.parent / "shared" / "data"))
ZIP = SHARED / "cifar10-jpeg.zip"
FILES = ("digitslt", "cifar10lt", "cifar100lt", "fashionmnistlt", "imagefolder")
needs_fashion = pytest.mark.skipif(not (SHARED / "FashionMNIST").is_dir(), reason="needs LTGEN_TEST_DATA")
needs_zip = pytest.mark.skipif(not ZIP.is_file(), reason="needs LTGEN_TEST_DATA")


def plugin(name: str) -> type[Dataset]:
    module = importlib.import_module(f"ltgen_bench.datasets.{name}")
    (found,) = (c for c in vars(module).values() if isinstance(c, type) and getattr(c, "name", None) == name)
    return found


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the user's data."""
    monkeypatch.setenv("LTGEN_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def sha256(index: np.ndarray) -> str:
    return hashlib.sha256(index.astype("<i8").tobytes()).hexdigest()


def counts_of(images: Images, classes: int) -> list[int]:
    return np.bincount(images.labels, minlength=classes).tolist()


def rows(images: Images) -> set[bytes]:
    return {label.tobytes() + pixels.tobytes() for pixels, label in zip(images.pixels, images.labels, strict=True)}


def check_balanced(data: LongTail) -> None:
    assert len(set(counts_of(data.reference, len(data.class_names)))) == 1
    assert (np.diff(data.reference.labels) >= 0).all()
    assert rows(data.train) <= rows(data.reference)
    assert data.class_counts[0] == max(data.class_counts)
    assert list(data.class_counts) == counts_of(data.train, len(data.class_names))


# The recipe


@pytest.mark.parametrize(
    ("n_max", "classes", "imbalance", "total"),
    [
        (5000, 10, 100, 12_406),
        (5000, 10, 50, 13_996),
        (5000, 10, 10, 20_431),
        (5000, 10, 1000, 9_324),
        (500, 100, 100, 10_847),
        (500, 100, 50, 12_608),
        (500, 100, 10, 19_573),
    ],
)
def test_published_totals(n_max: int, classes: int, imbalance: float, total: int) -> None:
    counts = exponential_counts(n_max, classes, imbalance)
    assert sum(counts) == total
    assert counts[0] == n_max
    assert list(counts) == sorted(counts, reverse=True)


def test_published_counts() -> None:
    assert exponential_counts(5000, 10, 100) == (5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50)
    assert exponential_counts(170, 10, 20) == (170, 121, 87, 62, 44, 32, 23, 16, 11, 8)
    assert exponential_counts(7, 3, 1) == (7, 7, 7)


@pytest.mark.parametrize("imbalance", [0.5, 0, -3, float("nan"), float("inf")])
def test_imbalance_below_one_is_refused(imbalance: float) -> None:
    with pytest.raises(UsageError, match="must be 1"):
        exponential_counts(100, 10, imbalance)


def test_empty_class_is_refused_with_the_largest_ratio() -> None:
    with pytest.raises(UsageError) as error:
        exponential_counts(170, 10, 1000)
    assert str(error.value) == (
        "--imbalance 1000: class 7 (of 0 to 9) would get no image, as the largest class has 170; "
        "the largest ratio that leaves every class an image is 170"
    )


@pytest.mark.parametrize("n_max", [1, 49, 170, 500, 5000])  # 49 * (1 / 49) is below 1
def test_the_ratio_named_is_the_largest(n_max: int) -> None:
    with pytest.raises(UsageError) as error:
        exponential_counts(n_max, 10, 10 * n_max)
    largest = int(str(error.value).split()[-1])
    assert exponential_counts(n_max, 10, largest)[-1] == 1
    with pytest.raises(UsageError):
        exponential_counts(n_max, 10, largest + 1)


def test_choice_is_that_of_the_published_code() -> None:
    labels = np.random.default_rng(1).integers(0, 4, 400)
    counts = (60, 31, 12, 5)
    state = np.random.get_state()
    try:
        np.random.seed(0)
        published = []
        for c, count in enumerate(counts):
            index = np.where(labels == c)[0]
            np.random.shuffle(index)
            published.append(index[:count])
    finally:
        np.random.set_state(state)
    assert np.array_equal(choose(labels, counts), np.concatenate(published))


@pytest.mark.parametrize(
    ("classes", "n_max", "tiled", "expected"),
    [
        (10, 5000, False, "f5a6ab138b23b845089475f48a506b9479d512102972d52a891a06c42a25baa3"),
        (10, 5000, True, "563055e23a86ca16a1817853b5083e2cc07118f9307ecc8082d4fcdc922f6f6b"),
        (100, 500, False, "b56cfff7465dadc1cd15f6ef246e2b5e2be1cfcb2955f4b6513457ed62e242e1"),
        (100, 500, True, "7ebcb6242d814b39233926ff2bf7384134fe218439f2616771d2a54baec405cb"),
    ],
)
def test_golden_splits(classes: int, n_max: int, tiled: bool, expected: str) -> None:
    ids = np.arange(classes)
    labels = np.tile(ids, n_max) if tiled else np.repeat(ids, n_max)
    assert sha256(choose(labels, exponential_counts(n_max, classes, 100))) == expected


def test_choice_leaves_the_global_generator_alone() -> None:
    before = np.random.get_state()
    choose(np.repeat(np.arange(3), 9), (9, 5, 2))
    after = np.random.get_state()
    assert before[2] == after[2]
    assert np.array_equal(before[1], after[1])


def test_choice_refuses_what_is_not_there() -> None:
    with pytest.raises(ValueError, match="class 1 has 2 images, fewer than the 3"):
        choose(np.array([0, 0, 0, 1, 1]), (3, 3))


# The base class


class Made(Dataset):
    """Made of noise."""

    name = "made"
    preset = "smoke"
    flip = False
    counts = (9, 6, 7)

    def pool(self) -> Pool:
        labels = np.repeat(np.arange(3), self.counts)
        pixels = np.random.default_rng(0).integers(0, 256, (len(labels), 8, 8, 3), np.uint8)
        return Pool(Images(pixels, labels), ("a", "b", "c"), test=Images(pixels[:2], labels[:2]))


def test_recipe_without_n_max_starts_at_the_smallest_class() -> None:
    data = Made(imbalance=3).load()
    assert data.class_counts == (6, 3, 2)
    assert counts_of(data.reference, 3) == [6, 6, 6]
    check_balanced(data)


def test_images_as_they_come() -> None:
    data = Made(imbalance=None).load()
    pool = Made().pool()
    assert data.train.sha256 == pool.images.sha256
    assert data.class_counts == (9, 6, 7)
    assert data.spec.imbalance is None
    assert data.spec.split_sha256 == sha256(np.arange(22))
    assert counts_of(data.reference, 3) == [6, 6, 6]


def test_spec_is_json_and_complete() -> None:
    data = Made(imbalance=3, size=4).load()
    spec = json.loads(json.dumps(dataclasses.asdict(data.spec), allow_nan=False))
    assert spec == {
        "name": "made",
        "version": 1,
        "imbalance": 3.0,
        "size": 4,
        "channels": 3,
        "class_counts": [6, 3, 2],
        "split_sha256": data.spec.split_sha256,
        "data_sha256": data.train.sha256,
        "reference_sha256": data.reference.sha256,
    }
    assert Made(imbalance=3, size=4).load().spec == data.spec


def test_size_reduces_every_part() -> None:
    data = Made(imbalance=3, size=5).load()
    assert data.test is not None
    for part in (data.train, data.reference, data.test):
        assert part.pixels.shape[1:] == (5, 5, 3)


def test_max_size_reduces_only_larger_images() -> None:
    assert Made(max_size=16, imbalance=1).load().spec.size == 8
    assert Made(max_size=4, imbalance=1).load().spec == Made(size=4, imbalance=1).load().spec


@pytest.mark.parametrize("channels", [1, 3])
def test_resize_is_pillows(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 12, 12, channels), np.uint8)
    small = resized(Images(pixels, np.arange(3)), 5)
    for i in range(3):
        image = Image.fromarray(pixels[i].squeeze()).resize((5, 5), Image.Resampling.LANCZOS)
        assert np.array_equal(small.pixels[i].squeeze(), np.asarray(image))
    assert small.labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("size", [0, -1, 9])
def test_impossible_size(size: int) -> None:
    with pytest.raises(UsageError, match=rf"--size {size}: the images have 8x8 pixels and can only be reduced"):
        Made(size=size).load()


def test_square_is_the_centre() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 11, 3), np.uint8)
    assert np.array_equal(np.asarray(square(Image.fromarray(pixels), 6)), pixels[:, 2:8])
    pixels = pixels.transpose(1, 0, 2)
    assert np.array_equal(np.asarray(square(Image.fromarray(pixels), 6)), pixels[2:8])


def images(n: int, size: int, labels: list[int], height: int | None = None) -> Images:
    return Images(np.zeros((n, height or size, size, 1), np.uint8), np.array(labels, np.int64))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Pool(images(2, 8, [0, 1], height=6), ("a", "b")), "must be square, not 6x8"),
        (lambda: Pool(images(1, 8, [0]), ("a",)), "at least two classes"),
        (lambda: Pool(images(2, 8, [0, 2]), ("a", "b")), "labels must be 0 to 1"),
        (lambda: Pool(images(0, 8, []), ("a", "b")), "every class must have images"),
        (lambda: Pool(images(2, 8, [0, 0]), ("a", "b")), "every class must have images"),
        (lambda: Pool(images(2, 8, [0, 1]), ("a", "b"), reference=images(1, 8, [1])), "every class"),
        (lambda: Pool(images(2, 8, [0, 1]), ("a", "b"), test=images(1, 6, [1])), "in one dataset"),
    ],
)
def test_pools_that_do_not_go_together(make: Callable[[], Pool], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# Where data is


def test_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LTGEN_DATA", str(tmp_path))
    assert data_folder(Path("here")) == Path.cwd() / "here"
    assert data_folder() == tmp_path
    assert data_folder(Path("~/x")) == Path.home() / "x"


def test_default_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    platformdirs = pytest.importorskip("platformdirs")
    monkeypatch.delenv("LTGEN_DATA")
    assert data_folder() == platformdirs.user_cache_path("ltgen-bench", appauthor=False)


@pytest.mark.parametrize("name", ["cifar10lt", "cifar100lt", "fashionmnistlt"])
def test_missing_data_names_the_command(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        plugin(name)().load()
    assert str(error.value) == (
        f"{name} is not prepared here (looked in {tmp_path / 'data'}). Run: ltgen-bench prepare {name}"
    )
    with pytest.raises(UsageError, match=r"prepare \S+ --data-dir '/a b'$"):
        plugin(name)(data_dir=Path("/a b")).load()


def test_preparing_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "set"
    with preparing(target) as part:
        (part / "file").write_text("x")
        assert not target.exists()
    assert [p.name for p in target.parent.iterdir()] == ["set"]
    assert (target / "file").read_text() == "x"


@pytest.mark.parametrize("problem", [RuntimeError, KeyboardInterrupt])
def test_interrupted_preparing_leaves_nothing(tmp_path: Path, problem: type[BaseException]) -> None:
    def prepare() -> None:
        with preparing(tmp_path / "set") as part:
            (part / "file").write_text("x")
            raise problem

    with pytest.raises(problem):
        prepare()
    assert list(tmp_path.iterdir()) == []


def test_preparing_twice_at_once(tmp_path: Path) -> None:
    with preparing(tmp_path / "set"), pytest.raises(UsageError) as error, preparing(tmp_path / "set"):
        pass
    assert f"{tmp_path / 'set'} is being prepared by process {os.getpid()} on " in str(error.value)
    assert str(error.value).endswith(f"; if that is gone, delete {tmp_path / '.set.lock'}")
    assert (tmp_path / "set").is_dir()


def test_preparing_after_a_killed_process(tmp_path: Path) -> None:
    (tmp_path / ".set.part").mkdir()
    (tmp_path / ".set.part" / "half").write_text("x")
    with preparing(tmp_path / "set"):
        pass
    assert list((tmp_path / "set").iterdir()) == []


def test_preparing_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "set").write_text("mine")
    with pytest.raises(UsageError, match="exists already"), preparing(tmp_path / "set"):
        pass
    with pytest.raises(UsageError, match="cannot write in"), preparing(tmp_path / "set" / "in a file"):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


# All of them


@pytest.mark.parametrize("name", FILES)
def test_contract(name: str) -> None:
    kind = plugin(name)
    first = (kind.__doc__ or "").splitlines()[0]
    assert 0 < len(first) <= 110
    assert first.endswith(".")
    assert kind.preset in ("smoke", "mini", "paper")
    assert isinstance(kind.flip, bool)
    assert kind.version == 1


def test_listing_is_light() -> None:
    code = (
        f"import sys, importlib; [importlib.import_module('ltgen_bench.datasets.' + n) for n in {FILES}];"
        "print(sorted({'torch', 'torchvision', 'sklearn', 'ray'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_folder_is_no_package() -> None:
    assert not (ROOT / "datasets" / "__init__.py").exists(), "it would shadow Hugging Face's `datasets`"


# digitslt


def test_digits() -> None:
    data = plugin("digitslt")().load()
    check_balanced(data)
    assert data.class_counts == (170, 121, 87, 62, 44, 32, 23, 16, 11, 8)
    assert counts_of(data.reference, 10) == [174] * 10
    assert data.train.pixels.shape == (574, 8, 8, 1)
    assert (data.train.pixels.min(), data.train.pixels.max()) == (0, 255)
    assert data.test is None
    assert data.groups.majority == (0, 1, 2)
    assert data.spec.imbalance == 20
    assert data.spec.split_sha256 == "435e456388d7e688fc486deee4859e28acbb75f66b17f1d92fbf17dd6d52f5a7"
    assert data.spec.data_sha256 == "e4d34e0890a1bd6d5fbf86e7960230d9368010a42199c5135329ece00794d6c5"


def test_digits_need_nothing() -> None:
    digits = plugin("digitslt")
    assert digits().prepare() == "digitslt needs no preparation."
    with pytest.raises(UsageError, match="leave out --from"):
        digits().prepare(Path("x"))
    with pytest.raises(UsageError, match="leave out --data"):
        digits(data=Path("x"))


# fashionmnistlt


def idx(data: np.ndarray) -> bytes:
    return bytes([0, 0, 8, data.ndim]) + np.array(data.shape, ">u4").tobytes() + data.tobytes()


@pytest.fixture
def fashion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of small files like the published ones, which the plugin takes for them."""
    module = sys.modules[plugin("fashionmnistlt").__module__]
    raw = tmp_path / "raw files"
    raw.mkdir()
    random = np.random.default_rng(0)
    for split, n in (("train", 20), ("t10k", 10)):
        (raw / f"{split}-images-idx3-ubyte").write_bytes(idx(random.integers(0, 256, (n, 28, 28), np.uint8)))
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(idx(np.arange(n, dtype=np.uint8) % 10))
    monkeypatch.setattr(module, "FILES", {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in raw.iterdir()})
    return raw


def pack(raw: Path, packed: Path) -> None:
    packed.mkdir(parents=True)
    for path in raw.iterdir():
        (packed / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 1))


def test_fashion_from_raw_and_packed_files(fashion: Path, folder: Path, tmp_path: Path) -> None:
    kind = plugin("fashionmnistlt")
    assert kind().prepare(fashion) == f"fashionmnistlt is ready in {folder / 'FashionMNIST' / 'raw'}."
    pool = kind().pool()
    assert pool.images.pixels.shape == (20, 32, 32, 1)
    assert pool.test is not None
    assert len(pool.test) == 10
    first = np.frombuffer((fashion / "train-images-idx3-ubyte").read_bytes()[16 : 16 + 784], np.uint8).reshape(28, 28)
    assert np.array_equal(pool.images.pixels[0, 2:30, 2:30, 0], first)
    assert (
        pool.images.pixels.sum() == np.frombuffer((fashion / "train-images-idx3-ubyte").read_bytes()[16:], "u1").sum()
    )

    pack(fashion, tmp_path / "torchvision" / "FashionMNIST" / "raw")
    other = kind(data_dir=tmp_path / "other")
    other.prepare(tmp_path / "torchvision")
    assert other.pool().images.sha256 == pool.images.sha256
    assert "already" in other.prepare(tmp_path / "nowhere")


def test_fashion_refuses_other_files(fashion: Path, folder: Path) -> None:
    labels = fashion / "t10k-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1] + b"\0")
    with pytest.raises(UsageError, match=f"{labels} is not the published file"):
        plugin("fashionmnistlt")().prepare(fashion)
    labels.unlink()
    with pytest.raises(UsageError, match=r"neither t10k-labels-idx1-ubyte nor t10k-labels-idx1-ubyte.gz"):
        plugin("fashionmnistlt")().prepare(fashion)
    (fashion / f"{labels.name}.gz").write_bytes(gzip.compress(b"x" * 999)[:-9])
    with pytest.raises(UsageError, match="cannot be unpacked"):
        plugin("fashionmnistlt")().prepare(fashion)
    assert list((folder / "FashionMNIST").iterdir()) == []


def test_fashion_notices_damage(fashion: Path, folder: Path) -> None:
    plugin("fashionmnistlt")().prepare(fashion)
    path = folder / "FashionMNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UsageError, match="damaged or missing; delete"):
        plugin("fashionmnistlt")().load()


def test_fashion_download(fashion: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    utils = pytest.importorskip("torchvision.datasets.utils")
    packed = tmp_path / "server"
    pack(fashion, packed)

    def serve(url: str, root: str, name: str, md5: str) -> None:
        (Path(root) / name).write_bytes((packed / name).read_bytes())

    monkeypatch.setattr(utils, "download_url", serve)
    plugin("fashionmnistlt")().prepare()
    raw = folder / "FashionMNIST" / "raw"
    assert sorted(p.name for p in raw.iterdir()) == sorted(p.name for p in fashion.iterdir())


def test_failed_download_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    utils = pytest.importorskip("torchvision.datasets.utils")

    def fail(url: str, root: str, name: str, md5: str) -> None:
        (Path(root) / name).write_bytes(b"half")
        raise URLError("no route to host")

    monkeypatch.setattr(utils, "download_url", fail)
    for name in ("fashionmnistlt", "cifar10lt"):
        with pytest.raises(UsageError, match=r"cannot download \S+: .*no route to host.* --from"):
            plugin(name)().prepare()
    assert [p.name for p in folder.rglob("*")] == ["FashionMNIST"]


@needs_fashion
def test_real_fashion(folder: Path) -> None:
    kind = plugin("fashionmnistlt")
    kind().prepare(SHARED)
    data = kind().load()
    check_balanced(data)
    assert data.class_counts == (6000, 3596, 2156, 1292, 774, 464, 278, 166, 100, 60)
    assert len(data.train) == 14_886
    assert len(data.reference) == 60_000
    assert data.test is not None
    assert counts_of(data.test, 10) == [1000] * 10
    assert data.train.pixels.shape[1:] == (32, 32, 1)
    assert data.spec.split_sha256 == "ed7a73125b2eb63a36be421826f78f842318f4af247699425c5a60caba7dd240"
    assert data.spec.data_sha256 == "dcc4b8467891bcf77a32e443be4bbf344fe13d2ca4cf8b9973c45c08515bb242"


# cifar10lt, cifar100lt


def tar(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.fixture(params=["cifar10lt", "cifar100lt"])
def cifar(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[type[Dataset], Path]:
    """A plugin, and a small archive like the official one, which torchvision takes for it."""
    tv = pytest.importorskip("torchvision.datasets")
    kind: Any = plugin(request.param)
    official = getattr(tv, kind.torchvision_class)
    classes = 10 if request.param == "cifar10lt" else 100
    random = np.random.default_rng(0)

    def batch(n: int) -> bytes:
        labels = (np.arange(n) % classes).tolist()
        entry = {"data": random.integers(0, 256, (n, 3072), np.uint8)}
        return pickle.dumps(entry | {"labels" if classes == 10 else "fine_labels": labels})

    def md5(content: bytes) -> str:
        return hashlib.md5(content, usedforsecurity=False).hexdigest()

    train = {name: batch(2 * classes) for name, _ in official.train_list}
    test = {name: batch(classes) for name, _ in official.test_list}
    meta = pickle.dumps({official.meta["key"]: [f"class {c}" for c in range(classes)]})
    content = {f"{official.base_folder}/{n}": b for n, b in {**train, **test, official.meta["filename"]: meta}.items()}
    archive = tmp_path / "official.tar.gz"
    tar(archive, {"../escaped": b"x", **content, f"{official.base_folder}/unused.html": b"x"})
    monkeypatch.setattr(official, "train_list", [[n, md5(b)] for n, b in train.items()])
    monkeypatch.setattr(official, "test_list", [[n, md5(b)] for n, b in test.items()])
    monkeypatch.setattr(official, "meta", {**official.meta, "md5": md5(meta)})
    monkeypatch.setattr(official, "tgz_md5", md5(archive.read_bytes()))
    return kind, archive


def test_cifar_from_archive_and_folder(cifar: tuple[type[Dataset], Path], folder: Path, tmp_path: Path) -> None:
    kind, archive = cifar
    message = kind().prepare(archive)
    (ready,) = folder.iterdir()
    assert message == f"{kind.name} is ready in {ready}."
    assert "unused.html" not in {p.name for p in ready.iterdir()}
    assert not list(tmp_path.rglob("escaped"))
    data = kind(imbalance=None).load()
    assert data.train.pixels.shape[1:] == (32, 32, 3)
    assert data.test is not None
    assert data.class_names[1] == "class 1"

    for source in (ready, folder):
        other = kind(imbalance=None, data_dir=tmp_path / f"from {source.name}")
        other.prepare(source)
        assert other.load().spec == data.spec
    assert "already" in kind().prepare()


def test_cifar_refuses_another_archive(cifar: tuple[type[Dataset], Path], folder: Path, tmp_path: Path) -> None:
    kind, archive = cifar
    fake = tmp_path / "fake.tar.gz"
    fake.write_bytes(archive.read_bytes() + b"x")
    with pytest.raises(UsageError, match=r"fake.tar.gz: not the official cifar-\d+-python.tar.gz \(its MD5 is not"):
        kind().prepare(fake)
    with pytest.raises(UsageError, match="no such file or folder"):
        kind().prepare(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="is not there or not the official file"):
        kind().prepare(tmp_path)
    assert list(folder.iterdir()) == []


def test_cifar_notices_damage(cifar: tuple[type[Dataset], Path], folder: Path) -> None:
    kind, archive = cifar
    kind().prepare(archive)
    next(folder.rglob("*test*")).write_bytes(b"x")
    with pytest.raises(UsageError, match="is damaged or incomplete; delete it and prepare"):
        kind().load()


def test_cifar_download(cifar: tuple[type[Dataset], Path], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, archive = cifar

    def serve(url: str, root: str, name: str, md5: str) -> None:
        (Path(root) / name).write_bytes(archive.read_bytes())

    monkeypatch.setattr("torchvision.datasets.utils.download_url", serve)
    kind().prepare()
    kind(imbalance=None).load()
    assert not list(folder.rglob("*.tar.gz"))


# imagefolder


def noise(seed: int, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> Image.Image:
    shape = (size[1], size[0], 3) if mode != "L" else (size[1], size[0])
    image = Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))
    return image.convert(mode)


def png(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def animals(prefix: str = "", mode: str = "RGB", n: int = 4, seed: int = 0) -> dict[str, bytes]:
    return {
        f"{prefix}{animal}/{i}.png": png(noise(seed + 10 * c + i, mode=mode))
        for c, animal in enumerate(("cat", "dog", "eel"))
        for i in range(n)
    }


def tree(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.fixture(params=["tree", "zip"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[dict[str, bytes]], Path]]:
    if request.param == "tree":
        yield lambda files: tree(tmp_path / "images", files)
    else:
        yield lambda files: zipped(tmp_path / "images.zip", files)


Make = Callable[[dict[str, bytes]], Path]


def load(path: Path, **options: Any) -> LongTail:
    return plugin("imagefolder")(data=path, imbalance=None, **options).load()


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(UsageError) as error:
        load(path, **options)
    return str(error.value)


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
