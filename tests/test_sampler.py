import re
import sys

import numpy as np
import pytest
import torch

from ltgen_bench import samplers
from ltgen_bench.data.groups import Groups
from ltgen_bench.diffusion.noise_prior import NoisePrior
from ltgen_bench.diffusion.schedule import alphas_cumprod
from ltgen_bench.diffusion.unet import build
from ltgen_bench.errors import UsageError
from ltgen_bench.rng import generator
from ltgen_bench.sampling.pipeline import Pipeline, labels
from ltgen_bench.sampling.sampler import check, find, override
from ltgen_bench.sampling.shards import join_shards, make_shards, to_uint8
from ltgen_bench.spec.presets import PRESETS
from ltgen_bench.spec.specs import DiffusionSpec, SamplingSpec
from ltgen_bench.training.method_contract import NET

DIFFUSION = DiffusionSpec()
CPU = torch.device("cpu")
SHAPE = (1, 8, 8)


class Ideal(torch.nn.Module):
    """The exact noise prediction when all images of class y are `targets[y]`, under a noise prior."""

    def __init__(self, targets, prior=None):
        super().__init__()
        self.targets, self.prior = targets, prior
        config = {"num_class_embeds": len(targets) + 1, "in_channels": 1, "sample_size": 8}
        self.unet = type("Unet", (), {"config": type("Config", (), config), "device": CPU})
        self.calls = 0

    def forward(self, x, t, y):
        self.calls += 1
        abar = alphas_cumprod(DIFFUSION)[t][:, None, None, None]
        target = torch.cat([self.targets, self.targets.mean(0, keepdim=True)])[y]
        return (x - abar.sqrt() * target) / (1 - abar).sqrt()


@pytest.fixture(scope="module")
def net():
    made = build(NET, size=8, channels=1, num_classes=10, seed=0)
    with torch.no_grad():  # an untrained network predicts nothing, which would hide mistakes
        for p in made.parameters():
            p.add_(0.02 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    return made.eval()


def make(net, spec, index, y=None, **options):
    y = torch.zeros(len(index), dtype=torch.long) if y is None else y
    return Pipeline(net, spec, DIFFUSION, seed=3, **options).sample(index, y)


def scheduler(spec):
    made = find(spec.sampler).scheduler(DIFFUSION, spec)
    made.set_timesteps(spec.steps)
    return made


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_an_image_is_the_same_in_any_batch(net, sampler):
    spec = SamplingSpec(images=10, sampler=sampler, steps=5, omega=1.5)
    whole = make(net, spec, range(6))
    parts = torch.cat([make(net, spec, range(1)), make(net, spec, range(1, 6))])
    torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-4)
    assert not torch.equal(whole[0], whole[1])


def test_ddim_visits_the_published_times_and_its_last_update_does_nothing():
    steps = scheduler(SamplingSpec(steps=50))
    assert steps.timesteps.tolist() == list(range(980, -1, -20))
    x, eps = torch.randn(1, 3, 4, 4), torch.randn(1, 3, 4, 4)
    torch.testing.assert_close(steps.step(eps, 0, x).prev_sample, x)


def test_ddim_update_is_the_formula():
    steps = scheduler(SamplingSpec(steps=50))
    abar = alphas_cumprod(DIFFUSION).double()
    x, eps = torch.randn(2, 1, 4, 4, dtype=torch.float64), torch.randn(2, 1, 4, 4, dtype=torch.float64)
    x0 = (x - (1 - abar[500]).sqrt() * eps) / abar[500].sqrt()
    expected = abar[480].sqrt() * x0 + (1 - abar[480]).sqrt() * eps
    torch.testing.assert_close(steps.step(eps, 500, x).prev_sample, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_the_ideal_network_gives_its_image(sampler):
    targets = torch.linspace(-1, 1, 3 * 64).reshape(3, *SHAPE)
    spec = SamplingSpec(images=3, sampler=sampler, steps=50 if sampler == "ddim" else 1000, omega=0)
    made = make(Ideal(targets), spec, range(3), torch.tensor([0, 1, 2]))
    # DDIM leaves the noise of abar_0, of standard deviation 0.01.
    torch.testing.assert_close(made, targets, rtol=0, atol=0.05 if sampler == "ddim" else 0.02)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_a_noise_prior_is_used_in_sampling_too(sampler):
    """With the prior, the ideal network of shifted and scaled noise gives the image just the same."""
    targets = torch.linspace(-1, 1, 2 * 64).reshape(2, *SHAPE)
    prior = NoisePrior(torch.stack([torch.full(SHAPE, 0.7), torch.full(SHAPE, -0.4)]), torch.tensor([1.5, 0.5]))
    spec = SamplingSpec(images=2, sampler=sampler, steps=50 if sampler == "ddim" else 1000, omega=0)
    made = make(Ideal(targets, prior), spec, range(2), torch.tensor([0, 1]), noise_prior=prior)
    torch.testing.assert_close(made, targets, rtol=0, atol=0.06)
    # The first input of the network is a draw from the prior.
    seen = []
    net = Ideal(targets)
    net.forward = lambda x, t, y: seen.append(x) or torch.zeros_like(x)
    made = make(net, spec, range(400), torch.zeros(400, dtype=torch.long), noise_prior=prior)
    level = (1 - alphas_cumprod(DIFFUSION)[scheduler(spec).timesteps[0]]).sqrt().item()
    assert seen[0].mean().item() == pytest.approx(0.7 * level, abs=0.02)
    assert seen[0].std().item() == pytest.approx(1.5, abs=0.02)


def test_guidance_is_in_the_papers_convention():
    """eps_c + omega (eps_c - eps_u); omega 0 asks the network once per step and image, else one call for both."""
    targets = torch.stack([torch.full(SHAPE, 0.5), torch.full(SHAPE, -0.5)])
    spec = SamplingSpec(images=2, steps=50, omega=1.5)
    net = Ideal(targets)
    made = make(net, spec, range(1), torch.tensor([0]))
    assert net.calls == 50
    # For this linear network guidance moves the target to c + omega (c - u), with c = 0.5 and u = 0.
    torch.testing.assert_close(made, torch.full((1, *SHAPE), 1.25), rtol=0, atol=0.06)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
@pytest.mark.parametrize("std", [None, 1.5, 0.5])
def test_clipping_keeps_the_predicted_image_in_range(sampler, std):
    """Also under a noise prior, whose scale the image's range is independent of; images inside stay as they are."""
    targets = torch.stack([torch.full(SHAPE, 1.25), torch.linspace(-1, 1, 64).reshape(SHAPE)])
    prior = None if std is None else NoisePrior(torch.full((2, *SHAPE), 0.3), torch.full((2,), std))
    net, y = Ideal(targets, prior), torch.tensor([0, 1])
    for clip, top in ((False, 1.25), (True, 1.0)):
        spec = SamplingSpec(sampler=sampler, steps=50 if sampler == "ddim" else 1000, omega=0, clip=clip)
        made = make(net, spec, range(2), y, noise_prior=prior)
        torch.testing.assert_close(made[0], torch.full(SHAPE, top), rtol=0, atol=0.06)
        torch.testing.assert_close(made[1], targets[1], rtol=0, atol=0.06)


def test_clipping_is_that_of_diffusers(net):
    spec = SamplingSpec(steps=5, omega=0, clip=True)
    steps = scheduler(spec)
    assert steps.config.clip_sample
    assert steps.config.clip_sample_range == 1.0
    x, y = (
        torch.stack([torch.randn(SHAPE, generator=generator("cpu", 3, "image", i)) for i in range(4)]),
        torch.arange(4),
    )
    plain = make(net, SamplingSpec(steps=5, omega=0), range(4), y)
    with torch.no_grad():
        for t in steps.timesteps:
            x = steps.step(net(x, t.expand(4), y), t, x, use_clipped_model_output=True).prev_sample
    torch.testing.assert_close(make(net, spec, range(4), y), x, rtol=0, atol=1e-6)
    assert (x - plain).abs().max() > 0.01


def test_the_network_samples_in_float32_unless_told_otherwise(net):
    single, half = (make(net, SamplingSpec(steps=3, **p), range(2)) for p in ({}, {"precision": "bf16"}))
    assert 0 < (single - half).abs().max() < 0.05 * single.abs().max()
    for name in ("paper", "60k", "mini", "smoke"):
        assert PRESETS[name].sample.precision == "fp32"


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"sampler": "ddpm"}, 1000),
        ({"sampler": "ddpm", "steps": "100"}, 100),
        ({"sampler": "ddim"}, 50),
        ({"omega": "0.8"}, 50),
    ],
)
def test_ancestral_sampling_takes_the_whole_chain_unless_told_otherwise(settings, steps):
    assert override(PRESETS["paper"].sample, settings, 1000).steps == steps
    assert override(PRESETS["paper"].sample, settings, 200).steps == min(steps, 200)


def test_another_sampler_in_place_of_the_whole_chain_is_told_its_steps():
    chain = SamplingSpec(sampler="ddpm", steps=1000)
    assert override(chain, {"sampler": "ddim", "steps": "50"}, 1000) == SamplingSpec()
    with pytest.raises(UsageError, match=r"sampler=ddim: in place of ddpm, .* give --set sample\.steps=N, too"):
        override(chain, {"sampler": "ddim"}, 1000)
    of_before = SamplingSpec(sampler="not-installed-here", steps=20)  # of which it is not known
    assert override(of_before, {"sampler": "ddim"}, 1000).steps == 20


def test_labels_are_exactly_balanced():
    assert torch.bincount(labels(500, 10)).tolist() == [50] * 10
    with pytest.raises(UsageError, match=r"sample.images=500"):
        labels(503, 10)


def test_pixels_are_rounded_not_cut():
    x = torch.tensor([-1.2, -1, 0.9999 / 127.5 - 1, 0.4 / 127.5 - 1, 1, 1.7]).reshape(1, 1, 2, 3)
    assert to_uint8(x, torch.tensor([0])).pixels.ravel().tolist() == [0, 0, 1, 0, 255, 255]


@pytest.fixture
def shards(net, tmp_path, monkeypatch):
    """Makes a set of 60 images in files of 20, or a part of it; the images, if all are made."""
    monkeypatch.setattr("ltgen_bench.sampling.shards.SHARD", 20)
    monkeypatch.setattr("ltgen_bench.sampling.pipeline.batch_size", lambda device, size: 10)
    pipeline = Pipeline(net, SamplingSpec(images=60, steps=2), DIFFUSION, seed=3)

    def make(name, *, progress=lambda done, total: None, **more):
        make_shards(pipeline, tmp_path / name, progress=progress, **more)
        return join_shards(tmp_path / name, 60) if more.get("parts", 1) == 1 else None

    return make


def test_shards_are_kept_and_not_made_again(shards, tmp_path):
    whole = shards("whole")

    class Interrupted(Exception):
        pass

    def stop():
        if len(list((tmp_path / "parts").glob("*.npz"))) == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        shards("parts", check=stop)
    made = []
    resumed = shards("parts", progress=lambda done, total: made.append((done, total)))
    assert np.array_equal(whole.pixels, resumed.pixels)
    assert np.array_equal(whole.labels, np.repeat(np.arange(10), 6))
    assert min(made) > (40, 60), "finished shards were made again"
    assert max(made) == (60, 60)


def test_several_workers_make_the_images_of_one(shards, tmp_path):
    whole, made = shards("whole"), []
    shards("parts", part=1, parts=2, progress=lambda done, total: made.append((done, total)))
    assert [p.name for p in (tmp_path / "parts").iterdir()] == ["0000020.npz"]
    assert made[-1] == (20, 20)
    shards("parts", part=0, parts=2)
    assert np.array_equal(whole.pixels, join_shards(tmp_path / "parts", 60).pixels)


MINE = '''
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler

from ltgen_bench.sampling.sampler import Sampler


class DPMSolver(Sampler):
    """DPM-Solver++ of second order (Lu et al., 2022)."""

    name = "dpm++"

    def scheduler(self, diffusion, sampling):
        return DPMSolverMultistepScheduler(
            num_train_timesteps=diffusion.timesteps, beta_start=diffusion.beta_start, beta_end=diffusion.beta_end
        )
'''


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A sampler in a file outside the package."""
    (tmp_path / "dpm_solver.py").write_text(MINE)
    monkeypatch.setattr(samplers, "__path__", [*samplers.__path__, str(tmp_path)])


@pytest.mark.usefixtures("outside")
def test_a_sampler_is_one_file_that_may_lie_outside_the_package(net):
    """Many fewer steps than DDIM; it keeps to a noise prior, and an image is the same in any batch."""
    targets = torch.linspace(-1, 1, 2 * 64).reshape(2, *SHAPE)
    prior = NoisePrior(torch.full((2, *SHAPE), 0.7), torch.tensor([1.5, 0.5]))
    spec = SamplingSpec(images=2, sampler="dpm++", steps=10, omega=0)
    for options in ({}, {"noise_prior": prior}):
        made = make(Ideal(targets), spec, range(2), torch.tensor([0, 1]), **options)
        torch.testing.assert_close(made, targets, rtol=0, atol=0.02)
    whole = make(net, spec, range(4))
    parts = torch.cat([make(net, spec, range(1)), make(net, spec, range(1, 4))])
    torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("outside")
def test_options_of_guidance_hold_for_samplers_from_outside_too(net):
    spec = SamplingSpec(sampler="dpm++", steps=5, omega=0, omega_minority=2)
    made = make(net, spec, range(2), torch.tensor([0, 9]), groups=Groups.from_counts(range(10, 0, -1)))
    for image, omega in enumerate((0, 2)):
        plain = make(net, SamplingSpec(sampler="dpm++", steps=5, omega=omega), range(2), torch.tensor([0, 9]))
        torch.testing.assert_close(made[image], plain[image], rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("outside")
def test_a_sampler_is_checked_at_planning():
    """Its name stands in the settings like any other, and in the identity of what is sampled."""

    def sampler(name, clip):
        spec = override(PRESETS["smoke"].sample, {"sampler": name, "clip": clip}, DIFFUSION.timesteps)
        check(spec, DIFFUSION)
        return spec.sampler

    assert sampler("dpm++", "false") == "dpm++"
    with pytest.raises(UsageError, match=r"'dmp\+\+' in --set sample\.sampler=dmp\+\+\. Did you mean 'dpm\+\+'\?"):
        sampler("dmp++", "false")
    with pytest.raises(UsageError, match=r"sampler dpm\+\+ does not clip; use --set sample\.clip=false"):
        sampler("dpm++", "true")


@pytest.mark.parametrize(
    ("scheduler", "options", "why"),
    [
        ("euler_discrete.EulerDiscreteScheduler", "", "scales images by 1 + sigma"),
        ("ddim.DDIMScheduler", "prediction_type='v_prediction'", "takes predictions of v_prediction, not of the noise"),
        ("ddim.DDIMScheduler", "no_such_option=1", "cannot be set up: TypeError"),
    ],
)
def test_a_scheduler_that_does_not_suit_is_refused_before_any_work(scheduler, options, why, tmp_path, monkeypatch):
    module, kind = scheduler.split(".")
    (tmp_path / "mine.py").write_text(
        f"from diffusers.schedulers.scheduling_{module} import {kind}\n"
        "from ltgen_bench import Sampler\n\n\nclass Mine(Sampler):\n    name = 'mine'\n\n"
        f"    def scheduler(self, diffusion, sampling):\n        return {kind}({options})\n"
    )
    monkeypatch.setattr(samplers, "__path__", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "ltgen_bench.samplers.mine", raising=False)
    with pytest.raises(UsageError, match=rf"sampler mine: its scheduler {re.escape(why)}"):
        check(override(SamplingSpec(), {"sampler": "mine"}, DIFFUSION.timesteps), DIFFUSION)


def test_what_is_no_sampler_is_refused(tmp_path, monkeypatch):
    (tmp_path / "no_sampler.py").write_text("class Mine:\n    name = 'mine'\n")
    monkeypatch.setattr(samplers, "__path__", [str(tmp_path)])
    with pytest.raises(UsageError, match=r"sampler 'mine' .* is no subclass of"):
        find("mine")
