"""The published recipe, and what every dataset is built on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import numpy as np
import pytest
from image_files import check_balanced, counts_of, sha256
from PIL import Image

from ltgen_bench.data.dataset import Dataset, Pool
from ltgen_bench.data.images import Images
from ltgen_bench.data.long_tail import choose, exponential_counts
from ltgen_bench.data.resize import resized, square
from ltgen_bench.errors import UsageError

pytestmark = pytest.mark.usefixtures("folder")


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
        "none takes the images as they come, and the largest ratio that leaves every class an image is 170"
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


def test_class_names_are_always_text() -> None:
    class Odd(Made):
        def pool(self) -> Pool:
            return dataclasses.replace(super().pool(), class_names=("caf\udce9", "e\u0301", "a\nb"))

    assert Odd(imbalance=None).load().class_names == ("caf\\xe9", "\xe9", "a\\nb")
