"""Which device to work on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ltgen_bench.errors import UsageError


def pick_device(name: str) -> torch.device:
    """ "auto" is CUDA if there is any. Raises UsageError for a device this machine does not have."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"--device {name}: there is no such kind of device; use auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"--device {name}: this machine has no CUDA device; use --device cpu")
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"--device {name}: only cpu and cuda are supported")
    return device


def describe_device(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu ({torch.get_num_threads()} threads)"


def describe_training(device: torch.device, processes: int, *, compiled: bool) -> str:
    """`2 x NVIDIA H200, compiled`: what the speed of a training depends on."""
    one = describe_device(device)
    return (f"{processes} x {one}" if processes > 1 else one) + ", compiled" * compiled


@contextmanager
def exact_float32() -> Iterator[None]:
    """Within it, or in a function that it decorates, a GPU computes float32 in float32, and the same each time.

    By default cuDNN rounds the inputs of convolutions to TF32, which has 10 bits of mantissa, and adds up gradients in
    whatever order threads arrive. Matrix products are float32 by default, but the user may have said otherwise.
    """
    cudnn = torch.backends.cudnn
    with (
        cudnn.flags(cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=False),
        _exact_matmul(),
    ):
        yield


@contextmanager
def _exact_matmul() -> Iterator[None]:
    """The same of matrix products, whichever of PyTorch's two settings the user has used: it refuses a mix."""
    matmul = torch.backends.cuda.matmul
    try:
        before = torch.get_float32_matmul_precision()
    except RuntimeError:  # the newer one
        newer, matmul.fp32_precision = matmul.fp32_precision, "ieee"
        try:
            yield
        finally:
            matmul.fp32_precision = newer
        return
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


PEAK_TFLOPS = {
    # Dense bf16 on tensor cores, by a part of the device's name, the longest first.
    "H100 NVL": 835,
    "H100 PCIe": 756,
    "H100": 989,
    "H200": 989,
    "A100": 312,
    "A10G": 70,
    "A40": 150,
    "L40S": 362,
    "L40": 181,
    "L4": 121,
    "RTX 4090": 165,
    "RTX 3090": 71,
}


def peak_flops(device: torch.device, precision: str) -> float | None:
    """Floating-point operations per second that the device's maker promises; None where it is not known."""
    if device.type != "cuda" or precision != "bf16":
        return None
    name = torch.cuda.get_device_name(device)
    found = [tflops for part, tflops in PEAK_TFLOPS.items() if part in name]
    return found[0] * 1e12 if found else None
