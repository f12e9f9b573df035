"""The method surface: what a long-tail training method may do, and how methods combine.

A method is one file with one class:

    class ClassBalanced(Method):
        "Effective-number class weights."
        name = "cb"
        beta: float = 0.9999                      # a hyper-parameter: --set cb.beta=0.999

        def weight(self, step, task):             # one of the hooks below
            ...

Methods combine by the *role* of the hooks they override, so no code knows a pair of methods. What all methods must
share (optimizer, schedule, batch size, EMA, label dropout, precision, sampler) has no hook, on purpose.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import dataclass_transform

from ltgen_bench.diffusion.dropout_masks import HALVES
from ltgen_bench.diffusion.noise_prior import NoisePrior
from ltgen_bench.errors import UsageError
from ltgen_bench.rng import seed_dropout

if TYPE_CHECKING:
    from ltgen_bench.data.groups import Groups
    from ltgen_bench.diffusion.denoiser import Denoiser, Encoded, Network
    from ltgen_bench.diffusion.dropout_masks import Half, Masks


@dataclasses.dataclass(frozen=True)
class Task:
    """What a method may know of the training it is part of. Tensors are float32 on the training device.

    class_counts: (C,) training images of each class; class_means: (C, channels, height, width) mean training image of
    each class, in [-1, 1]; alphas_cumprod: (T,) of the noise schedule.
    """

    class_counts: Tensor
    class_means: Tensor
    groups: Groups
    alphas_cumprod: Tensor

    @property
    def num_classes(self) -> int:
        return len(self.class_counts)

    @property
    def class_freq(self) -> Tensor:
        """pi, (C,): share of each class in the training set."""
        return self.class_counts / self.class_counts.sum()

    @property
    def timesteps(self) -> int:
        """T, the number of diffusion steps."""
        return len(self.alphas_cumprod)


@dataclasses.dataclass
class Step:
    """One training step, the same for every method given the seed: batch, times, noise and the prediction.

    B images: x0, noise, xt, eps are (B, channels, height, width); y, t are (B,) int64.
    """

    index: int
    seed: int
    x0: Tensor  # clean images in [-1, 1]
    y: Tensor  # true labels, also in an unconditional batch
    y_in: Tensor  # the labels the network is told: y, or the null label C throughout an unconditional batch
    unconditional: bool  # whether this batch's labels were dropped, for classifier-free guidance
    t: Tensor  # diffusion times 0..T-1
    noise: Tensor
    xt: Tensor  # sqrt(abar) x0 + sqrt(1 - abar) noise
    net: Network
    encoded: Encoded = dataclasses.field(init=False)  # the down and middle path, where a method `reuses_encoder`
    masks: dict[Half, Masks] = dataclasses.field(default_factory=dict)  # its dropout; a pass without them draws its own
    eps: Tensor = dataclasses.field(init=False)  # its prediction of the noise
    base: Tensor = dataclasses.field(init=False)  # (B,) denoising loss of each image, weighted
    rng: torch.Generator = dataclasses.field(init=False)  # the running method's own random stream
    logged: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    images: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    alarms: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    _method: str = ""
    _streams: dict[str, torch.Generator] = dataclasses.field(default_factory=dict)

    def predict(self, *, keep_encoded: bool) -> None:
        """Run the network once; every method shares this prediction."""
        for half in HALVES:
            seed_dropout(self.xt.device, self.seed, half, self.index)
            self.masks[half] = self.net.draw_masks(half, len(self.xt))
        if keep_encoded:
            self.encoded = self.net.encode(self.xt, self.t, self.y_in, self.masks["encoder"])
            self.eps = self.net.decode(self.encoded, self.masks["decoder"])
        else:
            self.eps = self.net(self.xt, self.t, self.y_in, self.masks)

    def log(self, name: str, value: Tensor) -> None:
        """Write a scalar to the training log as `method/name`."""
        self.logged[f"{self._method}/{name}"] = value.detach()

    def log_images(self, name: str, values: Tensor) -> None:
        """Write a figure of each image (B,) to the training log, averaged within each group of classes."""
        self.images[f"{self._method}/{name}"] = values.detach()

    def alarm(self, name: str, share: Tensor) -> None:
        """Log the share of the batch on which a safeguard acted; above zero, the run says so."""
        self.log(name, share)
        self.alarms[f"{self._method}/{name}"] = share.detach()


HOOKS = ("wrap", "export", "without_reserve", "sampling", "noise_prior", "target", "weight", "losses", "reuses_encoder")
"""All that a method can override."""


@dataclass_transform(frozen_default=True)
class Method:
    """A long-tail training method. Subclass it, name it, override the hooks you need; methods/README.md has examples.

    Annotated class attributes are hyper-parameters (int, float, bool, str); the subclass becomes a frozen dataclass of
    them. Raise UsageError in `__post_init__` for a value that makes no sense.

    The class statement raises UsageError for a public method that looks like a misspelt hook, and for an attribute that
    looks like a hyper-parameter without annotation: both would change nothing, silently.
    """

    name: ClassVar[str]
    """How the command line spells it."""
    version: ClassVar[int] = 1
    """Raise it when results would change: old results stay apart."""
    order: ClassVar[int] = 50
    """Place in a combination; small is nearer the network (wrapped first)."""
    deviations: ClassVar[str] = ""
    """What differs from the paper, in a sentence: leaderboards print it."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _check_attributes(cls)
        dataclasses.dataclass(frozen=True)(cls)

    def wrap(self, net: Denoiser, task: Task, rng: torch.Generator) -> None:
        """Add parameters to the network, in place, before training. Chained."""

    def export(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Fold what `wrap` added back into the plain network's weights. Chained, in reverse.

        state: the wrapped network's `state_dict`, with averaged weights, on the training device. Return it without the
        keys that `wrap` added and with those that it took away: the plain network loads it strictly.
        """
        return state

    def without_reserve(self, state: dict[str, Tensor]) -> dict[str, Tensor] | None:
        """The plain network as it is without what the method reserves for the minority, from what `export` gets;
        None for a method that reserves nothing. Kept beside the trained network, for experiments. Exclusive.
        """
        return None

    def sampling(self, task: Task) -> Tensor | None:
        """Sampling weight of each class (C,), in place of one pass over the data per epoch. Exclusive."""
        return None

    def noise_prior(self, task: Task) -> NoisePrior | None:
        """Class-dependent noise, for training and sampling alike. Exclusive."""
        return None

    def target(self, step: Step, task: Task) -> Tensor | None:
        """What the network regresses to, in place of `step.noise`; called before `step.eps` exists. Exclusive."""
        return None

    def weight(self, step: Step, task: Task) -> Tensor | None:
        """Weight of each image's denoising loss (B,), without gradient. Multiplied."""
        return None

    def losses(self, step: Step, task: Task) -> Mapping[str, Tensor]:
        """Further scalar loss terms, logged as `method/term`. Summed."""
        return {}

    def reuses_encoder(self) -> bool:
        """Whether `losses` uses `step.encoded`. If no method does, the shared pass is run, and compiled, in one."""
        return False


def _check_attributes(cls: type[Method]) -> None:
    """Raises UsageError for what its author must have meant as a hook or a hyper-parameter."""
    given = {"name", "version", "order", "deviations"}
    for name, annotation in inspect.get_annotations(cls).items():
        if name in given and "ClassVar" not in str(annotation):
            raise UsageError(
                f"{cls.__name__}.{name} has a type, which would make it a hyper-parameter; write `{name} = ...`, "
                "without a type"
            )
    for name, value in vars(cls).items():
        function = inspect.isfunction(value) or isinstance(value, staticmethod | classmethod | property)
        if name in HOOKS and not function and not callable(value):
            raise UsageError(
                f"{cls.__name__}.{name} is a hook, so it must be a method, not {value!r}; give a hyper-parameter "
                "another name"
            )
        if name.startswith("_") or name in HOOKS:
            continue
        if function:
            spelt = name.lower().replace("_", "")
            if near := difflib.get_close_matches(spelt, _SPELT_HOOKS, n=1, cutoff=0.75):
                hook = _SPELT_HOOKS[near[0]]
                raise UsageError(
                    f"{cls.__name__}.{name}() is no hook and would never be called. Did you mean {hook}()? "
                    f"If it is a helper, call it _{name}()"
                )
        elif isinstance(value, bool | int | float | str) and not (
            name in given or name in inspect.get_annotations(cls) or name.isupper()
        ):
            kind = type(value).__name__
            raise UsageError(
                f"{cls.__name__}.{name} has no type, so it is no hyper-parameter: write `{name}: {kind} = {value!r}`, "
                f"or call it {name.upper()} if it is a constant"
            )


_SPELT_HOOKS = {hook.replace("_", ""): hook for hook in HOOKS}
