"""This suite against figures that the papers' released code computed: CBDM (network, losses, ancestral sampler), OC
(target transfer, DDIM sampler) and CM (network with reserve, loss).

Only figures were taken from that code (golden/released-code.json). Inputs and weights are closed forms, so that anybody
can rebuild them: `spread(n, k)` are the n numbers 2 frac(i phi + 0.1 k) - 1. `inputs` in the file are sums to check the
rebuilt ones by.
"""

import json
import sys
from pathlib import Path

import pytest
import torch

from ltgen_bench.data.groups import Groups
from ltgen_bench.data.long_tail import exponential_counts
from ltgen_bench.diffusion.schedule import alphas_cumprod
from ltgen_bench.diffusion.unet import build
from ltgen_bench.sampling.pipeline import Pipeline
from ltgen_bench.spec.specs import DiffusionSpec, NetSpec, SamplingSpec
from ltgen_bench.training.method import Step, Task
from ltgen_bench.training.stack import parse_methods

FIGURES = json.loads((Path(__file__).parent / "golden" / "released-code.json").read_text(encoding="utf-8"))
NET = NetSpec(channels=(32, 64), layers=1, attention=1, dropout=0, groups=32)
ABAR = alphas_cumprod(DiffusionSpec())
SHAPE = (8, 3, 16, 16)
Y, Y2, T = (torch.tensor(FIGURES["inputs"][name]) for name in ("y", "y2", "t"))
COUNTS = exponential_counts(5000, 10, 100)


def spread(n, k):
    i = torch.arange(1, n + 1, dtype=torch.float64)
    return 2 * torch.frac(i * 0.6180339887498949 + 0.1 * k) - 1


X0 = (torch.round(127.5 * (1 + 0.8 * spread(8 * 3 * 16 * 16, 3.0))) / 127.5 - 1).float().reshape(SHAPE)
NOISE = (3**0.5 * spread(8 * 3 * 16 * 16, 5.5)).float().reshape(SHAPE)
XT = ABAR[T][:, None, None, None].sqrt() * X0 + (1 - ABAR[T])[:, None, None, None].sqrt() * NOISE


def weights(state):
    """Weights by the closed form, for a state dict's names and shapes."""
    made = {}
    for k, name in enumerate(sorted(state)):
        shape = state[name].shape
        value = spread(state[name].numel(), k)
        if name == "class_embedding.weight":
            value = value.reshape(shape).clone()
            value[10] = 0
        elif name.endswith("weight.0.b"):
            value *= 0.03
        elif len(shape) >= 2:
            value *= (3 / (state[name].numel() / shape[0])) ** 0.5
        elif name.endswith("bias"):
            value *= 0.1
        else:
            value = 1 + 0.1 * value
        made[name] = value.reshape(shape).float()
    return made


def network(stack=None, task=None):
    net = build(NET, size=16, channels=3, num_classes=10, seed=0)
    if stack is not None:
        stack.wrap(net, task, 0)
    net.unet.load_state_dict(weights(net.unet.state_dict()))
    return net


@pytest.fixture
def task():
    return Task(torch.tensor(COUNTS).float(), torch.zeros(10, 3, 16, 16), Groups.from_counts(COUNTS), ABAR)


@pytest.fixture
def their_draws(monkeypatch):
    """The labels and images that their code drew, in place of ours."""
    monkeypatch.setattr(torch, "multinomial", lambda *args, **options: Y2)
    seen = []
    t2h = sys.modules[type(parse_methods("t2h").methods[0]).__module__]
    monkeypatch.setattr(t2h, "draw", lambda rows, rng: seen.append(rows) or torch.tensor(FIGURES["t2h"]["drawn"]))
    return seen


def step_of(net, labels=True):
    y_in = Y if labels else torch.full_like(Y, 10)
    return Step(index=0, seed=0, x0=X0, y=Y, y_in=y_in, unconditional=not labels, t=T, noise=NOISE, xt=XT, net=net)


def close(mine, theirs, tolerance):
    theirs = torch.tensor(theirs, dtype=torch.float64)
    torch.testing.assert_close(torch.as_tensor(mine).double(), theirs, rtol=tolerance, atol=tolerance)


def test_the_inputs_are_those_of_the_figures(task):
    assert X0.double().sum().item() == pytest.approx(FIGURES["inputs"]["x0_sum"], abs=1e-3)
    assert NOISE.double().sum().item() == pytest.approx(FIGURES["inputs"]["noise_sum"], abs=1e-3)
    for stack, name in ((None, "weights_abs_sum"), (parse_methods("cm"), "cm_weights_abs_sum")):
        state = network(stack, task).unet.state_dict()
        assert sum(w.double().abs().sum().item() for w in state.values()) == pytest.approx(FIGURES["inputs"][name])


@pytest.mark.parametrize(("labels", "name"), [(True, "labels"), (False, "none")])
def test_network(labels, name):
    theirs = FIGURES["net"][name]
    with torch.no_grad():
        out = network()(XT, T, Y if labels else torch.full_like(Y, 10))
    close(out.mean((1, 2, 3)), theirs["per_image_mean"], 2e-6)
    close(out.square().mean((1, 2, 3)).sqrt(), theirs["per_image_rms"], 5e-6)
    close(out[0, 0, 0, :4], theirs["pixels_0_0_0_0to3"], 1e-5)
    close(out[7, 2, 15, 12:], theirs["pixels_7_2_15_12to15"], 1e-5)


@pytest.mark.parametrize("name", FIGURES["losses"])
def test_losses_and_gradients(name, task, their_draws):
    theirs = FIGURES["losses"][name]
    text, _, w_div = name.removesuffix(" without labels").partition(" w_div=")
    stack = parse_methods(text, {"cm": {"w_div": w_div}} if w_div else {})
    net = network(stack, task)
    loss, terms = stack.loss(step_of(net, labels="without" not in name), task)
    loss.backward()
    assert loss.item() == pytest.approx(theirs["loss"], rel=1e-6)
    parts = {term.rpartition("/")[2]: value.item() for term, value in terms.items()}
    for part in {"denoise", "balance", "capacity"} & theirs.keys():
        assert parts.get(part, 0.0) == pytest.approx(theirs[part], rel=1e-5), part
    norms = {n: p.grad.double().norm().item() for n, p in net.unet.named_parameters() if p.grad is not None}
    for parameter, norm in theirs["gradient_norms"].items():
        mine = sum(n**2 for n in norms.values()) ** 0.5 if parameter == "all" else norms[parameter]
        assert mine == pytest.approx(norm, rel=1e-4, abs=1e-7), parameter


def test_transferred_targets(task, their_draws):
    theirs = FIGURES["t2h"]
    step = step_of(None)
    step.rng = torch.Generator()
    target = parse_methods("t2h").methods[0].target(step, task)
    close(their_draws[0], theirs["probabilities"], 1e-3)  # of large distances, in float32
    close(target.mean((1, 2, 3)), theirs["target_per_image_mean"], 1e-5)
    close(target.square().mean((1, 2, 3)).sqrt(), theirs["target_per_image_rms"], 1e-5)


class Scaled(torch.nn.Module):
    """eps(x, t, y) = (0.5 + 0.04 y) x (0.5 + t / 2000), without label 0.45 x (0.5 + t / 2000)."""

    def __init__(self):
        super().__init__()
        config = {"num_class_embeds": 11, "in_channels": 3, "sample_size": 4}
        self.unet = type("Unet", (), {"config": type("Config", (), config), "device": torch.device("cpu")})

    def forward(self, x, t, y):
        factor = torch.where(y == 10, 0.45, 0.5 + 0.04 * y) * (0.5 + t / 2000)
        return factor[:, None, None, None] * x


@pytest.mark.parametrize("omega", [0.0, 1.5])
@pytest.mark.parametrize("kind", ["ddim", "ddpm"])
def test_samplers(kind, omega, monkeypatch):
    """The ancestral chain has all its added noise set to zero and is clipped at its end."""
    shape = (10, 3, 4, 4)
    start = (3**0.5 * spread(480, 7.5)).float().reshape(shape)
    draws = iter(start)
    monkeypatch.setattr(torch, "randn", lambda *args, **options: next(draws, torch.zeros(())).clone())
    monkeypatch.setattr(
        "diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda shape, *args, **options: torch.zeros(shape)
    )
    spec = SamplingSpec(images=10, sampler=kind, steps=50 if kind == "ddim" else 1000, omega=omega)
    x = Pipeline(Scaled(), spec, DiffusionSpec(), seed=0).sample(range(10), torch.arange(10))
    name = f"ddim 50 omega {omega}"
    if kind == "ddpm":
        name, x = f"ddpm 1000 omega {omega}, no noise added, clipped to [-1, 1]", x.clamp(-1, 1)
    theirs = FIGURES["samplers"][name]
    close(x.square().mean((1, 2, 3)).sqrt(), theirs["per_image_rms"], 2e-5)
    close(x[:, 0, 0, 0], theirs["first_pixels"], 5e-5)
