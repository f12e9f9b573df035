"""On a GPU float32 is float32, and the same each time, wherever a network is run. A CPU shows what is asked for."""

import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from ltgen_bench.data.long_tail import LongTail
from ltgen_bench.device import describe_training, exact_float32
from ltgen_bench.diffusion.denoiser import Denoiser
from ltgen_bench.diffusion.schedule import alphas_cumprod
from ltgen_bench.diffusion.unet import build
from ltgen_bench.probes.draws import DenoisingLoss
from ltgen_bench.probes.gradients import Gradients
from ltgen_bench.probes.specs import DrawSpec
from ltgen_bench.sampling.pipeline import Pipeline
from ltgen_bench.scoring.extractor import Extractor
from ltgen_bench.spec.specs import DiffusionSpec, NetSpec, SamplingSpec
from ltgen_bench.training.method_contract import trainer
from ltgen_bench.training.stack import parse_methods

CPU = torch.device("cpu")
DIFFUSION = DiffusionSpec()
EXACT = (False, True, False, "highest")


def asked_for() -> tuple[bool, bool, bool, str]:
    cudnn = torch.backends.cudnn
    return cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark, torch.get_float32_matmul_precision()


def network() -> Denoiser:
    return build(NetSpec(channels=(16, 16), layers=1), size=8, channels=1, num_classes=10, seed=0)


def train(digits: LongTail) -> None:
    trainer(parse_methods("cm+cbdm"), digits).train_step()


def sample(digits: LongTail) -> None:
    spec = SamplingSpec(images=10, steps=2, omega=1.0)
    Pipeline(network(), spec, DIFFUSION, seed=0).sample(range(10), torch.arange(10))


def take_losses(digits: LongTail) -> None:
    DenoisingLoss.of({"training": digits.train}, DrawSpec(1, 1, 0), DIFFUSION, CPU, None)(network())


def take_gradients(digits: LongTail) -> None:
    net = network()
    Gradients(net, list(net.parameters()), digits.train, alphas_cumprod(DIFFUSION)).mean(
        0, 1, [False] * len(list(net.parameters())), lambda done: None
    )


@pytest.fixture
def inexact() -> Iterator[tuple[bool, bool, bool, str]]:
    """As fast as a user may have it."""
    torch.set_float32_matmul_precision("high")
    with torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=True):
        yield asked_for()
    torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("work", [train, sample, take_losses, take_gradients])
def test_every_pass_of_a_network_is_exact(
    digits: LongTail,
    monkeypatch: pytest.MonkeyPatch,
    inexact: tuple[bool, bool, bool, str],
    work: Callable[[LongTail], None],
) -> None:
    seen, forward = [], torch.nn.Conv2d.forward

    def noted(self: torch.nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
        seen.append(asked_for())
        return forward(self, x)

    monkeypatch.setattr(torch.nn.Conv2d, "forward", noted)
    work(digits)
    assert set(seen) == {EXACT}
    assert asked_for() == inexact == (True, False, True, "high")


def test_features_are_exact(inexact: tuple[bool, bool, bool, str]) -> None:
    seen = []

    def features(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(asked_for())
        return x.flatten(1), x[:, :0, 0, 0]

    Extractor("own@8", "", 192, 8, 4, CPU, features)(np.zeros((5, 8, 8, 1), np.uint8))
    assert set(seen) == {EXACT}


@exact_float32()
def fails() -> None:
    assert asked_for() == EXACT
    raise ZeroDivisionError


def test_what_the_user_chose_comes_back_also_after_an_error(inexact: tuple[bool, bool, bool, str]) -> None:
    with pytest.raises(ZeroDivisionError):
        fails()
    assert asked_for() == inexact


NEWER = """
import torch
from ltgen_bench.device import exact_float32

matmul = torch.backends.cuda.matmul
matmul.fp32_precision = "tf32"
with exact_float32():
    assert matmul.fp32_precision == "ieee"
assert matmul.fp32_precision == "tf32"
"""


@pytest.mark.skipif(not hasattr(torch.backends.cuda.matmul, "fp32_precision"), reason="this torch has no such setting")
def test_pytorchs_newer_setting_is_minded_too() -> None:
    subprocess.run([sys.executable, "-c", NEWER], check=True)  # a process of its own, as it cannot be undone


def test_a_training_is_described_by_what_its_speed_depends_on() -> None:
    assert describe_training(CPU, 1, compiled=False).startswith("cpu (")
    described = describe_training(CPU, 2, compiled=True)
    assert described.startswith("2 x cpu (")
    assert described.endswith(", compiled")
