import torch
from torch import Tensor

from ltgen_bench import Method, Step, Task


class T2H(Method):
    """Oriented calibration: a noisy rare image may take a nearby image of a commoner class as its target.

    Zhang et al., ICLR 2024 (OC), tail-to-head transfer as in the public code. With sigma_t^2 = 1/abar_t - 1 and the
    batch as reference set,

        j ~ softmax_j( -||x_t,i / sqrt(abar) - x_0,j||^2 / (2 sigma_t^2) ),   kept if n_{y_j} >= n_{y_i}, else j = i
        target_i = (x_t,i - sqrt(abar) x_0,j) / sqrt(1 - abar)

    The paper's class-balanced reference batch ("batch resample") is not in the public code and not here. The released
    configuration of CM has this transfer on: that is `cm+t2h`.
    """

    name = "t2h"
    deviations = "reference set is the training batch, as in the public code; no batch resample"

    def target(self, step: Step, task: Task) -> Tensor:
        abar = task.alphas_cumprod[step.t]
        sigma2 = 1 / abar - 1
        noisy = (step.xt / abar.sqrt()[:, None, None, None]).flatten(1)
        clean = step.x0.flatten(1)
        # Not cdist's fast form: near t = 0 it would lose the small distances that decide there.
        distance2 = torch.cdist(noisy, clean, compute_mode="donot_use_mm_for_euclid_dist").square()
        chosen = draw((-distance2 / (2 * sigma2[:, None])).softmax(1), step.rng)
        counts = task.class_counts[step.y]
        chosen = torch.where(counts[chosen] >= counts, chosen, torch.arange(len(chosen), device=chosen.device))
        step.log("transferred", (chosen != torch.arange(len(chosen), device=chosen.device)).float().mean())
        abar = abar[:, None, None, None]
        return (step.xt - abar.sqrt() * step.x0[chosen]) / (1 - abar).sqrt()


def draw(probabilities: Tensor, rng: torch.Generator) -> Tensor:
    """One draw from each row. The draws of torch.multinomial, which would wait for the device to check the rows."""
    return (probabilities / torch.empty_like(probabilities).exponential_(generator=rng)).argmax(1)
