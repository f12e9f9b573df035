"""Does one run: train, sample, score. `launch.command` says how it is started: with the job as JSON, and its parent.

A worker knows nothing of schedulers or terminals. It writes its run folder and exits: 0 done, 1 failed (failed.json
says why), 2 it cannot be done as asked, 3 somebody else works on it, 75 stopped at a checkpoint (start it again).
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import sys
import time
import traceback
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from ltgen_bench import checkpoint, lock, model
from ltgen_bench.dataset import LongTail
from ltgen_bench.device import describe_device, pick_device
from ltgen_bench.errors import RunFailed, UsageError
from ltgen_bench.features import extractor
from ltgen_bench.files import write_json
from ltgen_bench.images import Images
from ltgen_bench.picture import save_grid
from ltgen_bench.plan import Job, build_stack
from ltgen_bench.record import Record, provenance
from ltgen_bench.sampler import sample_set
from ltgen_bench.scorer import score
from ltgen_bench.trainer import Stopped, train

DONE, FAILED, UNUSABLE, HELD, STOPPED = 0, 1, 2, 3, 75


class Worker:
    """One job in this process."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.place = job.place
        self.device = pick_device(job.execution.device)
        self.stopping = False
        self._reported = 0.0
        self._stage = ("", 0.0)

    def run(self) -> None:
        """All stages that are still to do. Raises Stopped, RunFailed, UsageError."""
        job, place = self.job, self.place
        place.create(job.run)
        place.failed.unlink(missing_ok=True)
        self.say(f"{job.title} ({job.run.run_id}), process {os.getpid()}, device {describe_device(self.device)}")
        self.report("loading", 0, 1)
        data = job.data.load(job.run.dataset.name)
        if data.spec != job.run.dataset:
            raise UsageError(f"the images of {data.spec.name} have changed since this run was planned; plan it again")
        if not place.model.exists():
            self.train(data)
        images = self.sample(data)
        self.score(data, images)

    def train(self, data: LongTail) -> None:
        run = self.job.run
        trained = train(
            run,
            data,
            build_stack(run.methods),
            self.place.path,
            device=self.device,
            compiled=self.job.execution.compile,
            say=self.say,
            progress=lambda step, steps, loss, rate: self.report("training", step, steps, loss=loss, images_per_s=rate),
            stop=lambda: self.stopping,
            checkpoint_seconds=self.job.execution.checkpoint_seconds,
        )
        model.save(self.place.model, trained, run.diffusion, data.class_names)
        checkpoint.remove(self.place.path)
        self.say(f"trained in {trained.summary['seconds']:.0f} s, {trained.summary['images_per_s']:.0f} images/s")

    def sample(self, data: LongTail) -> Images:
        run, spec = self.job.run, self.job.eval.sample
        path = self.place.samples(spec)
        if path.exists():
            return Images.load(path)
        started = time.perf_counter()
        net, noise_prior = model.load(self.place.model)
        net.to(self.device)
        if self.device.type == "cuda":
            net.to(memory_format=torch.channels_last)
        shards = path.with_suffix("")
        images = sample_set(
            net,
            spec,
            run.diffusion,
            shards,
            num_classes=len(data.class_counts),
            shape=(data.spec.channels, data.spec.size, data.spec.size),
            seed=run.seed,
            device=self.device,
            bf16=run.train.precision == "bf16",
            noise_prior=noise_prior,
            progress=lambda done: self.report("sampling", done, spec.images),
            check=self.check,
        )
        save_grid(
            images, data, self.place.grid(spec), title=f"{self.job.title}, {spec.images} images, omega {spec.omega:g}"
        )
        images.save(path)
        shutil.rmtree(shards)
        self.say(f"sampled {spec.images} images in {time.perf_counter() - started:.0f} s")
        return images

    def score(self, data: LongTail, images: Images) -> None:
        job = self.job
        started = time.perf_counter()
        weights = job.execution.features_weights
        features = extractor(job.eval.features, Path(weights) if weights else None, self.device)
        if features.sha256 != job.eval.features_sha256:
            raise UsageError(f"the weights of {features.id} have changed since this run was planned; plan it again")

        def progress(done: int, total: int) -> None:
            self.check()
            self.report("scoring", done, total)

        scores = score(
            images,
            data.reference,
            data.groups,
            features,
            train=data.train,
            test=data.test,
            cache=self.place.path.parents[2] / "features",
            seed=job.run.seed,
            progress=progress,
        )
        stack = build_stack(job.run.methods)
        record = Record(
            run=job.run,
            eval=job.eval,
            scores=scores,
            training=model.training_summary(self.place.model),
            provenance=provenance(describe_device(self.device))
            | {"compiled": job.execution.compile, "finished": _now()},
            deviations={m.name: m.deviations for m in stack.methods if m.deviations},
        )
        record.write(self.place.result(job.eval.eval_id))
        self.say(f"scored in {time.perf_counter() - started:.0f} s")

    def check(self) -> None:
        """Raises Stopped when a signal asked for it."""
        if self.stopping:
            raise Stopped("stopped")

    def report(self, stage: str, done: float, total: float, **figures: float) -> None:
        """Say in progress.json how far a stage is, about once a second."""
        now = time.time()
        if stage != self._stage[0]:
            self._stage = (stage, now - 1e-3)
            self._first = done
        elif now - self._reported < 0.5 and done < total:
            return
        self._reported = now
        rate = (done - self._first) / (now - self._stage[1])
        value: dict[str, Any] = {"stage": stage, "done": round(done, 1), "total": total, "time": now}
        value["seconds_left"] = (total - done) / rate if rate > 0 else None
        if stage == "sampling" and rate > 0:
            figures["images_per_s"] = rate
        # NaN (no figure yet) is not JSON.
        value |= {k: v for k, v in figures.items() if v == v}
        write_json(self.place.path / "progress.json", value)

    def say(self, text: str) -> None:
        print(f"{_now()} {text}", flush=True)


def main() -> int:
    job = Job.from_json(json.loads(sys.argv[1]))
    _die_with_parent(int(sys.argv[2]))
    worker = Worker(job)

    def stop(*_: object) -> None:
        worker.stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        with lock.hold(job.place.lock):
            return _guarded(worker)
    except lock.Held as held:
        print(f"{_now()} not started: {held} works on this run", flush=True)
        return HELD


def _guarded(worker: Worker) -> int:
    try:
        worker.run()
    except Stopped as stopped:
        worker.say(str(stopped))
        return STOPPED
    except UsageError as error:
        worker.say(f"error: {error}")
        return UNUSABLE
    except Exception as error:
        if not isinstance(error, RunFailed):
            traceback.print_exc()
        # Recorded before anything else can go wrong: a failed run is not tried again by itself.
        reason = str(error) if isinstance(error, RunFailed) else f"{type(error).__name__}: {error}"
        write_json(worker.place.failed, {"reason": reason, "time": _now()})
        worker.say(f"failed: {reason}")
        return FAILED
    return DONE


def _die_with_parent(parent: int) -> None:
    """Ask Linux for a SIGTERM when the process that started this one dies, so that no orphan keeps a GPU."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(STOPPED)  # it died while this one was importing torch


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


if __name__ == "__main__":
    sys.exit(main())
