"""Time and label reach every part of the network, whatever its width, and training makes use of them."""

import pytest
import torch
from diffusers.models.resnet import ResnetBlock2D

from ltgen_bench.diffusion.unet import build
from ltgen_bench.spec.presets import PRESETS
from ltgen_bench.spec.specs import DiffusionSpec, NetSpec, RunSpec, TrainSpec
from ltgen_bench.training import method_contract
from ltgen_bench.training.stack import describe, parse_methods
from ltgen_bench.training.trainer import Trainer

NETWORKS = {
    **{f"preset {name}": preset.net for name, preset in PRESETS.items() if name != "60k"},  # that of paper
    "contract": method_contract.NET,
    "8": NetSpec(channels=(8,), layers=1, attention=-1),
    "8-16": NetSpec(channels=(8, 16)),
    "64-96-64": NetSpec(channels=(64, 96, 64), layers=1),
}


def responses(spec, seed=0):
    """{block: (response to time, response to label)}: how much of what a residual block adds depends on either.

    The block's input is held, so that what reached earlier blocks does not count.
    """
    net = build(spec, size=16, channels=1, num_classes=10, seed=seed).eval()
    blocks = {name: m for name, m in net.named_modules() if isinstance(m, ResnetBlock2D)}
    for block in blocks.values():  # they start at almost zero
        torch.nn.init.xavier_uniform_(block.conv2.weight, generator=torch.Generator().manual_seed(seed))
    inputs = {}

    def note(name):
        return lambda block, args: inputs.update({name: args[0]})

    hooks = [block.register_forward_pre_hook(note(name)) for name, block in blocks.items()]
    x = torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(seed))
    t, y = torch.full((4,), 200), torch.zeros(4, dtype=torch.long)
    with torch.no_grad():
        encoded = net.encode(x, t, y)
        net.decode(encoded)
        for hook in hooks:
            hook.remove()
        other_t, other_y = net.encode(x, t + 300, y).emb, net.encode(x, t, y + 7).emb
        found = {}
        for name, block in blocks.items():
            held = inputs[name]
            out = block(held, encoded.emb)
            added = out - (held if block.conv_shortcut is None else block.conv_shortcut(held))
            found[name] = tuple(((block(held, e) - out).norm() / added.norm()).item() for e in (other_t, other_y))
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_time_and_label_reach_every_block(name):
    spec = NETWORKS[name]
    found = responses(spec)
    assert len(found) == (2 * spec.layers + 1) * len(spec.channels) + 2
    assert min(min(pair) for pair in found.values()) > 0.05, found


def test_groups_of_one_channel_would_hide_them():
    """What the rule of at least four channels per group is there for (protocol 1 had it so)."""
    found = responses(NetSpec(channels=(32, 64), layers=1, groups=32))
    assert max(found["unet.down_blocks.0.resnets.0"]) < 1e-4
    assert max(found["unet.up_blocks.1.resnets.1"]) < 1e-4


def test_a_short_training_tells_classes_apart(digits):
    """The label with which the noise is predicted best is the image's own, far more often than by chance."""
    stack = parse_methods("ddpm")
    net = NetSpec(channels=(8, 16), layers=1, dropout=0)
    train = TrainSpec(steps=100, batch=32, lr=4e-3, warmup=20, ema=0.9, flip=False, precision="fp32")
    run = RunSpec("x", digits.spec, tuple(map(describe, stack.methods)), net, train, DiffusionSpec(), seed=0)
    trainer = Trainer(run, digits, stack, torch.device("cpu"))
    while trainer.step < train.steps:
        trainer.train_step()
    trained, step = trainer.trained_net(), trainer.make_step(10**6)
    losses = torch.zeros(10, len(step.y))
    with torch.no_grad():
        for t in (300, 400, 500, 600):
            abar = trainer.task.alphas_cumprod[t]
            xt = abar.sqrt() * step.x0 + (1 - abar).sqrt() * step.noise
            for label in range(10):
                y = torch.full_like(step.y, label)
                losses[label] += (trained(xt, torch.full_like(y, t), y) - step.noise).square().mean((1, 2, 3))
    assert (losses.argmin(0) == step.y).float().mean() > 0.5
