from torch import Tensor

from ltgen_bench import Method, Task, UsageError


class Resample(Method):
    """Class re-sampling: images of class c are drawn with probability proportional to n_c^q.

    q = 1 is natural sampling, 0.5 the square-root sampling of Mahajan et al. (ECCV 2018), which CM cites for its "RS"
    row, 0 class-balanced sampling. Images are drawn with replacement, so this method alone sees other batches.
    """

    name = "resample"
    q: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.q <= 1:
            raise UsageError(f"resample.q must be from 0 to 1, not {self.q}")

    def sampling(self, task: Task) -> Tensor:
        return task.class_counts**self.q
