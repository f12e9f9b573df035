"""Does one run, or a stage of one: train, sample, score. `process.work` says how it is started.

A worker knows nothing of schedulers or terminals. It writes its run folder and exits: 0 done, 1 failed (failed*.json
says why), 2 it cannot be done as asked, 3 somebody else works on it, or has taken it over, 4 the disk is full,
75 stopped at a checkpoint (start it again).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

import torch
from safetensors import SafetensorError

from ltgen_bench.data.image_grid import save_grid
from ltgen_bench.data.images import Images
from ltgen_bench.data.long_tail import LongTail
from ltgen_bench.device import describe_device, pick_device
from ltgen_bench.diffusion import model_folder
from ltgen_bench.diffusion.denoiser import Denoiser
from ltgen_bench.diffusion.noise_prior import NoisePrior
from ltgen_bench.diffusion.schedule import ddim
from ltgen_bench.errors import RunFailed, UsageError
from ltgen_bench.launch import process
from ltgen_bench.launch.going_on import go_on
from ltgen_bench.launch.process import DONE, FAILED, FULL, HELD, STOPPED, UNUSABLE
from ltgen_bench.launch.progress_file import ProgressFile
from ltgen_bench.launch.score_stage import draw, evaluate
from ltgen_bench.runs.job import Job
from ltgen_bench.runs.record import timestamp
from ltgen_bench.sampling.pipeline import Pipeline
from ltgen_bench.sampling.shards import join_shards, make_shards, shard_path, shard_ranges
from ltgen_bench.source_code import edited, fingerprints
from ltgen_bench.storage import full_disk, lock
from ltgen_bench.storage.atomic_files import read_json, write_json
from ltgen_bench.training import checkpoint
from ltgen_bench.training.data_parallel import ProcessGroup
from ltgen_bench.training.loop import Stopped, train
from ltgen_bench.training.stack import build_stack
from ltgen_bench.training.tracker import Trackers
from ltgen_bench.training.trainer import Trainer


class Worker:
    """One job in this process."""

    def __init__(self, job: Job, device: torch.device | None = None) -> None:
        self.job = job
        self.run_folder = job.run_folder
        self.device = device or pick_device(job.execution.device)
        self.stopping = False
        self.silent = False
        self.lock: lock.Lock | None = None  # that is held for the job
        self._progress = ProgressFile(job.progress_file, ", ".join(job.details))

    def run(self) -> None:
        """The stages that the job asks for, as far as they are still to do. Raises Stopped, RunFailed, UsageError."""
        job, run_folder = self.job, self.run_folder
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        where = describe_device(self.device) + (f", CUDA_VISIBLE_DEVICES={visible}" if visible else "")
        stage = job.stage
        code = fingerprints((m.name for m in job.run.methods), job.run.dataset.name, job.eval.sample.sampler)
        if names := edited(job.code, code):
            raise UsageError(f"{' and '.join(names)}: the code was edited since this was planned; plan it again")
        if stage.name == "sample":
            self.say(f"part {stage.part + 1} of {stage.parts} of the samples, process {os.getpid()}, device {where}")
            return self.make_shards(self.load())
        run_folder.create(job.run, code)
        for path in run_folder.failures(job.eval.eval_id):
            path.unlink(missing_ok=True)
        self.say(f"{job.title} ({job.run.run_id}), process {os.getpid()}, device {where}")
        data = self.load()
        if not self.is_trained():
            go_on(job, code, self.say)
            if stage.processes > 1:
                self.train_together()
            else:
                self.train(data, ProcessGroup())
        if stage.name == "all":
            self.score(data, self.sample(data))

    def is_trained(self) -> bool:
        """Whether there is a trained network. In place of a damaged one, a checkpoint is trained on from; it gives
        the one without the reserve again too."""
        if not (folder := self.run_folder.model).exists():
            return False
        try:
            if not self.run_folder.samples(self.job.eval.sample).exists():
                _ = self.network, self.general
        except UsageError as damaged:
            if not self.run_folder.checkpoints():
                raise
            self.say(f"{damaged}; training on from a checkpoint")
            shutil.rmtree(folder)
            return False
        return True

    @functools.cached_property
    def network(self) -> tuple[Denoiser, NoisePrior | None]:
        """The trained network and the method's noise prior. Raises UsageError when their folder is damaged."""
        return _network(self.run_folder.model, "delete that folder, or give run --again, and the run is trained again")

    @functools.cached_property
    def general(self) -> Denoiser | None:
        """The network without its reserve, where guidance takes it. Raises UsageError when its folder is damaged."""
        if self.job.eval.sample.guide == "unconditional":
            return None
        return _network(self.run_folder.general_model, "give run --again, and the run is trained again")[0]

    def load(self) -> LongTail:
        """The images that the job was planned for."""
        job = self.job
        self.report("loading", 0, 1)
        data = job.data.load(job.run.dataset.name)
        if data.spec != job.run.dataset:
            raise UsageError(f"the images of {data.spec.name} have changed since this run was planned; plan it again")
        return data

    def train(self, data: LongTail, processes: ProcessGroup) -> None:
        """Train in this process, alone or as one of several."""
        run, execution = self.job.run, self.job.execution
        stack = build_stack(run.methods)
        trained = train(
            Trainer(run, data, stack, self.device, processes=processes, compiled=execution.compile),
            self.run_folder.path,
            say=self.say,
            progress=lambda step, steps, loss, rate: self.report("training", step, steps, loss=loss, images_per_s=rate),
            stop=lambda: self.stopping,
            checkpoint_seconds=execution.checkpoint_seconds,
            track=execution.track,
        )
        if processes.is_main:
            scheduler = ddim(run.diffusion, clip=self.job.eval.sample.clip)
            # The trained network last: when it is there, so is all the rest.
            for folder, net in ((self.run_folder.general_model, trained.general), (self.run_folder.model, trained.net)):
                if net is not None:
                    shutil.rmtree(folder, ignore_errors=True)  # of a worker that was killed before the last line
                    prior, names, summary = trained.noise_prior, data.class_names, trained.summary
                    model_folder.save(folder, net, prior, scheduler, names, summary)
            checkpoint.keep_last(self.run_folder.path)
            self.say(f"trained in {trained.summary['seconds']:.0f} s, {trained.speed}")

    def train_together(self) -> None:
        """Train in several processes, started by torchrun, each on a device of its own; this one waits for them."""
        fault = self.run_folder.rank_failed
        fault.unlink(missing_ok=True)
        token = self.lock.token if self.lock else ""
        ranks = process.command("ltgen_bench.launch.training_rank", json.dumps(self.job.to_json()), token)
        options = ["--standalone", "--nproc-per-node", str(self.job.stage.processes), "--no-python"]
        threads = max(1, torch.get_num_threads() // self.job.stage.processes)
        words = process.command("torch.distributed.run", *options, *ranks)
        torchrun = process.start(words, None, process.environment(threads))
        try:
            while torchrun.poll() is None and not self.stopping:
                time.sleep(0.1)
                if self.lock:
                    self.lock.check()
        finally:
            process.stop(torchrun)
        if self.run_folder.model.exists():
            return
        if fault.exists():
            value = read_json(fault)
            fault.unlink()
            raise (UsageError if value["usage"] else RunFailed)(value["reason"])
        raise Stopped("the training was stopped")

    def sample(self, data: LongTail) -> Images:
        """All images of the spec, as far as they are not made yet."""
        spec = self.job.eval.sample
        path = self.run_folder.samples(spec)
        if (there := self.made(path, spec.images, data)) is not None:
            return there
        started = time.perf_counter()
        for shard in shard_ranges(spec.images):
            self.made(shard_path(self.run_folder.shards(spec), shard), len(shard), data)
        self.make_shards(data)
        images = join_shards(self.run_folder.shards(spec), spec.images)
        title = f"{self.job.name}, {spec.images} images, {spec.guidance}"
        grid = self.run_folder.grid(spec)
        draw(grid, self.say, lambda: save_grid(images, data, grid, title=title))
        images.save(path)
        self.track(title, grid)
        # What cannot be removed (NFS keeps open files as .nfsXXXX) does no harm.
        shutil.rmtree(self.run_folder.shards(spec), ignore_errors=True)
        self.say(f"sampled {spec.images} images in {time.perf_counter() - started:.0f} s")
        return images

    def track(self, title: str, grid: Path) -> None:
        """Show the trackers the grid of samples."""
        run = self.job.run
        trackers = Trackers(self.job.execution.track, self.run_folder.path, run, run.train.steps, self.say)
        with contextlib.closing(trackers):
            trackers.image(run.train.steps, title, grid)

    def made(self, path: Path, n: int, data: LongTail) -> Images | None:
        """The n images of a file that was made before; what is damaged is removed, to be made again."""
        if not path.exists():
            return None
        try:
            images, shape = Images.load(path), (n, data.spec.size, data.spec.size, data.spec.channels)
            if images.pixels.shape == shape:
                return images
            reason = f"{path} holds images {images.pixels.shape}, not {shape}"
        except UsageError as error:
            reason = str(error)
        self.say(f"{reason}; made again")
        path.unlink()
        return None

    def make_shards(self, data: LongTail) -> None:
        """This worker's part of the images."""
        run, spec, stage = self.job.run, self.job.eval.sample, self.job.stage
        (net, noise_prior), general = self.network, self.general
        for network in filter(None, (net, general)):
            network.to(self.device)
            if self.device.type == "cuda":
                network.to(memory_format=torch.channels_last)
        shards = self.run_folder.shards(spec)
        if run.protocol == 1:  # it sampled in the precision of the training
            spec = dataclasses.replace(spec, precision=run.train.precision)
        pipeline = Pipeline(
            net,
            spec,
            run.diffusion,
            seed=run.seed,
            noise_prior=noise_prior,
            groups=data.groups,
            general=general,
        )
        make_shards(
            pipeline,
            shards,
            part=stage.part,
            parts=stage.parts,
            progress=lambda done, total: self.report("sampling", done, total),
            check=self.check,
        )

    def score(self, data: LongTail, images: Images) -> None:
        job, started = self.job, time.perf_counter()

        def progress(done: int, total: int) -> None:
            self.check()
            self.report("scoring", done, total)

        evaluate(job, images, data, progress, self.say, self.device)
        self.say(f"scored in {time.perf_counter() - started:.0f} s")

    @property
    def failure(self) -> Path:
        """Where to say why it failed: what is trained is spoilt for this evaluation alone."""
        trained = self.run_folder.model.exists()
        return self.run_folder.failed_evaluation(self.job.eval.eval_id) if trained else self.run_folder.failed

    def check(self) -> None:
        """Raises Stopped when a signal asked for it."""
        if self.stopping:
            raise Stopped("stopped")

    def report(self, stage: str, done: float, total: float, **figures: float) -> None:
        """Say how far a stage is."""
        if not self.silent:
            self._progress.report(stage, done, total, **figures)

    def say(self, text: str) -> None:
        """A line of the log; lost when the disk is full."""
        with contextlib.suppress(OSError):
            if not self.silent:
                print(f"{timestamp()} {text}", flush=True)


def _network(folder: Path, way_out: str) -> tuple[Denoiser, NoisePrior | None]:
    """A trained network and the noise prior beside it. Raises UsageError when the folder is damaged, or not there."""
    try:
        model_folder.training_summary(folder)  # which the record needs
        return model_folder.load(folder)
    except (OSError, ValueError, LookupError, TypeError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UsageError(f"the trained network {folder} is damaged ({reason}); {way_out}") from error


def main() -> int:
    """Arguments: the job as JSON, the id of the process that started this one, a name for the driver's work, and the
    file descriptor that takes the reason for ending, if anybody wants it."""
    job, parent, driver = Job.from_json(json.loads(sys.argv[1])), int(sys.argv[2]), sys.argv[3]
    if not process.die_with_parent(parent):
        return STOPPED
    worker = Worker(job)

    def stop(*_: object) -> None:
        worker.stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    code, reason = work(worker, driver)
    for file in map(int, sys.argv[4:]):
        with contextlib.suppress(OSError):
            os.write(file, reason.encode(errors="replace")[: process.REASON])
    return code


def work(worker: Worker, driver: str) -> process.Ended:
    """Run a worker under its lock; how it ended, and why."""
    try:
        with lock.hold(worker.job.lock, driver) as worker.lock:
            code, reason = _guarded(worker)
            if reason:
                worker.say(f"failed: {reason}" if code == FAILED else reason)
            return process.Ended(code, reason)
    except lock.Held as held:
        reason = f"{held}, works on this run"
        worker.say(f"not started: {reason}")
        return process.Ended(HELD, reason)
    except UsageError as error:
        worker.say(f"error: {error}")
        return process.Ended(UNUSABLE, f"error: {error}")
    except OSError as error:
        if error.errno not in full_disk.FULL:
            raise
        return process.Ended(FULL)


def _guarded(worker: Worker) -> process.Ended:
    """Run the worker, whatever happens to it."""
    try:
        worker.run()
    except Stopped as stopped:
        return process.Ended(STOPPED, str(stopped))
    except lock.Lost as lost:
        return process.Ended(HELD, str(lost))
    except UsageError as error:
        return process.Ended(UNUSABLE, f"error: {error}")
    except Exception as error:
        if full_disk.disk_is_full(error):
            # Nobody's fault that trying again could not mend; and there is no room to write more.
            return process.Ended(FULL)
        if not isinstance(error, RunFailed):
            traceback.print_exc()
        # Recorded before anything else can go wrong: a failed run is not tried again by itself.
        reason = str(error) if isinstance(error, RunFailed) else f"{type(error).__name__}: {error}"
        with contextlib.suppress(lock.Lost):
            write_json(worker.failure, {"reason": reason, "time": timestamp()})
        return process.Ended(FAILED, reason)
    return process.Ended(DONE)


if __name__ == "__main__":
    sys.exit(main())
