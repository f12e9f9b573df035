import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ltgen_bench.diffusion.denoiser import Denoiser, Network
from ltgen_bench.errors import UsageError
from ltgen_bench.training.method import Method, Step, Task


class Reserve(nn.Module):
    """The low-rank part of a weight: W = Wg + BA, as a parametrization that can be switched off.

    For a k x k convolution A is (r k, in k) and B is (out k, r k), the layout of the released code; B starts at zero,
    so W = Wg at first.
    """

    def __init__(self, weight: Tensor, rank_ratio: float, rng: torch.Generator) -> None:
        super().__init__()
        fan_out, fan_in = weight.shape[:2]
        k = weight.shape[2] if weight.ndim == 4 else 1
        rank = max(int(rank_ratio * min(fan_out, fan_in)), 1)
        self.a = nn.Parameter(weight.new_empty(rank * k, fan_in * k))
        self.b = nn.Parameter(weight.new_zeros(fan_out * k, rank * k))
        nn.init.kaiming_normal_(self.a, a=math.sqrt(5), generator=rng)
        self.on = True

    def forward(self, general: Tensor) -> Tensor:
        return general + (self.b @ self.a).view_as(general) if self.on else general


class CM(Method):
    """Capacity manipulation: low-rank capacity W = Wg + BA reserved for the minority, merged after training.

    Hong et al., ICLR 2026, Eqs. 1-4. With eps_full from W and eps_general from Wg alone,

        loss += lam C mean_i (w_con pi_{y_i} - w_div q_{y_i}) D_i,     D_i = mean_pixels (eps_full - eps_general)^2

    pi: class frequencies, q: normalised inverse frequencies, C: classes. The first term keeps common classes out of the
    reserve (consistency), the second lets rare ones use it (diversity). No gradient is stopped, and D uses the true
    labels also in batches without labels. The denoising loss is that of the full network.

    Defaults are those of the released code: reserve in the 3x3 convolutions of the up path, rank ratio 0.1,
    w_con = 1, w_div = 0.2, independent dropout masks in the two passes. The released configuration has OC's target
    transfer on too: that is `cm+t2h`. The paper's form is `--set cm.w_div=1 --set cm.layers=all`.

    layers: "up", or "all" (every convolution and linear layer).
    dropout: "independent", or "shared": the general pass repeats the masks of the full one, so D measures the reserve
        alone; with layers = "up" both passes then share the down and middle path and a step costs less.
    fraction: share of each batch, drawn at random, on which the capacity term is taken: an unbiased estimate of it, for
        a step that costs 1 + fraction of a plain one, and less than that with dropout = "shared".
    guard: the diversity term rewards D without bound; for images with a negative coefficient D counts up to this value
        only. The noise has variance 1: at D = 1 the reserve is as strong as the noise. When it acts, the log says so.
    """

    name = "cm"
    order = 10
    deviations = "diversity term capped at D = 1"
    rank_ratio: float = 0.1
    w_con: float = 1.0
    w_div: float = 0.2
    lam: float = 1.0
    layers: Literal["up", "all"] = "up"
    dropout: Literal["independent", "shared"] = "independent"
    fraction: float = 1.0
    guard: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.rank_ratio <= 1:
            raise UsageError(f"cm.rank_ratio must be above 0 and at most 1, not {self.rank_ratio}")
        if min(self.w_con, self.w_div, self.lam) < 0 or self.guard <= 0:
            raise UsageError("cm.w_con, cm.w_div and cm.lam must not be negative, and cm.guard must be positive")
        if not 0 < self.fraction <= 1:
            raise UsageError(f"cm.fraction must be above 0 and at most 1, not {self.fraction}")

    def wrap(self, net: Denoiser, task: Task, rng: torch.Generator) -> None:
        for layer in self._layers(net):
            parametrize.register_parametrization(layer, "weight", Reserve(layer.weight, self.rank_ratio, rng))

    def export(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        return _plain(state, with_reserve=True)

    def without_reserve(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        return _plain(state, with_reserve=False)

    def losses(self, step: Step, task: Task) -> Mapping[str, Tensor]:
        rows = self._rows(step)
        distance = (step.eps[rows] - self._general(step, rows)).float().square().mean((1, 2, 3))
        step.log_images("distance", self._spread(distance.detach(), rows, step))
        coefficient = self.coefficients(task)[step.y[rows]]
        unbounded = (coefficient < 0) & (distance > self.guard)
        step.alarm("guard", unbounded.float().mean())
        distance = distance.masked_fill(unbounded, self.guard)
        return {"capacity": self.lam * (coefficient * distance).mean()}

    def reuses_encoder(self) -> bool:
        return self.dropout == "shared"

    def coefficients(self, task: Task) -> Tensor:
        """C (w_con pi - w_div q), (C,): positive for common classes, negative for rare ones."""
        pi = task.class_freq
        q = (1 / pi) / (1 / pi).sum()
        return task.num_classes * (self.w_con * pi - self.w_div * q)

    def _rows(self, step: Step) -> Tensor | slice:
        """The images of the batch that the capacity term is taken on."""
        batch = len(step.y)
        if self.fraction == 1:
            return slice(None)
        return torch.randperm(batch, generator=step.rng, device=step.y.device)[: math.ceil(self.fraction * batch)]

    def _spread(self, values: Tensor, rows: Tensor | slice, step: Step) -> Tensor:
        """Values of the rows as values of the batch, (B,), with the same mean: the other images' are zero."""
        if isinstance(rows, slice):
            return values
        batch = len(step.y)
        return values.new_zeros(batch).index_copy(0, rows, values * (batch / len(rows)))

    def _general(self, step: Step, rows: Tensor | slice) -> Tensor:
        """The prediction without the reserve."""
        net = step.net
        with _switched_off(net):
            if self.dropout == "independent":
                return net(step.xt[rows], step.t[rows], step.y_in[rows])
            encoded = step.encoded
            if self.layers == "all":
                encoded = net.encode(step.xt, step.t, step.y_in, step.masks["encoder"])
            return net.decode(encoded, step.masks["decoder"], None if isinstance(rows, slice) else rows)

    def _layers(self, net: Denoiser) -> list[nn.Conv2d | nn.Linear]:
        if self.layers == "all":
            return [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        return [m for m in net.unet.up_blocks.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]


def _plain(state: dict[str, Tensor], *, with_reserve: bool) -> dict[str, Tensor]:
    """The plain network's weights: W = Wg + BA, or Wg alone."""
    plain = dict(state)
    for name in state:
        layer, found, _ = name.partition(".parametrizations.weight.0.a")
        if found:
            parts = [f"{layer}.parametrizations.weight.{part}" for part in ("original", "0.b", "0.a")]
            general, b, a = map(plain.pop, parts)
            plain[f"{layer}.weight"] = general + (b @ a).view_as(general) if with_reserve else general
    return plain


@contextmanager
def _switched_off(net: Network) -> Iterator[None]:
    reserves = [m for m in net.modules() if isinstance(m, Reserve)]
    for reserve in reserves:
        reserve.on = False
    try:
        yield
    finally:
        for reserve in reserves:
            reserve.on = True
