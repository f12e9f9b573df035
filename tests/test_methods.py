"""The methods' formulas, against closed forms and the values of their published code."""

import dataclasses
import sys

import pytest
import torch
from torch.nn.utils import parametrize

from ltgen_bench.data.groups import Groups
from ltgen_bench.data.long_tail import exponential_counts
from ltgen_bench.diffusion.schedule import alphas_cumprod
from ltgen_bench.diffusion.unet import build
from ltgen_bench.errors import UsageError
from ltgen_bench.spec.specs import DiffusionSpec, NetSpec
from ltgen_bench.training.batches import class_means
from ltgen_bench.training.method import Task
from ltgen_bench.training.method_contract import TRAIN, trainer
from ltgen_bench.training.stack import Stack, parse_methods
from ltgen_bench.training.trainer import Trainer


def task_of(counts):
    return Task(
        class_counts=torch.tensor(counts, dtype=torch.float32),
        class_means=torch.zeros(len(counts), 1, 8, 8),
        groups=Groups.from_counts(counts),
        alphas_cumprod=alphas_cumprod(DiffusionSpec()),
    )


def method(text, **settings):
    return parse_methods(text, {text: {k: str(v) for k, v in settings.items()}}).methods[0]


def loss_of(made: Trainer, index=0, *, train=True, **changes):
    """Loss and terms of a step, without training."""
    made.net.train(train)
    step = dataclasses.replace(made.make_step(index), **changes)
    return (*made.stack.loss(step, made.task), step)


def gradients(made: Trainer, **options):
    made.net.zero_grad()
    loss_of(made, **options)[0].backward()
    return {name: p.grad.clone() for name, p in made.net.named_parameters() if p.grad is not None}


# CM


@pytest.mark.parametrize(
    ("n_max", "classes", "ratio", "head", "tail", "first_negative", "mean"),
    [
        (5000, 10, 100, 4.02, -0.764, 7, 2.50),
        (5000, 10, 50, 3.56, -0.642, 7, 2.15),
        (5000, 10, 10, 2.40, -0.244, 8, 1.37),
        (500, 100, 100, 4.60, -0.830, 68, 2.34),
        (500, 100, 50, 3.95, -0.692, 70, 2.00),
        (500, 100, 10, 2.50, -0.251, 84, 1.29),
    ],
)
def test_cm_coefficients_on_the_published_splits(n_max, classes, ratio, head, tail, first_negative, mean):
    task = task_of(exponential_counts(n_max, classes, ratio))
    coefficients = method("cm").coefficients(task)
    assert coefficients[0].item() == pytest.approx(head, abs=0.005)
    assert coefficients[-1].item() == pytest.approx(tail, abs=0.0005)
    assert (coefficients < 0).nonzero()[0].item() == first_negative
    assert (task.class_freq * coefficients).sum().item() == pytest.approx(mean, abs=0.005)


def test_cm_coefficients_in_the_papers_form():
    task = task_of(exponential_counts(500, 100, 100))
    coefficients = method("cm", w_div=1).coefficients(task)
    assert coefficients[0].item() == pytest.approx(4.57, abs=0.005)
    assert coefficients[-1].item() == pytest.approx(-4.34, abs=0.005)


def test_cm_general_equals_full_at_the_start(digits):
    made = trainer(parse_methods("cm"), digits)
    _, terms, step = loss_of(made, train=False)
    assert terms["cm/capacity"] == 0
    assert torch.equal(step.eps, made.stack.methods[0]._general(step, slice(None)))


def test_cm_independent_dropout_makes_the_passes_differ_and_shared_does_not(digits):
    for dropout, differ in (("independent", True), ("shared", False)):
        made = trainer(Stack([method("cm", dropout=dropout)]), digits)
        assert (loss_of(made)[1]["cm/capacity"] != 0) == differ


@pytest.mark.parametrize("layers", ["up", "all"])
def test_cm_shared_pass_equals_two_whole_passes(digits, layers):
    """Reusing the down and middle path is exact: same loss and gradients as running the network twice."""
    made = trainer(Stack([method("cm", dropout="shared", layers=layers)]), digits)
    for _ in range(3):
        made.train_step()
    reused, (loss, terms, _) = gradients(made, index=4), loss_of(made, index=4)
    assert terms["cm/capacity"] != 0
    cm = made.stack.methods[0]

    def whole(step, rows):
        with sys.modules[type(cm).__module__]._switched_off(step.net):
            return step.net(step.xt, step.t, step.y_in, step.masks)

    object.__setattr__(cm, "_general", whole)
    torch.testing.assert_close(loss_of(made, index=4)[0], loss)
    for name, gradient in gradients(made, index=4).items():
        torch.testing.assert_close(reused[name], gradient, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("dropout", "train"), [("independent", False), ("shared", False), ("shared", True)])
def test_cm_on_a_quarter_of_the_batch_is_an_unbiased_estimate(digits, dropout, train):
    """The four quarters of a batch average to the whole batch's term, gradients too; the rest of the step is equal.

    With dropout this holds where both passes share their masks.
    """
    whole, part = (trainer(Stack([method("cm", fraction=f, dropout=dropout)]), digits) for f in (1, 0.25))
    for made in (whole, part):
        with torch.no_grad():
            for name, parameter in made.net.named_parameters():
                if name.endswith(".b"):
                    parameter.fill_(0.01)
    cm, batch = part.stack.methods[0], TRAIN.batch
    chosen = cm._rows(loss_of(part)[2])
    assert len(chosen) == len(set(chosen.tolist())) == batch // 4
    assert not torch.equal(chosen, cm._rows(loss_of(part, index=1)[2]))

    wanted = gradients(whole, train=train)
    _, terms, step = loss_of(whole, train=train)
    capacity, distance, sums = 0, 0, {}
    for rows in torch.randperm(batch).split(batch // 4):
        object.__setattr__(cm, "_rows", lambda step, rows=rows: rows)
        _, found, some = loss_of(part, train=train)
        capacity += found["cm/capacity"] / 4
        distance += some.images["cm/distance"] / 4
        for name, gradient in gradients(part, train=train).items():
            sums[name] = sums.get(name, 0) + gradient / 4
        torch.testing.assert_close(found["denoise"], terms["denoise"])
    torch.testing.assert_close(capacity, terms["cm/capacity"])
    torch.testing.assert_close(distance, step.images["cm/distance"])
    for name, gradient in wanted.items():
        torch.testing.assert_close(sums[name], gradient, rtol=1e-3, atol=1e-6)


def test_cm_on_balanced_data_with_w_div_1_is_the_base_loss(digits):
    made = trainer(Stack([method("cm", w_div=1)]), digits)
    made.task = dataclasses.replace(made.task, class_counts=torch.full((10,), 50.0))
    loss, terms, _ = loss_of(made)
    assert terms["cm/capacity"].item() == pytest.approx(0, abs=1e-7)
    assert loss.item() == pytest.approx(terms["denoise"].item(), abs=1e-7)


def test_cm_without_weights_has_the_base_gradient(digits):
    """w_con = w_div = 0 is the baseline with added capacity: the base gradient of the full network."""
    made, plain = trainer(Stack([method("cm", w_con=0, w_div=0)]), digits), trainer(parse_methods("ddpm"), digits)
    mine, base = gradients(made), gradients(plain)
    for name, gradient in base.items():
        adapted = name.replace(".weight", ".parametrizations.weight.original")
        torch.testing.assert_close(mine.get(name, mine.get(adapted)), gradient)


def test_cm_guard_bounds_the_diversity_term_and_says_so(digits):
    made = trainer(Stack([method("cm", guard=1e-9)]), digits)
    for _ in range(3):
        made.train_step()
    rare = torch.full((TRAIN.batch,), 9)
    _, terms, step = loss_of(made, y=rare, y_in=rare)
    assert step.alarms["cm/guard"] == 1
    coefficient = made.stack.methods[0].coefficients(made.task)[9]
    assert terms["cm/capacity"].item() == pytest.approx(coefficient.item() * 1e-9)
    object.__setattr__(made.stack.methods[0], "guard", 1.0)
    assert loss_of(made, y=rare, y_in=rare)[2].alarms["cm/guard"] == 0


def test_cm_adapts_the_published_layers(digits):
    """27 convolutions and 3,129,984 parameters (8.76 %) on the CIFAR network."""
    net = build(NetSpec(), size=32, channels=3, num_classes=10, seed=0)
    before = sum(p.numel() for p in net.parameters())
    cm = method("cm")
    cm.wrap(net, task_of([10] * 10), torch.Generator())
    assert sum(parametrize.is_parametrized(m) for m in net.modules()) == 27
    assert sum(p.numel() for p in net.parameters()) - before == 3_129_984
    assert sum(value.numel() for value in cm.export(net.state_dict()).values()) == before


# CBDM


def cbdm(digits, **settings):
    return trainer(Stack([method("cbdm", **settings)]), digits)


def test_cbdm_is_zero_when_the_drawn_label_is_the_true_one(digits):
    made = cbdm(digits)
    made.task = dataclasses.replace(made.task, class_counts=torch.tensor([1.0] + [0.0] * 9))
    zeros = torch.zeros(TRAIN.batch, dtype=torch.long)
    assert loss_of(made, train=False, y=zeros, y_in=zeros)[1]["cbdm/balance"] == 0


def test_cbdm_is_the_formula(digits):
    made = cbdm(digits, tau=2, gamma=0.5)
    made.task = dataclasses.replace(made.task, class_counts=torch.tensor([0.0, 1.0] + [0.0] * 8))
    step = made.make_step(0)
    with torch.no_grad():
        made.net.eval()
        gap = (made.net(step.xt, step.t, step.y) - made.net(step.xt, step.t, torch.ones_like(step.y))).square()
        expected = (2 * step.t / 1000 * gap.mean((1, 2, 3))).mean() * 1.5
    assert loss_of(made, train=False)[1]["cbdm/balance"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_cbdm_stops_both_gradients(digits):
    """The first term moves the true-label prediction alone, the second, weighted gamma, the drawn one alone."""
    made = cbdm(digits)
    step = made.make_step(0)
    mine = torch.randn_like(step.x0, requires_grad=True)
    other = torch.randn_like(step.x0, requires_grad=True)
    step.eps = mine
    step.rng = torch.Generator()
    step.net = lambda x, t, y: other
    made.stack.methods[0].losses(step, made.task)["balance"].backward()
    weight = (step.t / 1000)[:, None, None, None] * 2 / mine.numel()
    torch.testing.assert_close(mine.grad, weight * (mine - other).detach())
    torch.testing.assert_close(other.grad, 0.25 * weight * (other - mine).detach())


def test_cbdm_ignores_t_zero_and_batches_without_labels(digits):
    made = cbdm(digits)
    assert loss_of(made, t=torch.zeros(TRAIN.batch, dtype=torch.long))[1]["cbdm/balance"] == 0
    assert set(loss_of(made, unconditional=True)[1]) == {"denoise"}


@pytest.mark.parametrize(("target", "power"), [("train", 1.0), ("sqrt", 0.5), ("uniform", 0.0)])
def test_cbdm_draws_labels_from_its_target(digits, target, power):
    made = cbdm(digits, target_labels=target)
    step = made.make_step(0)
    step.y = torch.zeros(20_000, dtype=torch.long)
    step.t = step.y
    step.rng = torch.Generator().manual_seed(0)
    drawn = []
    step.eps = torch.zeros(20_000, 1, 1, 1)
    step.net = lambda x, t, y: drawn.append(y) or step.eps
    made.stack.methods[0].losses(step, made.task)
    expected = made.task.class_freq**power
    share = torch.bincount(drawn[0], minlength=10) / 20_000
    torch.testing.assert_close(share, expected / expected.sum(), rtol=0, atol=0.012)


# T2H


def t2h(digits, **changes):
    made = trainer(parse_methods("t2h"), digits)
    step = dataclasses.replace(made.make_step(0), **changes)
    step.rng = torch.Generator().manual_seed(0)
    return made, step, made.stack.methods[0].target(step, made.task)


def noised(digits, t, **changes):
    made = trainer(parse_methods("t2h"), digits)
    step = dataclasses.replace(made.make_step(0), **changes)
    abar = made.task.alphas_cumprod[t]
    times = torch.full_like(step.t, t)
    return {"t": times, "xt": abar.sqrt() * step.x0 + (1 - abar).sqrt() * step.noise, **changes}


def test_t2h_keeps_the_noise_at_small_times(digits):
    _, step, target = t2h(digits, **noised(digits, 5))
    torch.testing.assert_close(target, step.noise, rtol=1e-3, atol=1e-3)


def test_t2h_targets_are_the_noise_of_another_image_and_never_of_a_rarer_class(digits):
    y = torch.tensor([0, 9] * (TRAIN.batch // 2))
    _, step, target = t2h(digits, **noised(digits, 900, y=y))
    abar = alphas_cumprod(DiffusionSpec())[900]
    taken = (step.xt - (1 - abar).sqrt() * target) / abar.sqrt()  # the image each target belongs to
    chosen = torch.cdist(taken.flatten(1), step.x0.flatten(1)).argmin(1)
    torch.testing.assert_close(taken, step.x0[chosen], rtol=1e-2, atol=1e-2)
    assert set(y[chosen[y == 0]].tolist()) == {0}, "a head image took a rarer target"
    assert 0 in y[chosen[y == 9]], "no tail image took a head target at a time when nearly all are exchangeable"
    assert (chosen != torch.arange(TRAIN.batch)).any()


def test_t2h_draws_what_multinomial_draws():
    """Without waiting for the device; the draws of a seed must stay those of torch.multinomial."""
    draw = sys.modules[type(method("t2h")).__module__].draw
    probabilities = torch.rand(300, 40, generator=torch.Generator().manual_seed(0)).softmax(1)
    theirs = torch.multinomial(probabilities, 1, generator=torch.Generator().manual_seed(5))[:, 0]
    assert torch.equal(draw(probabilities, torch.Generator().manual_seed(5)), theirs)
    certain = torch.eye(40)[torch.arange(40)]
    assert torch.equal(draw(certain, torch.Generator().manual_seed(5)), torch.arange(40))


# Re-weighting, re-sampling, noise


@pytest.mark.parametrize(
    ("n_max", "classes", "head", "tail", "mean"), [(5000, 10, 0.051, 3.99, 0.17), (500, 100, 0.045, 4.38, 0.20)]
)
def test_cb_weights_are_the_published_ones_scaled_to_mean_1_over_the_data(n_max, classes, head, tail, mean):
    task = task_of(exponential_counts(n_max, classes, 100))
    step = type("S", (), {"y": torch.arange(classes)})
    weights = method("cb").weight(step, task)
    assert (task.class_freq * weights).sum().item() == pytest.approx(1, rel=1e-5)
    published = weights / weights.mean()  # mean 1 over the classes, as in the paper
    assert published[0].item() == pytest.approx(head, abs=0.0006)
    assert published[-1].item() == pytest.approx(tail, abs=0.006)
    assert (task.class_freq * published).sum().item() == pytest.approx(mean, abs=0.006)


@pytest.mark.parametrize("q", [0.0, 0.5])
def test_resample_draws_classes_by_power_of_their_count(digits, q):
    made = trainer(Stack([method("resample", q=q)]), digits)
    made.batches.batch = 20_000
    _, y = made.batches.images(0)
    expected = torch.tensor(digits.class_counts) ** q
    share = torch.bincount(y, minlength=10) / 20_000
    torch.testing.assert_close(share, expected / expected.sum(), rtol=0, atol=0.012)


def test_noise_resampling_prior_leaves_the_largest_class_alone(digits):
    made = trainer(parse_methods("noise-resampling"), digits)
    mean, std = made.noise_prior
    assert (mean[0] == 0).all()
    assert mean[9].abs().mean() > mean[1].abs().mean() > 0
    assert (std == 1).all()
    means = class_means(digits.train, 10)
    overall = (made.task.class_freq[:, None, None, None] * means).sum(0)
    torch.testing.assert_close(mean[9], 0.5 * (1 - 8 / 170) * (means[9] - overall))


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("cb", {"beta": 1}),
        ("resample", {"q": 2}),
        ("cbdm", {"tau": -1}),
        ("cm", {"rank_ratio": 0}),
        ("cm", {"guard": 0}),
        ("cm", {"fraction": 0}),
        ("noise-resampling", {"strength": -1}),
    ],
)
def test_impossible_hyper_parameters_are_refused(text, settings):
    with pytest.raises(UsageError, match=text):
        method(text, **settings)


# Combination


class _Target(parse_methods("t2h").methods[0].__class__):
    name = "other-target"


def test_two_owners_of_an_exclusive_hook_are_refused():
    with pytest.raises(UsageError, match=r"other-target and t2h both set target\(\)"):
        Stack([parse_methods("t2h").methods[0], _Target()])


def test_combinations_have_one_name_whatever_the_order():
    assert parse_methods("cbdm+cm").name == parse_methods("cm+cbdm").name == "cm+cbdm"
    assert parse_methods("ddpm+cm").name == "cm"
    with pytest.raises(UsageError, match="named twice"):
        parse_methods("cm+cm")


def test_adding_a_method_moves_no_draw_of_another(digits):
    """cbdm draws the same labels alone and beside cm, and dropout masks of the shared prediction are equal."""
    alone, beside = trainer(parse_methods("cbdm"), digits), trainer(parse_methods("cm+cbdm"), digits)
    torch.testing.assert_close(loss_of(alone)[2].eps, loss_of(beside)[2].eps)
    a, b = loss_of(alone, train=False)[1], loss_of(beside, train=False)[1]
    torch.testing.assert_close(a["cbdm/balance"], b["cbdm/balance"])


def test_weights_multiply_and_losses_sum(digits):
    made = trainer(parse_methods("cm+cb"), digits)
    loss, terms, step = loss_of(made)
    assert set(terms) == {"denoise", "cm/capacity"}
    torch.testing.assert_close(loss, terms["denoise"] + terms["cm/capacity"])
    weights = parse_methods("cb").methods[0].weight(step, made.task)
    torch.testing.assert_close(step.base.detach(), weights * step.images["denoise"])
