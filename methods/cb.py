from torch import Tensor

from ltgen_bench import Method, Step, Task, UsageError


class ClassBalanced(Method):
    """Class-balanced loss: each image weighted by the inverse effective number of its class.

    w_c = (1 - beta) / (1 - beta^n_c) (Cui et al., CVPR 2019, Eq. 3), times the denoising loss of each image.

    The paper scales the weights to a mean of 1 over classes; over long-tailed *data* that mean is far below 1 (0.20 on
    CIFAR-100-LT, ratio 100), which shrinks the loss against the gradient clip. Here the mean over the data is 1. The
    weights also apply in batches without labels, so the unconditional model is re-weighted too.
    """

    name = "cb"
    deviations = "weights have mean 1 over the data, not over the classes"
    beta: float = 0.9999

    def __post_init__(self) -> None:
        if not 0 <= self.beta < 1:
            raise UsageError(f"cb.beta must be at least 0 and below 1, not {self.beta}")

    def weight(self, step: Step, task: Task) -> Tensor:
        weights = (1 - self.beta) / (1 - self.beta ** task.class_counts.double())
        return (weights / (task.class_freq * weights).sum())[step.y].float()
