"""Nothing in a training step waits for the device; what the speed rests on gives the same numbers."""

import contextlib
import json
from unittest import mock

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from ltgen_bench import rng
from ltgen_bench.device import peak_flops
from ltgen_bench.diffusion.compiled import CompiledDenoiser
from ltgen_bench.spec.specs import DiffusionSpec, RunSpec
from ltgen_bench.training.log import JsonLines, Log
from ltgen_bench.training.method import Method
from ltgen_bench.training.method_contract import NET, TRAIN, trainer
from ltgen_bench.training.stack import Stack, describe, parse_methods
from ltgen_bench.training.trainer import Trainer, _clip

METHODS = [
    ("ddpm", {}),
    ("cb", {}),
    ("cbdm", {}),
    ("resample", {}),
    ("t2h", {}),
    ("noise-resampling", {}),
    ("cm", {}),
    ("cm", {"dropout": "shared"}),
    ("cm", {"fraction": "0.25"}),
    ("cm", {"fraction": "0.25", "dropout": "shared"}),
    ("cm", {"layers": "all"}),
    ("cm+cbdm+cb+t2h+noise-resampling+resample", {}),
]
WAITS = ("aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero", "aten::equal", "aten::masked_select")
"""What .item(), .tolist(), bool(), boolean indexing and the like come down to, also inside other operations."""

ON_CPU_ONLY = {"aten::_foreach_mul_", "aten::_fused_adam_"}
"""Both read scalar tensors on a CPU; on a GPU each is one kernel for all parameters, which reads them itself."""


def stack_of(text, settings):
    return parse_methods(text, {"cm": settings} if settings else {})


def log_of(made: Trainer, folder) -> Log:
    return Log(made, print, [JsonLines(folder / "train.jsonl", 0).write])


def waits(made: Trainer, log: Log, steps=3) -> list[str]:
    """What a few steps do that would wait for a GPU."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for _ in range(steps):
            log.add(*made.train_step())
    found = []
    for event in profile.events():
        above, parent = list[str](), event.cpu_parent
        while parent is not None:
            above.append(parent.name)
            parent = parent.cpu_parent
        if event.name in WAITS and ON_CPU_ONLY.isdisjoint(above):
            found.append(f"{event.name} in {' in '.join(above)}")
    return found


@pytest.mark.parametrize(("text", "settings"), METHODS)
def test_no_step_waits_for_the_device(digits, tmp_path, text, settings):
    made = trainer(stack_of(text, settings), digits)
    log = log_of(made, tmp_path)
    log.add(*made.train_step())
    assert waits(made, log) == []


class Waits(Method):
    """Reads a value in every step; multinomial does so inside."""

    name = "waits"

    def losses(self, step, task):
        torch.multinomial(torch.ones(2, 3), 1)
        return {"positive": step.eps.sum() if step.eps.sum() > 0 else -step.eps.sum()}


def test_a_step_that_waits_is_seen(digits, tmp_path):
    made = trainer(Stack([Waits()]), digits)
    found = waits(made, log_of(made, tmp_path), steps=1)
    assert any("aten::multinomial" in wait for wait in found)
    assert any("aten::is_nonzero" in wait for wait in found)


class Copies(TorchDispatchMode):
    """Counts copies from the device to the CPU."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default and args[0].is_cuda and not result.is_cuda:
            self.found.append(result)
        return result


@pytest.fixture
def imagined_gpu():
    """Tensors of no content on a GPU that need not be there. Operations on two devices fail as on a real one."""

    def generator(device, *parts):
        return rng.generator("cpu", *parts) if str(device) == "cpu" else None

    def to(net, device=None, **_):
        for module in net.modules() if device else ():
            for table in (module._parameters, module._buffers):
                for name, value in table.items():
                    if value is not None:
                        moved = value.detach().to(device)
                        table[name] = nn.Parameter(moved) if isinstance(value, nn.Parameter) else moved
        return net

    with contextlib.ExitStack() as stack:
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        for where in ("batches", "stack"):
            stack.enter_context(mock.patch(f"ltgen_bench.training.{where}.generator", generator))
        stack.enter_context(mock.patch("ltgen_bench.training.method.seed_dropout"))
        means = mock.patch(
            "ltgen_bench.training.trainer.class_means", lambda images, classes: torch.zeros(classes, 1, 8, 8)
        )
        stack.enter_context(means)
        stack.enter_context(mock.patch.object(nn.Module, "to", to))
        yield torch.device("cuda", 0)


@pytest.mark.parametrize(("text", "settings"), [m for m in METHODS if "resample" not in m[0]])
def test_on_a_gpu_everything_of_a_step_is_made_there(digits, tmp_path, imagined_gpu, text, settings):
    """Batch, losses and log (the backward pass cannot be imagined). Only the batch's indices may come from the CPU."""
    stack = stack_of(text, settings)
    run = RunSpec("contract", digits.spec, tuple(map(describe, stack.methods)), NET, TRAIN, DiffusionSpec(), 0)
    made = Trainer(run, digits, stack, imagined_gpu)
    log = log_of(made, tmp_path)
    with Copies() as copies:
        step = made.make_step(0)
        loss, terms = made.stack.loss(step, made.task)
        step.logged["grad_norm"] = _clip([torch.zeros_like(p) for p in made.params], 1.0)
        log.add(loss.detach(), terms, step)
    assert {t.device for t in (loss, *terms.values(), *step.images.values(), log._steps[0].values)} == {imagined_gpu}
    assert copies.found == []


def test_a_line_of_the_log_is_written_when_its_figures_have_arrived(digits, tmp_path, monkeypatch):
    monkeypatch.setattr("ltgen_bench.training.log.LOG_EVERY", 2)
    made = trainer(parse_methods("ddpm"), digits)
    log = log_of(made, tmp_path)

    class Event:
        there = waited = False

        def query(self):
            return self.there

        def synchronize(self):
            self.waited = True

    def steps():
        path = tmp_path / "train.jsonl"
        return [json.loads(line)["step"] for line in path.read_text().splitlines()] if path.exists() else []

    send, event = log._send, Event()

    def slowly():
        send()
        if log._sent:
            log._sent.arrived = event

    monkeypatch.setattr(log, "_send", slowly)
    for _ in range(3):
        log.add(*made.train_step())
    assert steps() == []  # sent after step 2, not there yet
    event.there = True
    log.add(*made.train_step())
    assert steps() == [2, 4]
    event.there = False
    log.add(*made.train_step())
    log.flush()
    assert steps() == [2, 4, 5]
    assert event.waited


def test_clipping_is_torchs_bit_for_bit():
    for scale in (0.001, 1.0, 100.0):
        theirs = [nn.Parameter(torch.zeros(s)) for s in ((3, 4), (5,), (2, 2, 3, 3))]
        draw = torch.Generator().manual_seed(1)
        for p in theirs:
            p.grad = scale * torch.randn(p.shape, generator=draw)
        ours = [p.grad.clone() for p in theirs]
        assert torch.equal(_clip(ours, 1.0), nn.utils.clip_grad_norm_(theirs, 1.0))
        assert all(torch.equal(p.grad, g) for p, g in zip(theirs, ours, strict=True))


def test_dropout_draws_what_torch_manual_seed_makes_it_draw():
    rng.seed_dropout(torch.device("cpu"), 3, "encoder", 7)
    ours = nn.functional.dropout(torch.ones(50))
    torch.manual_seed(rng.seed_of(3, "encoder", 7))
    assert torch.equal(ours, nn.functional.dropout(torch.ones(50)))


@pytest.mark.parametrize(
    ("text", "settings", "graphs"),
    [
        ("ddpm", {}, 1),
        ("cbdm", {}, 1),
        ("cm", {}, 2),
        ("cm", {"fraction": "0.25"}, 2),
        ("cm", {"dropout": "shared"}, 3),
        ("cm", {"fraction": "0.25", "dropout": "shared"}, 3),
    ],
)
def test_compiled_a_pass_is_one_graph(digits, text, settings, graphs, monkeypatch):
    """No break, no recompiling once every kind of pass was seen, and the numbers stay."""
    plain, compiled = (trainer(stack_of(text, settings), digits) for _ in range(2))
    made = []

    def backend(graph, inputs):
        made.append(graph)
        return graph.forward

    compile_ = torch.compile
    monkeypatch.setattr(
        torch,
        "compile",
        lambda run, fullgraph, dynamic: compile_(run, fullgraph=fullgraph, dynamic=dynamic, backend=backend),
    )
    torch._dynamo.reset()
    compiled.network = CompiledDenoiser(compiled.net)
    for _ in range(5):
        torch.testing.assert_close(plain.train_step()[0], compiled.train_step()[0])
    assert len(made) == graphs


@pytest.mark.parametrize(
    ("name", "tflops"),
    [("NVIDIA H100 80GB HBM3", 989), ("NVIDIA H100 PCIe", 756), ("NVIDIA A100-SXM4", 312), ("NVIDIA L40", 181)],
)
def test_peak_of_known_gpus(name, tflops, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    assert peak_flops(torch.device("cuda"), "bf16") == tflops * 1e12
    assert peak_flops(torch.device("cuda"), "fp32") is None
    assert peak_flops(torch.device("cpu"), "bf16") is None
