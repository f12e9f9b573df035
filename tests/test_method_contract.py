"""Every shipped method, and CM with every other, keeps the contract."""

import re
from pathlib import Path

import pytest

import ltgen_bench.methods
from ltgen_bench import registry
from ltgen_bench.errors import UsageError
from ltgen_bench.training import method_contract
from ltgen_bench.training.method import HOOKS, Method
from ltgen_bench.training.method_contract import CLAIMS, Broken, check_method
from ltgen_bench.training.stack import Stack, parse_methods

METHODS = sorted(registry.methods().entries())
COMBINATIONS = [f"cm+{name}" for name in METHODS if name not in ("cm", "ddpm")]
VARIANTS = ["cm.dropout=shared", "cm.layers=all", "cm.layers=all cm.dropout=shared", "cbdm.target_labels=uniform"]


SAMPLES = "its network samples about as ddpm's does"
PAIRS = [(name, c) for name in METHODS + COMBINATIONS for c in CLAIMS if c != SAMPLES or name in METHODS]


@pytest.mark.parametrize(("name", "claim"), PAIRS)
def test_contract(name, claim, digits):
    CLAIMS[claim](parse_methods(name), digits)


@pytest.mark.parametrize("claim", [c for c in CLAIMS if c != SAMPLES])
@pytest.mark.parametrize("settings", VARIANTS)
def test_contract_of_variants(settings, claim, digits):
    chosen = {}
    for setting in settings.split():
        key, _, value = setting.partition("=")
        method, _, name = key.partition(".")
        chosen.setdefault(method, {})[name] = value
    CLAIMS[claim](parse_methods("+".join(chosen), chosen), digits)


def test_a_broken_method_is_found(monkeypatch):
    """The contract can fail: a method whose export forgets to fold its reserve."""
    kind = registry.methods().load("cm")
    monkeypatch.setattr(kind, "export", lambda self, state: state)
    problems = {claim: problem for claim, problem in check_method("cm") if problem}
    apart = "without its reserve, if it has one, it is another plain network"
    assert list(problems) == ["export gives the plain network with equal outputs", apart, SAMPLES]
    assert "left behind: unet.up_blocks.0." in problems["export gives the plain network with equal outputs"]


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (lambda self, state: self.export(state), "without_reserve gives the very network that export gives"),
        (
            lambda self, state: None,
            "UsageError: without_reserve() of cm does not give the weights of the plain network",
        ),
    ],
)
def test_a_reserve_that_is_not_taken_out_is_found(wrong, problem, monkeypatch):
    monkeypatch.setattr(registry.methods().load("cm"), "without_reserve", wrong)
    problems = {claim: problem for claim, problem in check_method("cm") if problem}
    assert problems["without its reserve, if it has one, it is another plain network"].startswith(problem)


class Velocity(Method):
    """v-prediction, which a network learns as well as noise, and which the sampler takes for noise."""

    name = "velocity"

    def target(self, step, task):
        abar = task.alphas_cumprod[step.t][:, None, None, None]
        return abar.sqrt() * step.noise - (1 - abar).sqrt() * step.x0


def test_a_method_that_predicts_something_else_than_noise_is_told_so(digits):
    with pytest.raises(Broken, match="the sampler takes the network's output for the noise"):
        CLAIMS[SAMPLES](Stack([Velocity()]), digits)


class Early(Method):
    """Training at early times alone, which is the schedule's to say: all methods of a combination would be."""

    name = "early"

    def target(self, step, task):
        step.t.clamp_(max=99)


class Blurred(Method):
    name = "blurred"

    def losses(self, step, task):
        step.xt = step.xt / 2
        return {}


@pytest.mark.parametrize(("method", "changed"), [(Early(), "t"), (Blurred(), "xt")])
def test_a_method_that_changes_what_all_share_is_told_so(method, changed, digits):
    with pytest.raises(Broken, match=rf"it changes step\.{changed}, which all methods share"):
        method_contract.same_draws(Stack([method]), digits)


class NaN(Method):
    name = "nan"

    def weight(self, step, task):
        return step.base.new_full((len(step.y),), float("nan"))


def test_an_optimised_interpreter_checks_too(digits):
    """python -O leaves asserts out."""
    path = Path(method_contract.__file__)
    optimised = {"__name__": "optimised"}
    exec(compile(path.read_text(encoding="utf-8"), path, "exec", optimize=1), optimised)
    with pytest.raises(optimised["Broken"], match="loss nan at step 1"):
        optimised["CLAIMS"]["the loss is finite"](Stack([NaN()]), digits)


def test_check_says_which_hooks_a_method_overrides(cli):
    got = cli("check", "method", "cm+cb")
    assert got.code == 0
    assert got.out.splitlines()[:2] == [
        "cm overrides wrap, export, without_reserve, losses, reuses_encoder",
        "cb overrides weight",
    ]
    assert got.out.count("\nok     ") == len(CLAIMS)


@pytest.mark.parametrize(
    ("misspelt", "hook"),
    [
        ("weigth", "weight"),
        ("weights", "weight"),
        ("loss", "losses"),
        ("targets", "target"),
        ("noiseprior", "noise_prior"),
        ("samplings", "sampling"),
        ("reuse_encoder", "reuses_encoder"),
        ("wraps", "wrap"),
        ("Export", "export"),
    ],
)
def test_a_misspelt_hook_is_refused(misspelt, hook):
    sentence = (
        f"Mine.{misspelt}() is no hook and would never be called. Did you mean {hook}()? "
        f"If it is a helper, call it _{misspelt}()"
    )
    with pytest.raises(UsageError) as error:
        type("Mine", (Method,), {"name": "mine", misspelt: lambda self, step, task: None})
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    "helper", ["coefficients", "class_weights", "temperature", "distance", "mean_image", "schedule", "_weigth", "draw"]
)
def test_helpers_are_allowed(helper):
    assert type("Mine", (Method,), {"name": "mine", helper: lambda self: None})
    assert helper not in HOOKS


def test_a_hook_that_is_no_method_is_refused():
    sentence = "Mine.weight is a hook, so it must be a method, not 0.5; give a hyper-parameter another name"
    with pytest.raises(UsageError, match=re.escape(sentence)):
        type("Mine", (Method,), {"name": "mine", "weight": 0.5, "__annotations__": {"weight": float}})


@pytest.mark.parametrize("line", ["beta: float", "def __init__(self):\n        self.beta = 1.0"])
def test_a_method_that_has_no_defaults_is_refused(line, cli, tmp_path, monkeypatch):
    source = f"from ltgen_bench.training.method import Method\n\nclass Bad(Method):\n    name = 'bare'\n    {line}\n"
    (tmp_path / "bare.py").write_text(source)
    monkeypatch.setattr("ltgen_bench.methods.__path__", [*ltgen_bench.methods.__path__, str(tmp_path)])
    done = cli("check", "method", "bare")
    assert done.code == 2
    assert done.err.startswith("error: method 'bare' cannot be made with its defaults: ")
    assert "beta" in done.err


def test_a_version_with_an_annotation_is_refused():
    """It would be a hyper-parameter: raising it would not keep old results apart."""
    with pytest.raises(UsageError, match=r"Mine.version has a type, which would make it a hyper-parameter"):
        type("Mine", (Method,), {"name": "mine", "version": 2, "__annotations__": {"version": "int"}})


def test_a_hyper_parameter_without_annotation_is_refused():
    with pytest.raises(UsageError) as error:
        type("Mine", (Method,), {"name": "mine", "power": 0.5})
    assert str(error.value) == (
        "Mine.power has no type, so it is no hyper-parameter: write `power: float = 0.5`, or call it POWER if it is a "
        "constant"
    )
    kind = registry.methods().load("cm")
    with pytest.raises(UsageError, match="write `w_div: float = "):  # would keep the inherited default
        type("CM2", (kind,), {"name": "cm2", "w_div": 1.0})
    assert type("CM2", (kind,), {"name": "cm2", "version": 2, "order": 11, "TINY": 1e-9})


def test_the_sentence_reaches_who_uses_the_method(cli, tmp_path, monkeypatch):
    path = tmp_path / "methods" / "bad.py"
    path.parent.mkdir()
    source = "class Bad(Method):\n    name = 'misspelt'\n\n    def weigth(self, step, task):\n        return None\n"
    path.write_text(f"from ltgen_bench.training.method import Method\n\n\n{source}")
    monkeypatch.setattr("ltgen_bench.methods.__path__", [str(path.parent)])
    done = cli("check", "method", "misspelt")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: method 'misspelt' ({path}) cannot be imported: Bad.weigth() is no hook")
