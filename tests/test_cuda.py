"""On a CUDA device: what it computes is what a CPU computes, no step waits for it, and runs go on as if never stopped.

Skipped where there is none. `test_speed.py` asks some of it of an imagined device.
"""

import copy
import dataclasses
import json

import numpy as np
import pytest
import torch
from test_released_code import FIGURES, NOISE, X0, XT, Y2, T, Y, network, task  # noqa: F401
from test_speed import METHODS, log_of, stack_of
from whole_runs import OPTIONS

from ltgen_bench.device import exact_float32
from ltgen_bench.diffusion.unet import build
from ltgen_bench.sampling.pipeline import Pipeline
from ltgen_bench.scoring.extractors import extractor
from ltgen_bench.spec.specs import DiffusionSpec, RunSpec, SamplingSpec
from ltgen_bench.training.method import Step, Task
from ltgen_bench.training.method_contract import NET, TRAIN
from ltgen_bench.training.stack import describe, parse_methods
from ltgen_bench.training.trainer import Trainer

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device"),
    pytest.mark.xdist_group("cuda"),  # each process takes memory of the device
]
GPU = torch.device("cuda", 0)


def trainer(text, data, settings=None, *, precision="fp32", compiled=False):
    stack = stack_of(text, settings)
    train = dataclasses.replace(TRAIN, precision=precision)
    run = RunSpec("contract", data.spec, tuple(map(describe, stack.methods)), NET, train, DiffusionSpec(), 0)
    return Trainer(run, data, stack, GPU, compiled=compiled)


@pytest.mark.parametrize("name", FIGURES["losses"])
def test_losses_and_gradients_of_the_released_code(name, task, monkeypatch):  # noqa: F811
    theirs = FIGURES["losses"][name]
    monkeypatch.setattr(torch, "multinomial", lambda *args, **options: Y2.to(GPU))
    drawn = torch.tensor(FIGURES["t2h"]["drawn"], device=GPU)
    module = type(parse_methods("t2h").methods[0]).__module__
    monkeypatch.setattr(f"{module}.draw", lambda rows, rng: drawn)
    text, _, w_div = name.removesuffix(" without labels").partition(" w_div=")
    stack = parse_methods(text, {"cm": {"w_div": w_div}} if w_div else {})
    net = network(stack, task).to(GPU).to(memory_format=torch.channels_last)
    there = Task(task.class_counts.to(GPU), task.class_means.to(GPU), task.groups, task.alphas_cumprod.to(GPU))
    x0, y, t, noise, xt = (tensor.to(GPU) for tensor in (X0, Y, T, NOISE, XT))
    bare = "without" in name
    y_in = torch.full_like(y, 10) if bare else y
    step = Step(index=0, seed=0, x0=x0, y=y, y_in=y_in, unconditional=bare, t=t, noise=noise, xt=xt, net=net)
    with exact_float32():
        loss, _ = stack.loss(step, there)
        loss.backward()
    assert loss.item() == pytest.approx(theirs["loss"], rel=1e-5)
    norms = [p.grad.double().norm().item() ** 2 for p in net.unet.parameters() if p.grad is not None]
    assert sum(norms) ** 0.5 == pytest.approx(theirs["gradient_norms"]["all"], rel=2e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("text", "settings"), METHODS)
def test_no_step_waits_for_the_device(digits, tmp_path, text, settings, precision):
    made = trainer(text, digits, settings, precision=precision)
    log = log_of(made, tmp_path)
    log.add(*made.train_step())
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            log.add(*made.train_step())
    finally:
        torch.cuda.set_sync_debug_mode("default")
    log.flush()
    lines = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert lines
    assert all(map(torch.isfinite, map(torch.tensor, (line["loss"] for line in lines))))


@pytest.mark.parametrize("text", ["ddpm", "cbdm", "cm", "cm+t2h"])
def test_a_training_that_goes_on_is_the_one_that_never_stopped(digits, text):
    whole, first, then = (trainer(text, digits) for _ in range(3))
    for _ in range(6):
        whole.train_step()
    for _ in range(3):
        first.train_step()
    then.restore(copy.deepcopy(first.state()))
    for _ in range(3):
        then.train_step()
    for name, value in whole.export().items():
        assert torch.equal(value, then.export()[name]), name


def test_bf16_is_near_float32(digits):
    plain, half = trainer("cm", digits), trainer("cm", digits, precision="bf16")
    for _ in range(3):
        assert half.train_step()[0].item() == pytest.approx(plain.train_step()[0].item(), rel=0.02)


@pytest.mark.parametrize("text", ["ddpm", "cm"])
def test_compiled_the_numbers_stay(digits, text):
    plain, compiled = trainer(text, digits), trainer(text, digits, compiled=True)
    for _ in range(3):
        torch.testing.assert_close(plain.train_step()[0], compiled.train_step()[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_images_are_those_of_a_cpu(sampler):
    steps = 10 if sampler == "ddim" else 1000
    spec = SamplingSpec(images=10, sampler=sampler, steps=steps, omega=1.5)
    made = []
    for device in ("cpu", GPU):
        net = build(NET, size=8, channels=1, num_classes=10, seed=0)
        with torch.no_grad():  # an untrained network predicts nothing
            for p in net.parameters():
                p.add_(0.02 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
        pipeline = Pipeline(net.to(device).eval(), spec, DiffusionSpec(), seed=0)
        made.append(pipeline.sample(range(10), torch.arange(10)).cpu())
    torch.testing.assert_close(made[1], made[0], rtol=1e-3, atol=1e-3 * made[0].std().item())


def test_features_are_those_of_a_cpu():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 1), np.uint8)
    here, there = (extractor("efflite0@96", device=device)(pixels)[0] for device in ("cpu", GPU))
    assert np.abs(there - here).max() < 1e-3 * np.abs(here).max()


@pytest.mark.parametrize("method", ["ddpm", "cm+cbdm"])
def test_a_whole_run_and_its_probes(cli, tmp_path, method):
    options = [*OPTIONS[:-1], "cuda", "--runs", tmp_path, "--launcher", "local"]
    ended = cli("run", "--method", method, "--dataset", "digitslt", *options)
    assert ended.code == 0, ended.err
    (result,) = tmp_path.glob("digitslt/*/*/result-*.json")
    record = json.loads(result.read_text())
    name = torch.cuda.get_device_name(GPU)
    assert record["provenance"]["device"] == name
    assert list(record["training"]["devices"]) == [name]
    few = {"pruning": ["--images", 5, "--draws", 1], "dominance": ["--images", 64, "--singles", 8]}
    for kind, words in few.items():
        probed = cli("probe", kind, result.parent, *words, "--device", "cuda", "--runs", tmp_path)
        assert probed.code == 0, probed.err
