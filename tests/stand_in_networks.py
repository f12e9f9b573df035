"""Stand-ins for files of weights that are not there: of their format, with random weights."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ltgen_bench.scoring.extractor import ExtractorFamily


def pixels(n: int, side: int, channels: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, channels), np.uint8)


def stand_in_for(monkeypatch: pytest.MonkeyPatch, family: type[ExtractorFamily], path: Path) -> None:
    """Have the file at `path` taken for the official one of that name."""
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    known = tuple(dataclasses.replace(w, sha256=sha256) if w.file == path.name else w for w in family.weights)
    assert known != family.weights
    monkeypatch.setattr(family, "weights", known)


class StandIn(nn.Module):
    """The parts of NVIDIA's TorchScript file that are used: `layers` to (n, 2048, 1, 1), and `output` with a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 2048, 3, 32), nn.AdaptiveAvgPool2d(1))
        self.output = nn.Linear(2048, 1008)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.layers(x).flatten(1))


def random_state(net: nn.Module) -> dict[str, Tensor]:
    """Weights of a network such that signals neither vanish nor explode, and running statistics like real ones.

    The same everywhere: NumPy promises never to change this generator's numbers.
    """
    random = np.random.RandomState(0)
    state = net.state_dict()
    for name in sorted(state):
        value = state[name]
        if name.endswith(("running_var", "ls1.gamma", "ls2.gamma")):
            value.copy_(torch.from_numpy(random.uniform(0.5, 1.5, value.shape)))
        elif value.is_floating_point():
            fan_in = max(1, value[0].numel()) if value.ndim > 1 else 100
            value.copy_(torch.from_numpy(random.standard_normal(value.shape) * (2 / fan_in) ** 0.5))
        if name.endswith(("bn.weight", "norm.weight", "norm1.weight", "norm2.weight")):
            value.add_(1)
    return state


def ramps(side: int) -> NDArray[np.uint8]:
    """Two smooth images, (2, side, side, 3): on noise alone, a resize would hardly matter."""
    rows, columns = np.mgrid[:side, :side] / side
    waves = [
        np.sin(2 * np.pi * (f * rows + g * columns)) for f, g in ((1, 0), (0, 2), (3, 1), (2, 2), (1, 3), (0.5, 4))
    ]
    return (np.stack(waves, -1).reshape(side, side, 2, 3).transpose(2, 0, 1, 3) * 127 + 128).round().astype(np.uint8)
