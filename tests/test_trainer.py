import json
import math
import os
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

from ltgen_bench.device import describe_device
from ltgen_bench.diffusion.unet import flops_per_image
from ltgen_bench.errors import RunFailed, UsageError
from ltgen_bench.training import checkpoint
from ltgen_bench.training.log import JsonLines, Log
from ltgen_bench.training.loop import Stopped, Trained, train
from ltgen_bench.training.method import Method
from ltgen_bench.training.method_contract import trainer
from ltgen_bench.training.stack import Stack, parse_methods
from ltgen_bench.training.trainer import Trainer

CPU = torch.device("cpu")


def run(made, data, folder, *, stop=lambda: False, said=None, seconds=None):
    return train(
        Trainer(made.spec, data, made.stack, CPU),
        folder,
        say=(said if said is not None else []).append,
        progress=lambda *_: None,
        stop=stop,
        checkpoint_seconds=seconds,
    )


def weights(net):
    return {k: v.clone() for k, v in net.state_dict().items()}


def test_a_stopped_training_goes_on_bit_for_bit(digits, tmp_path):
    made = trainer(parse_methods("cm+cbdm"), digits)
    straight = run(made, digits, tmp_path)
    (tmp_path / checkpoint.CURRENT).unlink()
    calls = iter([False, False, True])
    with pytest.raises(Stopped, match="step 3 of 6"):
        run(made, digits, tmp_path, stop=lambda: next(calls))
    said = []
    resumed = run(made, digits, tmp_path, said=said)
    assert "resuming at step 3 of 6" in said
    for name, value in weights(straight.net).items():
        assert torch.equal(value, weights(resumed.net)[name]), name


def test_a_training_on_several_devices_says_how_far_each_took_it(digits, tmp_path, monkeypatch):
    made, here = trainer(parse_methods("ddpm"), digits), describe_device(CPU)
    calls = iter([False, False, True])
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("ltgen_bench.training.loop.describe_training", lambda *_, **__: "NVIDIA H200")
        with pytest.raises(Stopped):
            run(made, digits, tmp_path, stop=lambda: next(calls))
    with pytest.raises(Stopped):
        run(made, digits, tmp_path, stop=lambda: True)
    assert run(made, digits, tmp_path).summary["devices"] == {"NVIDIA H200": 3, here: 3}


def test_the_log_is_read_by_pandas_and_rewound_on_resuming(digits, tmp_path, monkeypatch):
    monkeypatch.setattr("ltgen_bench.training.log.LOG_EVERY", 2)
    run(trainer(parse_methods("cm+cbdm"), digits), digits, tmp_path)
    table = pd.read_json(tmp_path / "train.jsonl", lines=True)
    assert table["step"].tolist() == [2, 4, 6]
    assert {"loss", "denoise", "denoise/majority", "denoise/minority", "cm/capacity", "cm/distance/minority"} <= set(
        table
    )
    (tmp_path / checkpoint.CURRENT).unlink()
    with (tmp_path / "train.jsonl").open("a") as file:
        file.write('{"step": 8, "lo')  # a crash in the middle of a line
    run(trainer(parse_methods("cm+cbdm"), digits), digits, tmp_path)
    assert pd.read_json(tmp_path / "train.jsonl", lines=True)["step"].tolist() == [2, 4, 6]


def test_group_losses_are_means_over_the_images_of_the_group(digits, tmp_path):
    made = trainer(parse_methods("ddpm"), digits)
    log = Log(made, print, [JsonLines(tmp_path / "train.jsonl", 0).write])
    seen = []
    for _ in range(5):
        loss, terms, step = made.train_step()
        seen.append((step.y, step.images["denoise"]))
        log.add(loss, terms, step)
    log.flush()
    line = json.loads((tmp_path / "train.jsonl").read_text())
    y, per_image = (torch.cat(parts) for parts in zip(*seen, strict=True))
    for name, classes in digits.groups:
        chosen = torch.isin(y, torch.tensor(classes))
        assert line[f"denoise/{name}"] == pytest.approx(per_image[chosen].mean().item(), rel=1e-5)
    assert line["loss"] == pytest.approx(line["denoise"], rel=1e-6)


class Sometimes(Method):
    """Notes a figure of each image on every second step."""

    name = "sometimes"

    def losses(self, step, task):
        if step.index % 2:
            step.log_images("two", torch.full((len(step.y),), 2.0))
        return {}


def test_a_figure_of_some_steps_is_the_mean_over_those(digits):
    made, lines = trainer(Stack([Sometimes()]), digits), []
    log = Log(made, print, [lines.append])
    for _ in range(4):
        log.add(*made.train_step())
    log.flush()
    assert [lines[0].figures[f"sometimes/two/{group}"] for group, _ in digits.groups] == [2.0, 2.0, 2.0]


class Explodes(Method):
    """Its loss is not a number from the fourth step on."""

    name = "explodes"

    def losses(self, step, task):
        return {"bang": step.eps.mean() * (math.nan if step.index >= 3 else 1.0)}


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_checkpoint(digits, tmp_path):
    made = trainer(Stack([parse_methods("ddpm").methods[0]]), digits)
    made.stack = Stack([Explodes()])
    with pytest.raises(RunFailed, match="loss became nan at step 4"):
        run(made, digits, tmp_path, seconds=1e-9)  # a checkpoint after every step
    saved = checkpoint.load(tmp_path, made.spec.run_id, print)
    assert saved["step"] == 3
    assert all(torch.isfinite(v).all() for v in saved["net"].values())


class Scales(Method):
    """Adds a factor to the network and folds it in on export, or does not."""

    name = "scales"
    folds: bool = True

    def wrap(self, net, task, rng):
        net.unet.conv_out.register_parameter("factor", nn.Parameter(torch.tensor(1.5)))

    def export(self, state):
        if not self.folds:
            return state
        factor = state.pop("unet.conv_out.factor")
        state["unet.conv_out.weight"].mul_(factor)
        return state


def test_what_a_method_adds_is_folded_into_averaged_weights_on_a_copy(digits):
    made = trainer(Stack([Scales()]), digits)
    live = weights(made.net)
    averaged = dict(zip((name for name, _ in made.net.named_parameters()), made.ema, strict=True))
    averaged["unet.conv_out.weight"].fill_(2.0)
    assert (made.trained_net().unet.conv_out.weight == 3.0).all()
    assert (averaged["unet.conv_out.weight"] == 2.0).all()
    assert all(torch.equal(value, live[name]) for name, value in weights(made.net).items())


def test_a_method_whose_export_leaves_something_behind_is_refused_before_the_training(digits, tmp_path):
    made = trainer(Stack([Scales(folds=False)]), digits)
    with pytest.raises(UsageError, match=r"export\(\) of scales .*\(left behind: unet.conv_out.factor\)"):
        run(made, digits, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_returns_nothing_is_named(digits, monkeypatch):
    monkeypatch.setattr(Scales, "export", lambda self, state: None)
    with pytest.raises(
        UsageError, match=r"scales.export\(\) must return the state dict of the plain network, not None"
    ):
        trainer(Stack([Scales()]), digits).trained_net()


class Shouts(Method):
    """Its safeguard acts on every second step."""

    name = "shouts"

    def losses(self, step, task):
        step.alarm("guard", torch.tensor(0.25 * (step.index % 2)))
        return {}


def test_safeguards_that_act_are_said_once_and_counted(digits, tmp_path):
    made = trainer(parse_methods("ddpm"), digits)
    made.stack = Stack([Shouts()])
    said = []
    result = run(made, digits, tmp_path, said=said)
    assert [line for line in said if "shouts/guard acted, on 25.0% of a batch" in line] == said
    assert result.summary["alarm_steps"] == {"shouts/guard": 3}


def test_the_summary_says_how_fast_it_went(digits, tmp_path):
    made = trainer(parse_methods("ddpm"), digits)
    summary = run(made, digits, tmp_path).summary
    forward = flops_per_image(made.spec.net, size=8, channels=1, num_classes=10)
    assert summary["flops_per_s"] == pytest.approx(3 * forward * summary["images_per_s"], rel=0.01)
    assert summary["mfu"] is None
    assert summary["devices"] == {describe_device(CPU): made.spec.train.steps}
    trained = Trained(None, None, None, {"images_per_s": 523.4, "flops_per_s": 51.2e9, "mfu": None})
    assert trained.speed == "523 images/s, 51 GFLOP/s"
    trained.summary["mfu"] = 0.428
    assert trained.speed == "523 images/s, 51 GFLOP/s, MFU 43%"


def test_recipe_warm_up_clip_and_ema(digits):
    made = trainer(parse_methods("ddpm"), digits)
    before = [p.clone() for p in made.params]
    ema = [p.clone() for p in made.ema]
    made.train_step()
    assert made.optimizer.param_groups[0]["lr"] == pytest.approx(0.5e-3)  # step 1 of a warm-up of 2
    norm = torch.stack([p.grad.norm() for p in made.params]).norm().item()
    assert norm <= 1.0 + 1e-4
    for old, start, averaged, new in zip(before, ema, made.ema, made.params, strict=True):
        assert torch.equal(old, start)
        torch.testing.assert_close(averaged, 0.9 * start + 0.1 * new.detach())
    made.train_step()
    made.train_step()
    assert made.optimizer.param_groups[0]["lr"] == pytest.approx(1e-3)


@pytest.mark.parametrize("damage", ["cut", "flip", "foreign"])
def test_a_damaged_checkpoint_falls_back_to_the_previous_one(digits, tmp_path, damage):
    made = trainer(parse_methods("ddpm"), digits)
    for _ in range(2):
        made.train_step()
        checkpoint.save(tmp_path, made.state() | {"seconds": 1.0, "alarmed": {}})
    newest = tmp_path / checkpoint.CURRENT
    content = bytearray(newest.read_bytes())
    if damage == "cut":
        newest.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        content[len(content) // 2] ^= 1
        newest.write_bytes(content)
    else:
        torch.save(made.state() | {"run_id": "another"}, newest)
    said = []
    assert checkpoint.load(tmp_path, made.spec.run_id, said.append)["step"] == 1
    assert len(said) == 1
    assert str(newest) in said[0]


@pytest.mark.parametrize("survivor", range(3))
def test_a_crash_while_saving_leaves_a_whole_checkpoint(digits, tmp_path, survivor, monkeypatch):
    """Killed before each of the renames of a save: the state before or the new one is found."""
    made = trainer(parse_methods("ddpm"), digits)
    made.train_step()
    checkpoint.save(tmp_path, made.state() | {"seconds": 1.0, "alarmed": {}})
    made.train_step()
    renames = 0

    def killed_at(original):
        def rename(*args):
            nonlocal renames
            if renames == survivor:
                raise KeyboardInterrupt
            renames += 1
            return original(*args)

        return rename

    monkeypatch.setattr("os.replace", killed_at(os.replace))
    monkeypatch.setattr("pathlib.Path.replace", killed_at(Path.replace))
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(tmp_path, made.state() | {"seconds": 1.0, "alarmed": {}})
    monkeypatch.undo()
    assert checkpoint.load(tmp_path, made.spec.run_id, print)["step"] == (1 if survivor == 0 else 2)


def test_a_log_that_a_crash_has_damaged_is_gone_on_with(tmp_path):
    path = tmp_path / "train.jsonl"
    whole = b'{"step": 50, "loss": 1.0}\n'
    path.write_bytes(whole + b'\xff\xfe\n{"step": 100, "loss": 1.0}\n{"st')
    JsonLines(path, 60)
    assert path.read_bytes() == whole
