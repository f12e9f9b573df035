"""What a network loses, class by class, when its smallest weights are removed.

CM's claim (Hong et al., ICLR 2026): what is known of the minority lies in unimportant weights, so that pruning
hurts it more than the majority.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from ltgen_bench.diffusion.denoiser import Denoiser
from ltgen_bench.probes.specs import PruningSpec
from ltgen_bench.probes.subject import Subject
from ltgen_bench.probes.variants import BASE, Report, Variants
from ltgen_bench.probes.work_folder import WorkFolder


def measure(subject: Subject, spec: PruningSpec, work: WorkFolder, report: Report) -> dict[str, Any]:
    """{"losses": as `Variants.losses`, "scores": as `Variants.scores`, if asked for, "removed": {variant: how many}}.

    Variants are named by their percentage.
    """
    net, prior = subject.network()
    percents = {f"{percent:g}%": percent for percent in spec.percents}

    def make(name: str) -> Denoiser:
        net = subject.network()[0]
        if name != BASE:
            prune(net, percents[name], spec.per)
        return net

    variants = Variants(subject, work, tuple(percents), make, prior, report)
    found: dict[str, Any] = {"losses": variants.losses(spec.loss)}
    if spec.eval is not None:
        found["scores"] = variants.scores(spec.eval)
    weights = sum(weight.numel() for weight in prunable(net))
    return found | {"weights": weights, "removed": {name: prune(net, p, spec.per) for name, p in percents.items()}}


def prunable(net: nn.Module) -> list[Tensor]:
    """The weights of convolutions and linear layers: no biases, normalisation or label table."""
    return [module.weight for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]


@torch.no_grad()
def prune(net: nn.Module, percent: float, per: Literal["layer", "network"]) -> int:
    """Set to zero the `percent` % of the weights that are smallest in magnitude; how many those are.

    per: of each layer its smallest, or the smallest of the whole network. Of equal ones the first go.
    """
    weights = prunable(net)
    parts = [[weight] for weight in weights] if per == "layer" else [weights]
    removed = 0
    for part in parts:
        magnitudes = torch.cat([weight.abs().flatten() for weight in part])
        count = round(len(magnitudes) * percent / 100)
        keep = torch.ones_like(magnitudes)
        keep[magnitudes.argsort(stable=True)[:count]] = 0
        for weight, mask in zip(part, torch.split(keep, [weight.numel() for weight in part]), strict=True):
            weight.mul_(mask.view_as(weight))
        removed += count
    return removed
