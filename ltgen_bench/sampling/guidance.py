"""How strongly each image is guided at each time: omega by group of classes, in an interval of times, on a schedule."""

from __future__ import annotations

import torch
from torch import Tensor

from ltgen_bench.data.groups import Groups
from ltgen_bench.errors import UsageError
from ltgen_bench.spec.specs import EVERYWHERE, GAMMA, SamplingSpec


def strength(spec: SamplingSpec, omega: float, time: float) -> float:
    """What a setting omega comes to at a time t / T, from 0 (the image) to 1 (noise).

    Outside `omega_interval`, 0 (Kynkäänniemi et al., NeurIPS 2024; there in noise levels sigma, here in t / T). Inside,
    by the schedules of CCUA's released sampler (Chen et al., arXiv 2507.09052), from omega to -1, unguided by labels:

        constant       omega
        linear         (1 - t/T) (omega + 1) - 1
        gamma >= 1     gamma^(-t/T) (omega + 1) - 1
        gamma < 1      (1 - gamma^(1 - t/T)) (omega + 1) - 1        # at t = 0 it is short of omega
    """
    low, high = spec.omega_interval
    if not low <= time <= high:
        return 0.0
    if spec.omega_schedule == "constant":
        return omega
    if spec.omega_schedule == "linear":
        return (1 - time) * (omega + 1) - 1
    gamma = spec.omega_gamma
    kept: float = gamma**-time if gamma >= 1 else 1 - gamma ** (1 - time)
    return kept * (omega + 1) - 1


class Guidance:
    """The omega of each class at each timestep. groups: needed where a group has an omega of its own."""

    def __init__(self, spec: SamplingSpec, timesteps: int, groups: Groups | None = None) -> None:
        self.spec, self.timesteps = spec, timesteps
        self._levels, self._level_of = [spec.omega], torch.zeros(0, dtype=torch.int64)
        if own := spec.omega_by_group:
            if groups is None:
                raise ValueError("an omega of a group takes the groups of the classes")
            # Level 0 is omega itself, for the groups that have none of their own.
            self._levels += own.values()
            level = {c: list(own).index(name) + 1 if name in own else 0 for name, ids in groups for c in ids}
            self._level_of = torch.tensor([level[c] for c in range(len(level))])

    def at(self, t: int, y: Tensor) -> float | Tensor:
        """Of images with labels y (B,) at timestep t: a number where it is one for all classes, else (B, 1, 1, 1)."""
        values = [strength(self.spec, omega, t / self.timesteps) for omega in self._levels]
        if len(set(values)) == 1:
            return values[0]
        return torch.tensor(values, device=y.device)[self._level_of.to(y.device)[y]].reshape(-1, 1, 1, 1)


def check(spec: SamplingSpec) -> None:
    """Raises UsageError for settings of the guidance that make no sense, alone or beside each other."""
    interval = spec.omega_interval
    if len(interval) != 2 or not EVERYWHERE[0] <= interval[0] < interval[1] <= EVERYWHERE[1]:
        raise UsageError(
            "sample.omega_interval must be two times lo,hi as fractions of T, 0 <= lo < hi <= 1, for example 0.2,0.8, "
            f"not {','.join(f'{end:g}' for end in interval) or 'nothing'}"
        )
    if spec.omega_schedule != "gamma" and spec.omega_gamma != GAMMA:
        raise UsageError(
            f"sample.omega_gamma={spec.omega_gamma:g} says nothing of a {spec.omega_schedule} schedule; set "
            f"sample.omega_schedule=gamma, or leave it at {GAMMA:g}"
        )


def check_groups(spec: SamplingSpec, groups: Groups) -> None:
    """Raises UsageError for an omega by group on a data set that has not all three groups."""
    if (own := spec.omega_by_group) and (missing := {"majority", "medium", "minority"} - dict(groups).keys()):
        classes = sum(len(ids) for _, ids in groups)
        raise UsageError(
            f"sample.omega_{next(iter(own))}: {classes} classes make no {' and no '.join(sorted(missing))} group; "
            "use sample.omega, which is for all"
        )
