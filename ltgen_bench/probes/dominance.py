"""Whose gradient decides the update of a network: CM's claim that the majority's does (Hong et al., ICLR 2026).

At the last state of a training (the weights themselves, not their average), of the denoising loss that all methods
share. g_c is the mean gradient of class c over its images, times and noise; the mean gradient of a group is that of its
classes by their frequencies, and the update that of all classes by theirs: what a step of plain training expects.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ltgen_bench.data.groups import Groups
from ltgen_bench.errors import UsageError
from ltgen_bench.probes.estimates import jackknife, scopes
from ltgen_bench.probes.gradients import Gradients, MeanGradient
from ltgen_bench.probes.specs import DominanceSpec
from ltgen_bench.probes.subject import Subject
from ltgen_bench.probes.theory_measured import assess
from ltgen_bench.probes.variants import Report
from ltgen_bench.probes.work_folder import WorkFolder
from ltgen_bench.rng import generator
from ltgen_bench.training.trainer import Trainer

Numbers = NDArray[np.float64]
CHUNK = 60_000
"""Parameters looked at at once, of the mean gradients of all classes."""


def measure(subject: Subject, spec: DominanceSpec, work: WorkFolder, report: Report) -> dict[str, Any]:
    """{"scopes": see `compare`, "parameters", "reserve": parameters of the reserve, "theory": see `theory`}.

    The mean gradients lie on disk meanwhile, 16 bytes a parameter and class (4 for each of BLOCKS).
    """
    trainer = subject.trainer()
    trainer.net.eval()
    run, counts = subject.run, subject.run.dataset.class_counts
    gradients = Gradients(
        trainer.net,
        trainer.params,
        subject.data.train,
        trainer.task.alphas_cumprod,
        trainer.noise_prior,
        run.train.flip,
        spec.seed,
    )
    inside = reserved(trainer)

    def class_gradient(c: int) -> dict[str, Any]:
        found = gradients.mean(
            c, spec.images, inside, lambda done: report("classes", c * spec.images + done, len(counts) * spec.images)
        )
        work.save(f"class-{c}", found.blocks)
        return {"squares": found.squares.tolist(), "batches": found.batches}

    of_class = [work.figures(f"class-{c}", lambda c=c: class_gradient(c)) for c in range(len(counts))]  # type: ignore[misc]
    means = [
        MeanGradient(work.saved(f"class-{c}"), np.array(part["squares"]), part["batches"])
        for c, part in enumerate(of_class)
    ]
    sizes = [p.numel() for p in trainer.params]
    within = np.repeat(inside, sizes)
    return {
        "scopes": compare(means, np.array(counts) / sum(counts), subject.data.groups, within),
        "parameters": sum(sizes),
        "reserve": int(within.sum()),
        "theory": theory(gradients, spec, subject, work, report),
    }


def reserved(trainer: Trainer) -> list[bool]:
    """Of each trained parameter, whether it is of the reserve: whether the network without it does not depend on it."""
    state = trainer.net.state_dict(keep_vars=True)
    general = trainer.stack.without_reserve(state)
    if general is None:
        return [False] * len(trainer.params)
    whole = torch.stack([value.sum() for value in general.values() if value.requires_grad]).sum()
    return [found is None for found in torch.autograd.grad(whole, trainer.params, allow_unused=True)]


def compare(
    means: Sequence[MeanGradient], frequencies: Numbers, groups: Groups, inside: NDArray[np.bool_]
) -> dict[str, dict[str, float | None]]:
    """Of the update ("overall"), each group's and each class's mean gradient.

    means: of each class, of as many blocks and batches each. inside: (P,), the reserve. Of each scope:

    same_sign: share of parameters whose update has the sign that this gradient asks for; of those where majority and
        minority ask for opposite ones: opposed_same_sign. As measured: noise pulls both towards 1/2.
    norm: of the mean gradient; noise: share of its measured square that is error and was taken off; where that is all
    of it, norm and the following are None.
    to_update, to_majority, to_minority: cosines, each with its standard error, to_update_se and so on: jackknife over
        the blocks, None where a mean is hidden in the noise without one of them. As the squares of the errors are taken
        off, the estimate of a cosine can be outside -1 to 1, by as much as noise allows.
    serves: how much the loss of these classes falls in a step along the update, relative to the same step along their
        own gradient: g . update / |g|^2.
    reserve: share of its square that is in the reserve.
    """
    classes, blocks = len(means), len(means[0].blocks)
    shares = {name: _weights(ids, frequencies) for name, ids in scopes(groups)}
    weights = np.array(list(shares.values()))
    gram = np.zeros((2, classes * blocks, classes * blocks))
    same, opposed_same = np.zeros((2, len(shares)))
    asked, opposed_asked = np.zeros((2, len(shares)))
    update, majority, minority = (list(shares).index(name) for name in ("overall", "majority", "minority"))
    for at in range(0, len(inside), CHUNK):
        part = np.array([mean.blocks[:, at : at + CHUNK] for mean in means], np.float64)
        for which in (0, 1):
            chosen = part.reshape(classes * blocks, -1)[:, inside[at : at + CHUNK] == bool(which)]
            gram[which] += chosen @ chosen.T
        signs = np.sign(weights @ part.mean(1))
        agree, ask = signs * signs[update] > 0, signs * signs[update] != 0
        opposed = signs[majority] * signs[minority] < 0
        same, asked = same + agree.sum(1), asked + ask.sum(1)
        opposed_same, opposed_asked = opposed_same + agree[:, opposed].sum(1), opposed_asked + ask[:, opposed].sum(1)

    def products(kept: Sequence[int]) -> tuple[Numbers, Numbers]:
        """(2, scopes, scopes) of the means over these blocks, as measured and without the squares of the errors."""
        batches = len(kept) * means[0].batches
        measured = gram.reshape(2, classes, blocks, classes, blocks)[:, :, kept][..., kept].mean((2, 4))
        squares = np.array([mean.squares[:, kept].sum(1) for mean in means]).T / batches
        noise = (squares - np.diagonal(measured, axis1=1, axis2=2)) / (batches - 1)
        true = measured - noise[:, :, None] * np.eye(classes)
        return weights @ measured @ weights.T, weights @ true @ weights.T

    measured, true = products(range(blocks))
    without = [products([b for b in range(blocks) if b != left])[1].sum(0) for left in range(blocks)]
    whole = true.sum(0)
    found = {}
    for i, name in enumerate(shares):
        square, with_noise = whole[i, i], measured.sum(0)[i, i]
        figures: dict[str, float | None] = {
            "same_sign": _ratio(same[i], asked[i]),
            "opposed_same_sign": _ratio(opposed_same[i], opposed_asked[i]),
            "norm": math.sqrt(square) if square > 0 else None,
            "noise": _ratio(with_noise - square, with_noise),
            "serves": _ratio(whole[i, update], square),
            "reserve": _ratio(true[1, i, i], square),
        }
        for other, j in (("update", update), ("majority", majority), ("minority", minority)):
            figures[f"to_{other}"] = _cosine(whole, i, j)
            figures[f"to_{other}_se"] = jackknife([_cosine(part, i, j) for part in without])
        found[name] = figures
    return found


def theory(
    gradients: Gradients, spec: DominanceSpec, subject: Subject, work: WorkFolder, report: Report
) -> dict[str, Any]:
    """What Theorem 2.1 says of batches of this run's size, beside what is found in batches of its gradients (fields of
    `theory_measured.Assessment`); or {"why": why that cannot be said}."""
    counts, groups = subject.run.dataset.class_counts, subject.data.groups
    sizes = {name: sum(counts[c] for c in ids) for name, ids in groups}
    total = sum(p.numel() for p in gradients.params)
    rng = generator("cpu", spec.seed, "probe parameters")
    index = torch.randperm(total, generator=rng)[: spec.parameters].sort().values

    def singles(group: str, before: int) -> Mapping[str, NDArray[Any]]:
        rng = generator("cpu", spec.seed, "probe singles", group)
        ids = getattr(groups, group)
        frequencies = torch.tensor([counts[c] for c in ids], dtype=torch.float64)
        drawn = torch.multinomial(frequencies, spec.singles, replacement=True, generator=rng)
        rows = []
        for done, i in enumerate(drawn.tolist()):
            rows.append(gradients.single(ids[i], index, rng))
            report("single images", before + done + 1, 2 * spec.singles)
        return {"gradients": np.array(rows)}

    majority = work.arrays("singles-majority", lambda: singles("majority", 0))["gradients"]
    minority = work.arrays("singles-minority", lambda: singles("minority", spec.singles))["gradients"]
    a = sizes["majority"] / (sizes["majority"] + sizes["minority"])
    try:
        return dataclasses.asdict(assess(majority, minority, a=a, n=subject.run.train.batch))
    except UsageError as reason:
        return {"why": str(reason)}


def _weights(ids: tuple[int, ...], frequencies: Numbers) -> Numbers:
    """(classes,) of the mean over some of them, by their frequencies."""
    weights = np.zeros(len(frequencies))
    weights[list(ids)] = frequencies[list(ids)]
    return np.asarray(weights / weights.sum())


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole > 0 else None


def _cosine(products: Numbers, i: int, j: int) -> float | None:
    squares = products[i, i], products[j, j]
    return float(products[i, j] / math.sqrt(squares[0] * squares[1])) if min(squares) > 0 else None
