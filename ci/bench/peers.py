"""What others do in a training step and in a sampling pass, at equal network and batch.

Needs accelerate and denoising-diffusion-pytorch (`pip install '.[bench]'`). Both load their images in the process
itself: on a few cores, loaders in processes of their own would only take them from the training.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import os
from collections.abc import Iterator
from typing import Any

import torch
from accelerate import Accelerator
from common import DEVICE, PRECISION, Job, Task
from denoising_diffusion_pytorch.classifier_free_guidance import GaussianDiffusion, Unet
from diffusers.optimization import get_scheduler
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.training_utils import EMAModel
from diffusers.utils.torch_utils import randn_tensor
from ema_pytorch import EMA
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode
from torchvision import transforms

DIM = {(32, 64): 28, (128, 256, 256, 256): 128}
"""Width at which denoising-diffusion-pytorch's U-Net has about as many parameters as ours."""


class Pictures(Dataset[tuple[Tensor, int]]):
    """Images as both get them, PIL's, with their labels; decoding files is not counted against anybody."""

    def __init__(self, task: Task, transform: transforms.Compose) -> None:
        images = task.data().train
        mode = "L" if task.channels == 1 else "RGB"
        self.images = [Image.fromarray(p.squeeze(-1) if mode == "L" else p, mode) for p in images.pixels]
        self.labels, self.transform = images.labels.tolist(), transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), self.labels[index]


def endless(loader: Any) -> Iterator[tuple[Tensor, Tensor]]:
    return itertools.chain.from_iterable(itertools.repeat(loader))


def diffusers_step(task: Task) -> Job:
    """A step of examples/unconditional_image_generation/train_unconditional.py at its defaults, told the labels.

    Left out: the progress bar and the tracker.
    """
    accelerator = Accelerator(mixed_precision="bf16" if PRECISION == "bf16" else "no")
    model: Any = task.network().unet.train()
    augmentations = transforms.Compose(
        [
            transforms.Resize(task.size, interpolation=transforms.InterpolationMode.BILINEAR),
            transforms.CenterCrop(task.size),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize([0.5], [0.5]),
        ]
    )
    loader = DataLoader(Pictures(task, augmentations), batch_size=task.batch, shuffle=True, drop_last=True)
    scheduler = DDPMScheduler(num_train_timesteps=1000)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6, eps=1e-8)
    rate = get_scheduler("cosine", optimizer=optimizer, num_warmup_steps=500, num_training_steps=10_000)
    ema = EMAModel(
        model.parameters(), decay=0.9999, use_ema_warmup=True, model_cls=type(model), model_config=model.config
    )
    model, optimizer, loader, rate = accelerator.prepare(model, optimizer, loader, rate)
    ema.to(accelerator.device)
    batches = endless(loader)

    def step() -> dict[str, float]:
        clean, labels = next(batches)
        noise = torch.randn(clean.shape, device=clean.device)
        times = torch.randint(0, scheduler.config.num_train_timesteps, (len(clean),), device=clean.device).long()
        noisy = scheduler.add_noise(clean, noise, times)
        with accelerator.accumulate(model):
            predicted = model(noisy, times, class_labels=labels).sample
            loss = nn.functional.mse_loss(predicted.float(), noise.float())
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            rate.step()
            optimizer.zero_grad()
        if accelerator.sync_gradients:
            ema.step(model.parameters())
        return {"loss": loss.detach().item(), "lr": rate.get_last_lr()[0]}

    return step


class OurUnet(nn.Module):
    """Our network with the interface of denoising-diffusion-pytorch's."""

    forward_with_cond_scale = Unet.forward_with_cond_scale

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.net = task.network()
        self.channels = self.out_dim = task.channels
        self.cond_drop_prob, self.null = 0.5, task.classes
        self.random_or_learned_sinusoidal_cond = False

    def forward(
        self,
        x: Tensor,
        time: Tensor,
        classes: Tensor,
        cond_drop_prob: float | None = None,
        cond_keep_mask: Tensor | None = None,
    ) -> Tensor:
        share = self.cond_drop_prob if cond_drop_prob is None else cond_drop_prob
        keep = torch.rand(len(x), device=x.device) >= share if cond_keep_mask is None else cond_keep_mask
        predicted: Tensor = self.net(x, time, torch.where(keep, classes, self.null))
        return predicted


def their_unet(task: Task) -> Unet:
    """denoising-diffusion-pytorch's own U-Net, in the size that comes nearest to ours."""
    widths = task.net.channels
    return Unet(DIM[widths], task.classes, dim_mults=[w // widths[0] for w in widths], channels=task.channels)


def lucid(task: Task, model: nn.Module, steps: int = 50) -> GaussianDiffusion:
    return GaussianDiffusion(model, image_size=task.size, objective="pred_noise", sampling_timesteps=steps).to(DEVICE)


def lucid_step(task: Task, model: nn.Module) -> Job:
    """A step of denoising-diffusion-pytorch's Trainer, whose batches and losses have labels here.

    Left out: the progress bar.
    """
    accelerator = Accelerator(split_batches=True, mixed_precision=PRECISION if PRECISION == "bf16" else "no")
    diffusion = lucid(task, model)
    transform = transforms.Compose(
        [
            transforms.Resize(task.size),
            transforms.RandomHorizontalFlip(),
            transforms.CenterCrop(task.size),
            transforms.ToTensor(),
        ]
    )
    pin = DEVICE.type == "cuda"
    pictures = Pictures(task, transform)
    loader = accelerator.prepare(
        DataLoader(pictures, batch_size=task.batch, shuffle=True, pin_memory=pin, drop_last=True)
    )
    batches = endless(loader)
    optimizer = torch.optim.Adam(diffusion.parameters(), lr=1e-4, betas=(0.9, 0.99))
    ema = EMA(diffusion, beta=0.995, update_every=10).to(DEVICE)
    diffusion, optimizer = accelerator.prepare(diffusion, optimizer)

    def step() -> float:
        diffusion.train()
        clean, labels = (part.to(DEVICE) for part in next(batches))
        with accelerator.autocast():
            loss = diffusion(clean, classes=labels)
            total: float = loss.item()
        accelerator.backward(loss)
        accelerator.wait_for_everyone()
        accelerator.clip_grad_norm_(diffusion.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        accelerator.wait_for_everyone()
        ema.update()
        return total

    return step


def lucid_pass(task: Task, model: nn.Module, labels: Tensor, steps: int, omega: float) -> Job:
    """denoising-diffusion-pytorch's DDIM sampler with guidance, at its defaults."""
    diffusion = lucid(task, model.eval(), steps)

    def job() -> Tensor:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            images: Tensor = diffusion.sample(labels, cond_scale=1 + omega)
        return images

    return job


def diffusers_pass(task: Task, model: Any, labels: Tensor, steps: int, omega: float) -> Job:
    """diffusers' DDIMPipeline with the guidance of its class-conditional DiTPipeline: labels and null labels."""
    scheduler = DDIMScheduler(num_train_timesteps=1000)
    shape = (len(labels), task.channels, task.size, task.size)
    classes = torch.cat([labels, torch.full_like(labels, task.classes)])

    @torch.no_grad()
    def job() -> list[Any]:
        image = randn_tensor(shape, device=DEVICE)
        scheduler.set_timesteps(steps)
        for t in scheduler.timesteps:
            both = scheduler.scale_model_input(torch.cat([image, image]), t)
            times = t.expand(len(both)).to(DEVICE)
            with torch.autocast(DEVICE.type, torch.bfloat16, enabled=PRECISION == "bf16"):
                predicted = model(both, times, class_labels=classes).sample
            labelled, null = predicted.float().chunk(2)
            image = scheduler.step(null + (1 + omega) * (labelled - null), t, image).prev_sample
        pixels = ((image / 2 + 0.5).clamp(0, 1).cpu().permute(0, 2, 3, 1).numpy() * 255).round().astype("uint8")
        return [Image.fromarray(p.squeeze(-1) if task.channels == 1 else p) for p in pixels]

    return job


def size_of(model: nn.Module, task: Task) -> str:
    """Parameters and FLOPs of a network, in words."""
    parameters = sum(p.numel() for p in model.parameters())
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        label = torch.zeros(1, dtype=torch.long)
        copy.deepcopy(model).to("meta").eval()(torch.zeros(1, task.channels, task.size, task.size), label, label)
    return f"{parameters / 1e6:.2f} M parameters, {counter.get_total_flops() / 1e9:.3f} GFLOP per image and pass"
