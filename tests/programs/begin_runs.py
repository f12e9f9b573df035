"""Run by the package of commit a6f2cf6: the same run three times, whole, trained only, and stopped half way."""

import dataclasses
import sys
from pathlib import Path

from ltgen_bench.plan import Request, Stage, plan
from ltgen_bench.trainer import Stopped
from ltgen_bench.worker import Worker

SETTINGS = ("train.steps=20", "net.channels=32", "net.attention=-1", "sample.images=100", "sample.steps=3")


class Half(Worker):
    def report(self, stage, done, total, **figures):
        super().report(stage, done, total, **figures)
        self.stopping = stage == "training" and done == 10


request = Request(["cm+cbdm"], ["digitslt"], preset="smoke", settings=SETTINGS)
for name in ("whole", "trained", "half"):
    (job,) = plan(request, Path(sys.argv[1]) / name)
    stage = Stage("train" if name == "trained" else "all")
    worker = (Half if name == "half" else Worker)(dataclasses.replace(job, stage=stage))
    try:
        worker.run()
    except Stopped:
        assert name == "half"
