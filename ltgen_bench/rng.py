"""Random streams as pure functions of names and numbers.

Every draw of the suite comes from a generator seeded by (seed, what it is for, step or image). So all methods see the
same batches, times and noise; a resumed run continues exactly; and adding a draw somewhere moves no other draw.
"""

from __future__ import annotations

import hashlib
import json

import torch


def seed_of(*parts: int | str) -> int:
    """A 63-bit seed from names and numbers. (Python's own `hash` of a string changes from process to process.)"""
    return int.from_bytes(hashlib.sha256(json.dumps(parts).encode()).digest()[:8], "big") >> 1


def generator(device: torch.device | str, *parts: int | str) -> torch.Generator:
    """A generator on the device, seeded by `seed_of(*parts)`."""
    return torch.Generator(device).manual_seed(seed_of(*parts))


def seed_dropout(device: torch.device, *parts: int | str) -> None:
    """Seed the device's default generator, from which dropout layers draw: they take no generator of their own."""
    # Not torch.manual_seed: it also asks for every other device there might be, which takes 0.3 ms.
    chosen = torch.default_generator
    if device.type == "cuda":
        chosen = torch.cuda.default_generators[torch.cuda.current_device() if device.index is None else device.index]
    chosen.manual_seed(seed_of(*parts))
