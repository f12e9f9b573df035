import copy
import dataclasses

import pytest
import torch

from ltgen_bench.diffusion.dropout_masks import Dropout
from ltgen_bench.diffusion.unet import build, flops_per_image, smallest_multiple
from ltgen_bench.planning.training_time import rough_flops
from ltgen_bench.spec.presets import PRESETS
from ltgen_bench.spec.specs import NetSpec
from ltgen_bench.training.method_contract import NET


def test_paper_network_has_the_published_parameters():
    """35,746,307 + 512 C in the published network; the null label's row of zeros is the one addition."""
    for classes in (10, 100):
        net = build(NetSpec(), size=32, channels=3, num_classes=classes, seed=0)
        assert sum(p.numel() for p in net.parameters()) == 35_746_307 + 512 * (classes + 1)
        assert (net.unet.class_embedding.weight[classes] == 0).all()


def test_null_label_adds_nothing_and_never_learns():
    net = build(NET, size=8, channels=1, num_classes=10, seed=0)
    unet, null = net.unet, torch.tensor([10])
    torch.testing.assert_close(unet.class_embedding(null), torch.zeros(1, 128))
    net(torch.randn(1, 1, 8, 8), torch.tensor([3]), null).sum().backward()
    assert (unet.class_embedding.weight.grad == 0).all()


def test_both_halves_are_the_diffusers_network():
    net = build(NET, size=8, channels=1, num_classes=10, seed=0).eval()
    x, t, y = torch.randn(3, 1, 8, 8), torch.tensor([0, 500, 999]), torch.tensor([0, 9, 10])
    assert torch.equal(net(x, t, y), net.unet(x, t, y).sample)


@pytest.mark.parametrize("batch", [3, 64])  # from 64 images on, diffusers lays out some activations differently
@pytest.mark.parametrize("layers", [1, 2])
def test_masks_drawn_before_a_pass_are_those_that_its_layers_would_draw(batch, layers):
    net = build(dataclasses.replace(NET, layers=layers), size=8, channels=1, num_classes=10, seed=0)
    x, t, y = torch.randn(batch, 1, 8, 8), torch.arange(batch), torch.arange(batch) % 10
    torch.manual_seed(0)
    mine = net(x, t, y)
    torch.manual_seed(0)
    halves = net.decode(net.encode(x, t, y))
    assert all(m.mask is not None for m in net.modules() if isinstance(m, Dropout) and m.p > 0)
    plain = copy.deepcopy(net.unet)
    for module in plain.modules():
        if isinstance(module, Dropout):
            module.mask = None
    torch.manual_seed(0)
    theirs = plain(x, t, y).sample
    assert torch.equal(mine, theirs)
    assert torch.equal(halves, theirs)
    assert not torch.equal(net(x, t, y), theirs)


def test_masks_have_the_shapes_of_the_worked_example():
    """That of dropout_masks.rehearse."""
    net = build(NET, size=8, channels=1, num_classes=10, seed=0)
    masks = net.draw_masks("decoder", 12)
    assert [tuple(mask.shape) for mask in masks] == 2 * [(12, 32, 4, 4)] + 2 * [(12, 32, 8, 8)]
    kept = torch.full((), 0.9, dtype=torch.float32).reciprocal()
    assert {value.item() for mask in masks for value in mask.unique()} == {0.0, kept.item()}


def test_some_images_of_a_batch_are_decoded_as_in_the_whole_batch():
    net = build(NET, size=8, channels=1, num_classes=10, seed=0)
    encoded = net.encode(torch.randn(6, 1, 8, 8), torch.arange(6), torch.arange(6))
    rows = torch.tensor([4, 1])
    masks = net.draw_masks("decoder", 6)
    torch.testing.assert_close(net.decode(encoded, masks, rows), net.decode(encoded, masks)[rows])


def test_gradients_reach_all_weights_in_bf16():
    """Also in the first pass, before which the layout of the masks is found without gradients."""
    net = build(NET, size=8, channels=1, num_classes=10, seed=0)
    with torch.autocast("cpu", torch.bfloat16):
        loss = net(torch.randn(3, 1, 8, 8), torch.arange(3), torch.arange(3)).square().mean()
    loss.backward()
    assert all(p.grad is not None for p in net.parameters())


def test_initialisation_depends_on_the_seed_alone():
    torch.manual_seed(1)
    a = build(NET, size=8, channels=1, num_classes=10, seed=5)
    torch.manual_seed(2)
    b = build(NET, size=8, channels=1, num_classes=10, seed=5)
    c = build(NET, size=8, channels=1, num_classes=10, seed=6)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert not torch.equal(a.unet.conv_in.weight, c.unet.conv_in.weight)


def test_initialisation_is_the_published_one():
    net = build(NetSpec(channels=(64, 64)), size=8, channels=1, num_classes=10, seed=0).unet
    conv = net.down_blocks[0].resnets[0].conv1
    bound = (6 / (9 * (64 + 64))) ** 0.5
    assert conv.weight.abs().max().item() == pytest.approx(bound, rel=1e-2)
    assert (conv.bias == 0).all()
    assert net.down_blocks[0].resnets[0].conv2.weight.abs().max() < 1e-6
    # The block around an attention initialises its output projection again, at gain 1.
    out = net.mid_block.attentions[0].to_out[0].weight
    assert out.abs().max().item() == pytest.approx((6 / (64 + 64)) ** 0.5, rel=1e-2)
    assert net.class_embedding.weight[:10].std().item() == pytest.approx(1, abs=0.05)
    # Untrained, the network predicts (almost) nothing.
    assert net(torch.randn(2, 1, 8, 8), torch.tensor([1, 2]), torch.tensor([1, 2])).sample.abs().max() < 1e-3


def test_flops_of_the_paper_network():
    """12.1 GFLOP of convolutions and linear layers, and five attentions over 16x16 tokens of 256 channels."""
    attention = 5 * 2 * (2 * 256 * 256 * 256)
    spec = PRESETS["paper"].net
    assert flops_per_image(spec, size=32, channels=3, num_classes=10) == pytest.approx(12.1e9 + attention, rel=0.005)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize(("size", "channels"), [(8, 1), (16, 3), (32, 3)])
def test_flops_are_guessed_well_without_the_network(name, size, channels):
    net = PRESETS[name].net
    exact = flops_per_image(net, size=size, channels=channels, num_classes=10)
    assert rough_flops(net, size) == pytest.approx(exact, rel=0.15)


def test_smallest_multiple():
    assert [smallest_multiple(n) for n in (1, 2, 4)] == [1, 2, 8]
