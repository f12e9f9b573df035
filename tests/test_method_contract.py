"""Every shipped method, and CM with every other, keeps the contract."""

import pytest

from ltgen_bench import registry
from ltgen_bench.training.method_contract import CLAIMS, check_method
from ltgen_bench.training.stack import parse_methods

METHODS = sorted(registry.methods().entries())
COMBINATIONS = [f"cm+{name}" for name in METHODS if name not in ("cm", "ddpm")]
VARIANTS = ["cm.dropout=shared", "cm.layers=all", "cm.layers=all cm.dropout=shared", "cbdm.target_labels=uniform"]


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("name", METHODS + COMBINATIONS)
def test_contract(name, claim, digits):
    CLAIMS[claim](parse_methods(name), digits)


@pytest.mark.parametrize("claim", CLAIMS)
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
    assert list(problems) == ["export gives the plain network with equal outputs"]
    assert "left behind: unet.up_blocks.0." in problems["export gives the plain network with equal outputs"]
