"""A trained network on disk: a plain diffusers folder, with what sampling needs beside it."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers.models.unets.unet_2d import UNet2DModel
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ltgen_bench.diffusion.denoiser import Denoiser
from ltgen_bench.diffusion.noise_prior import NoisePrior
from ltgen_bench.errors import UsageError
from ltgen_bench.storage.atomic_files import read_json, write_json

if TYPE_CHECKING:
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

NOTE = "ltgen_bench.json"


def save(
    folder: Path,
    net: Denoiser,
    noise_prior: NoisePrior | None,
    scheduler: DDIMScheduler,
    class_names: tuple[str, ...],
    training: Mapping[str, Any],
) -> None:
    """Write the folder, all or nothing: weights and config for `UNet2DModel.from_pretrained`, the scheduler to sample
    with, the noise prior if the method has one, and a note on labels and training. Raises UsageError when the folder
    exists."""
    if folder.exists():
        raise UsageError(f"{folder} exists already")
    part = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        unet = net.unet.to("cpu", memory_format=torch.contiguous_format)
        unet.save_pretrained(part)
        scheduler.save_pretrained(part)
        if noise_prior is not None:
            mean, std = noise_prior
            prior = {"mean": mean.cpu().contiguous(), "std": std.cpu().contiguous()}
            save_file(prior, part / "noise_prior.safetensors")
        clips = "; give the scheduler's step use_clipped_model_output=True" if scheduler.config.clip_sample else ""
        note = {
            "labels": dict(enumerate(class_names)),
            "null_label": len(class_names),
            "images": f"in [-1, 1]; the network predicts the noise{clips}",
            "noise_prior": noise_prior is not None,
            "training": training,
        }
        write_json(part / NOTE, note)
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def load(folder: Path) -> tuple[Denoiser, NoisePrior | None]:
    """The network, ready to sample, and the method's noise prior. Many kinds of errors when damaged."""
    unet = UNet2DModel.from_pretrained(folder, local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False)
    prior = folder / "noise_prior.safetensors"
    expected = read_json(folder / NOTE).get("noise_prior", prior.exists())
    noise_prior = NoisePrior(**load_file(prior)) if expected else None
    return Denoiser(unet).eval(), noise_prior


def load_whole(folder: Path, way_out: str) -> tuple[Denoiser, NoisePrior | None]:
    """The same; raises UsageError, with the way out, when the folder is damaged in any way, or not there."""
    try:
        training_summary(folder)  # which the record needs
        return load(folder)
    except (OSError, ValueError, LookupError, TypeError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UsageError(f"the trained network {folder} is damaged ({reason}); {way_out}") from error


def training_summary(folder: Path) -> dict[str, Any]:
    """How the training went: seconds, images/s, safeguards that acted."""
    summary: dict[str, Any] = read_json(folder / NOTE)["training"]
    return summary
