import time
from pathlib import Path

from ltgen_bench.training.method import Method


class Boom(Method):
    """The loss of step 20 is not a number while the file `explosive` lies beside this one."""

    name = "boom"

    def losses(self, step, task):
        time.sleep(0.02)  # time enough for a checkpoint before
        explodes = step.index == 19 and Path(__file__).with_name("explosive").exists()
        return {"term": step.base.mean() * (float("nan") if explodes else 0.0)}
