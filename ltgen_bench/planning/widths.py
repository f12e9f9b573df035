"""The same runs with networks of several widths."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

from ltgen_bench import registry
from ltgen_bench.diffusion import unet
from ltgen_bench.errors import UsageError
from ltgen_bench.planning.plan import Request, parse_settings, plan
from ltgen_bench.planning.training_time import rough_parameters
from ltgen_bench.runs.job import Job
from ltgen_bench.runs.titles import told_apart
from ltgen_bench.spec.presets import find
from ltgen_bench.spec.serialise import digest, override
from ltgen_bench.spec.specs import MIN_GROUP, NetSpec, RunSpec

LEAST, MOST, NUMBER = 20_000, 1_000_000, 5
"""Parameters that the usual narrowest and widest network are to have, and how many networks there are to be: as far as
widths in steps of MIN_GROUP allow."""
WIDEST = 1024


def check_widths(widths: Sequence[int]) -> list[int]:
    """In rising order.

    Only multiples of MIN_GROUP: so all networks have that many channels in each group of their group normalisation, and
    differ in nothing but width. Raises UsageError.
    """
    for width in widths:
        if not MIN_GROUP <= width <= WIDEST:
            raise UsageError(f"--widths: a width is from {MIN_GROUP} to {WIDEST} channels, not {width}")
        if width % MIN_GROUP:
            below = width // MIN_GROUP * MIN_GROUP
            raise UsageError(
                f"--widths: {width} is no multiple of {MIN_GROUP}, and a group of the normalisation would have another "
                f"number of channels than in the other networks; use {below} or {below + MIN_GROUP}"
            )
        if widths.count(width) > 1:
            raise UsageError(f"--widths: {width} is there twice; keep one of them")
    if len(widths) < 2:
        raise UsageError(f"--widths: with {widths[0]} alone there is nothing to compare; give two or more")
    return sorted(widths)


def widened(net: NetSpec, width: int) -> NetSpec:
    """The network with so many channels at its first level, and the other levels in proportion."""
    return dataclasses.replace(net, channels=tuple(width * c // net.channels[0] for c in net.channels), groups=None)


def usual_widths(net: NetSpec) -> list[int]:
    """Of about LEAST to about MOST parameters, in equal ratios, as far as widths allow."""
    every = [widened(net, width) for width in range(MIN_GROUP, WIDEST + 1, MIN_GROUP)]
    sizes = {one.channels[0]: math.log(rough_parameters(one)) for one in every}
    wanted = [math.log(LEAST) + i / (NUMBER - 1) * math.log(MOST / LEAST) for i in range(NUMBER)]
    return sorted({min(sizes, key=lambda width: abs(sizes[width] - size)) for size in wanted})


def plan_widths(request: Request, widths: Sequence[int] | None, runs: Path) -> list[Job]:
    """The runs of a request for each width, narrowest first; None: the usual ones of its preset.

    Raises UsageError like `plan`, and for settings that say the width another way.
    """
    (dataset,) = request.datasets
    name = request.preset or registry.dataset(dataset, f"--dataset {dataset}")[0].preset
    settings = parse_settings(request.settings).get("net", {})
    for setting in ("channels", "groups"):
        if setting in settings:
            raise UsageError(f"--set net.{setting}={settings[setting]}: it follows from --widths; leave it out")
    net = override(find(name).net, settings, "net")
    jobs = []
    for width in widths or usual_widths(net):
        channels = ",".join(map(str, widened(net, width).channels))
        jobs += plan(dataclasses.replace(request, settings=(*request.settings, f"net.channels={channels}")), runs)
    return told_apart(jobs)


def grid_name(jobs: Sequence[Job]) -> str:
    """What the page of these runs is called: the same for more seeds, and before all are done."""
    first = jobs[0]
    return f"width-{first.run.dataset.name}-{digest([sorted({j.run.config_id for j in jobs}), first.eval.eval_id])}"


def parameters(run: RunSpec) -> int:
    """How many the network has that a run's images are sampled from."""
    data = run.dataset
    return unet.parameters(run.net, size=data.size, channels=data.channels, num_classes=len(data.class_counts))
