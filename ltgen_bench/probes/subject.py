"""A finished run, opened to be probed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError

from ltgen_bench.data.images import Images
from ltgen_bench.data.long_tail import LongTail
from ltgen_bench.device import pick_device
from ltgen_bench.diffusion import model_folder
from ltgen_bench.diffusion.denoiser import Denoiser
from ltgen_bench.diffusion.noise_prior import NoisePrior
from ltgen_bench.errors import UsageError
from ltgen_bench.runs.job import DataOptions, Execution
from ltgen_bench.runs.run_folder import RunFolder
from ltgen_bench.source_code import fingerprints
from ltgen_bench.spec.specs import RunSpec
from ltgen_bench.training import checkpoint
from ltgen_bench.training.stack import build_stack, overridden
from ltgen_bench.training.trainer import Trainer

SAMPLER = "ddim"
"""Any: losses and gradients need none."""


@dataclass(frozen=True)
class Subject:
    """A run whose training has ended, with its images."""

    run_folder: RunFolder
    run: RunSpec
    data: LongTail
    device: torch.device
    weights: Path | None = None  # file of a feature extractor's, and the folder to look for it in
    data_folder: Path | None = None

    @classmethod
    def open(cls, run_folder: RunFolder, options: DataOptions, execution: Execution) -> Subject:
        """Raises UsageError when the images are not those of the run, or its methods have been edited since."""
        run = trained(run_folder)
        options = dataclasses.replace(options, imbalance=run.dataset.imbalance, size=run.dataset.size)
        data = options.load(run.dataset.name)
        if data.spec != run.dataset:
            raise UsageError(f"the images of {run.dataset.name} here are not those that run {run.run_id} is of")
        code = fingerprints((m.name for m in run.methods), run.dataset.name, SAMPLER)
        run_folder.check_code({what: value for what, value in code.items() if what != f"sampler {SAMPLER}"})
        return cls(run_folder, run, data, pick_device(execution.device), execution.weights, options.folder)

    @property
    def held_out(self) -> Images:
        """Real images that were not trained on: of the test set or, where the dataset has none, of the reference."""
        seen = {image.tobytes() for image in self.data.train.pixels}
        images = self.data.reference if self.data.test is None else self.data.test
        unseen = [i for i, image in enumerate(images.pixels) if image.tobytes() not in seen]
        return Images(images.pixels[unseen], images.labels[unseen])

    def network(self) -> tuple[Denoiser, NoisePrior | None]:
        """The trained network, on the device, and its noise prior. Raises UsageError when its folder is damaged."""
        return self._network(self.run_folder.model)

    def general_network(self) -> Denoiser:
        """The same without the reserve; see `network`."""
        return self._network(self.run_folder.general_model)[0]

    def trainer(self) -> Trainer:
        """The training in its last state. Raises UsageError when there is no whole checkpoint of it."""
        trainer = Trainer(self.run, self.data, build_stack(self.run.methods), self.device)
        said: list[str] = []
        state = checkpoint.load(self.run_folder.path, self.run.run_id, said.append)
        if state is None or state["step"] != self.run.train.steps:
            raise UsageError(
                f"run {self.run.run_id} has no checkpoint of its last step ({'; '.join(said) or 'there is none'}); "
                "run --again trains it anew and keeps one"
            )
        trainer.restore(state)
        return trainer

    def _network(self, folder: Path) -> tuple[Denoiser, NoisePrior | None]:
        try:
            net, prior = model_folder.load(folder)
        except (OSError, ValueError, LookupError, TypeError, RuntimeError, SafetensorError) as error:
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise UsageError(f"the trained network {folder} is damaged ({reason})") from error
        return net.to(self.device), prior


def trained(run_folder: RunFolder) -> RunSpec:
    """The run of a folder, if it can be probed. Raises UsageError when it is not trained, or just being worked on."""
    run = run_folder.spec
    if not isinstance(run, RunSpec):
        raise UsageError(f"{run_folder.path.name} is of images made elsewhere: there is no network to probe")
    if (owner := run_folder.owner()) is not None:
        raise UsageError(f"run {run.run_id} is in progress: {owner}; probe it when that is done")
    if not run_folder.model.exists():
        raise UsageError(
            f"run {run.run_id} is not trained to its end; the command that began it, or ltgen-bench score "
            f"{run.run_id}, goes on"
        )
    return run


def with_checkpoint(run_folder: RunFolder) -> RunSpec:
    """As `trained`, of a run that kept the state of its training. Raises UsageError."""
    run = trained(run_folder)
    if not run_folder.checkpoints():
        raise UsageError(
            f"run {run.run_id} has no checkpoint: it was trained before the last one was kept, or it was deleted; "
            "run --again trains it anew"
        )
    return run


def with_reserve(run_folder: RunFolder) -> RunSpec:
    """As `trained`, of a run that has a reserve, and kept the network without it. Raises UsageError."""
    run = trained(run_folder)
    if not any("without_reserve" in overridden(m) for m in build_stack(run.methods).methods):
        raise UsageError(f"run {run.run_id} is of {run.method}, which reserves nothing: there is no reserve to probe")
    if not run_folder.general_model.exists():
        raise UsageError(
            f"run {run.run_id} has no {run_folder.general_model.name}: it was trained before networks without their "
            "reserve were kept, or it was deleted; run --again trains it anew"
        )
    return run
