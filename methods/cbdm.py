from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from ltgen_bench import Method, Step, Task, UsageError


class CBDM(Method):
    """Class-balancing diffusion: predictions for the true label and for a drawn label are pulled together.

    Qin et al., CVPR 2023, Eq. 4, in the form of the official code: with one label y' ~ target per image,

        loss += mean t/T tau [ (eps(x_t, y) - sg eps(x_t, y'))^2 + gamma (sg eps(x_t, y) - eps(x_t, y'))^2 ]

    where sg stops the gradient. Code tau = 1 is the paper's tau = 0.001 (it multiplies t there, t/T here). Skipped in
    batches without labels, as in the official code. Both passes see the same x_t; their dropout masks are independent.

    target: what y' is drawn from; the training frequencies ("train": official when training from scratch), their
    square root ("sqrt") or uniformly ("uniform": official when fine-tuning).
    """

    name = "cbdm"
    tau: float = 1.0
    gamma: float = 0.25
    target_labels: Literal["train", "sqrt", "uniform"] = "train"

    def __post_init__(self) -> None:
        if self.tau < 0 or self.gamma < 0:
            raise UsageError(f"cbdm.tau and cbdm.gamma must not be negative, not {self.tau} and {self.gamma}")

    def losses(self, step: Step, task: Task) -> Mapping[str, Tensor]:
        if step.unconditional:
            return {}
        power = {"train": 1.0, "sqrt": 0.5, "uniform": 0.0}[self.target_labels]
        drawn = torch.multinomial(task.class_freq**power, len(step.y), replacement=True, generator=step.rng)
        other = step.net(step.xt, step.t, drawn)
        pulled = (step.eps - other.detach()).float().square().mean((1, 2, 3))
        commitment = (step.eps.detach() - other).float().square().mean((1, 2, 3))
        weight = self.tau * step.t / task.timesteps
        return {"balance": (weight * (pulled + self.gamma * commitment)).mean()}
