"""Methods combined: `a+b+c`, by the role of the hooks that each overrides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ltgen_bench import registry
from ltgen_bench.diffusion.noise_prior import NoisePrior
from ltgen_bench.errors import UsageError
from ltgen_bench.rng import generator
from ltgen_bench.spec.serialise import canonical, override, to_json
from ltgen_bench.spec.specs import MethodSpec
from ltgen_bench.training.method import HOOKS, Method, Step, Task

if TYPE_CHECKING:
    from ltgen_bench.diffusion.denoiser import Denoiser

EXCLUSIVE = ("sampling", "noise_prior", "target", "without_reserve")


class Stack:
    """Methods combined: `a+b+c`, in canonical order (by `order`, then name), whatever order they were given in.

    Raises UsageError when a method is given twice or two of them set the same exclusive hook.
    """

    def __init__(self, methods: Iterable[Method]) -> None:
        self.methods = tuple(sorted(methods, key=lambda m: (m.order, m.name)))
        names = [m.name for m in self.methods]
        if len(set(names)) < len(names):
            raise UsageError(f"a method is named twice in {'+'.join(names)}")
        for hook in EXCLUSIVE:
            if len(owners := [m.name for m in self.methods if _overrides(m, hook)]) > 1:
                raise UsageError(f"{' and '.join(owners)} both set {hook}(), which only one method can; pick one")

    @property
    def name(self) -> str:
        return "+".join(m.name for m in self.methods)

    def wrap(self, net: Denoiser, task: Task, seed: int) -> None:
        for m in self.methods:
            m.wrap(net, task, generator("cpu", seed, "wrap", m.name))

    def export(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Raises UsageError when a method gives no state dict back."""
        for m in reversed(self.methods):
            state = m.export(state)
            if not isinstance(state, dict):
                raise UsageError(f"{m.name}.export() must return the state dict of the plain network, not {state!r}")
        return state

    def without_reserve(self, state: dict[str, Tensor]) -> dict[str, Tensor] | None:
        """What `export` gives, but without the reserve of the method that has one; None when none has.

        Raises UsageError when a method gives no state dict back.
        """
        owner = next((m for m in self.methods if _overrides(m, "without_reserve")), None)
        if owner is None:
            return None
        for m in reversed(self.methods):
            state = (m.without_reserve(state) or {}) if m is owner else m.export(state)
        return state

    @property
    def has_reserve(self) -> bool:
        """Whether a method keeps something for the minority: `without_reserve` gives a network then."""
        return any(_overrides(m, "without_reserve") for m in self.methods)

    def sampling(self, task: Task) -> Tensor | None:
        return next((m.sampling(task) for m in self.methods if _overrides(m, "sampling")), None)

    def noise_prior(self, task: Task) -> NoisePrior | None:
        return next((m.noise_prior(task) for m in self.methods if _overrides(m, "noise_prior")), None)

    def loss(self, step: Step, task: Task) -> tuple[Tensor, dict[str, Tensor]]:
        """The total loss of a step and its terms: the weighted denoising loss as `denoise`, others as `method/term`."""
        target = None
        for m in self._taking_turns(step):
            if _overrides(m, "target"):
                target = m.target(step, task)
        step.predict(keep_encoded=any(m.reuses_encoder() for m in self.methods))
        error = (step.eps - (step.noise if target is None else target)).float().square()
        step.base = error.mean((1, 2, 3))
        step.images["denoise"] = step.base.detach()
        for m in self._taking_turns(step):
            if (weight := m.weight(step, task)) is not None:
                step.base = step.base * weight
        terms = {"denoise": step.base.mean()}
        for m in self._taking_turns(step):
            terms |= {f"{m.name}/{term}": value for term, value in m.losses(step, task).items()}
        return torch.stack(list(terms.values())).sum(), terms

    def _taking_turns(self, step: Step) -> Iterable[Method]:
        """Each method in turn, with its name and random stream set in the step.

        A stream depends on the method's name alone: adding another method changes no other method's draws.
        """
        for m in self.methods:
            step._method = m.name
            if m.name not in step._streams:
                step._streams[m.name] = generator(step.xt.device, step.seed, m.name, step.index)
            step.rng = step._streams[m.name]
            yield m


def _overrides(method: Method, hook: str) -> bool:
    return getattr(type(method), hook) is not getattr(Method, hook)


def overridden(method: Method) -> tuple[str, ...]:
    """The hooks that a method has of its own."""
    return tuple(hook for hook in HOOKS if _overrides(method, hook))


def overrides_nothing(method: Method) -> bool:
    """Whether a method has no hooks of its own, so that it adds nothing to other methods."""
    return not set(overridden(method)) - {"reuses_encoder"}


def parse_methods(text: str, settings: Mapping[str, Mapping[str, str]] | None = None) -> Stack:
    """The methods of `a+b+c`, with the settings of their hyper-parameters.

    A method without hooks (`ddpm`) adds nothing to others: `ddpm+cm` is `cm`.
    """
    methods = []
    for name in text.split("+"):
        kind = registry.methods().load(name.strip(), f"--method {text}")
        methods.append(override(_with_defaults(kind), (settings or {}).get(name.strip(), {}), name.strip()))
    return Stack([m for m in methods if not overrides_nothing(m)] or methods[:1])


def _with_defaults(kind: type[Method]) -> Method:
    """Raises UsageError for a class that cannot be made without arguments."""
    try:
        return kind()
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(
            f"method {kind.name!r} cannot be made with its defaults: {error}; give each hyper-parameter a default, as "
            "in `beta: float = 1.0`, and write no __init__"
        ) from error


def build_stack(specs: Iterable[MethodSpec]) -> Stack:
    """The methods of a spec. Raises UsageError when a method's version is not the installed one."""
    methods = []
    for spec in specs:
        kind = registry.methods().load(spec.name)
        if kind.version != spec.version:
            raise UsageError(f"this run is of {spec.name} version {spec.version}; installed is version {kind.version}")
        methods.append(kind(**spec.params))
    return Stack(methods)


def describe(method: Method) -> MethodSpec:
    """A method's identity: name, version, every hyper-parameter and which of them are not at their default."""
    params = to_json(canonical(method))
    default = to_json(canonical(type(method)()))
    return MethodSpec(method.name, method.version, params, tuple(k for k in params if params[k] != default[k]))
