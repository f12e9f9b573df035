"""The evaluations of papers by name, as data: how networks are trained, and images sampled, scored and compared.

What is known of each is from the released code and from notes of the papers; what a source leaves open is said.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ltgen_bench.errors import UsageError, unknown
from ltgen_bench.spec.specs import DiffusionSpec, EvalSpec, NetSpec, Reference, RunSpec, SamplingSpec, TrainSpec

LEGACY = "inception-legacy"
"""The features of all long-tail papers' code: bilinear resize inside the network, 2x - 1."""


@dataclass(frozen=True)
class Protocol:
    """An evaluation of a paper. As a preset of its name, `train` is the recipe of the training too.

    reference: what images are compared with. decides: the metrics of the source's tables by their names in records,
    and after a colon which figure of them it is; by_code: they are those that its code computes, as its tables were
    not read.
    omega: "fixed", one for all; "tuned" by the source for each method and data set, where `sample.omega` is the one
    that `open` names; "open", not stated, so that it has to be given. train: up to the checkpoint that is evaluated,
    which is the same network as that of a longer training there; None where the source does not state it.
    open: what the source leaves open, and what is taken for it here. differs: what the source does and the suite
    does not.
    """

    name: str
    summary: str
    source: str
    sample: SamplingSpec
    decides: tuple[str, ...]
    open: tuple[str, ...]
    differs: tuple[str, ...] = ()
    omega: Literal["fixed", "tuned", "open"] = "fixed"
    train: TrainSpec | None = None
    features: str = LEGACY
    reference: Reference = "balanced"
    by_code: bool = False

    @property
    def settings(self) -> dict[str, str]:
        """Every setting of sample.* as it is typed; not omega where that is open."""
        return {
            name: _typed(value)
            for name, value in vars(self.sample).items()
            if not (name == "omega" and self.omega == "open")
        }

    def departs(self, scored: EvalSpec) -> list[str]:
        """In what an evaluation is not this protocol's, as `sample.images=500, not 50000`; empty where it is.

        What is the same whichever way it is reached counts as equal. omega may be any where it is tuned or open.
        """
        mine, its = vars(self.sample), vars(scored.sample)
        names = [name for name in mine if name != "omega" or self.omega == "fixed"]
        pairs = {f"sample.{name}": (its[name], mine[name]) for name in names}
        pairs["features"], pairs["against"] = (scored.features, self.features), (scored.reference, self.reference)
        return [f"{name}={_typed(got)}, not {_typed(wanted)}" for name, (got, wanted) in pairs.items() if got != wanted]


def _typed(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_typed, value))
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


_PRECISION = "precision of the training: not stated; here bf16 on a GPU and float32 on a CPU, as in preset paper"
_FLOATS = "scores the samples as floats; here they are rounded to 8 bits first, as files are"
_SPLITS = "cuts samples into splits for IS in the order they were made; here each split has its share of every label"
_SPLIT_IS = "IS-legacy: split_mean, of ten splits"
_RECALL = "recall-all-legacy: k = 5, 50,000 against 50,000"

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="cbdm",
            summary="1,000 ancestral steps, omega 1.6 (tuned by run), drawn labels, 50,000 images",
            source="CBDM (Qin et al., CVPR 2023, arXiv 2305.00562): README and code of qym7/CBDM-pytorch",
            sample=SamplingSpec(sampler="ddpm", steps=1000, omega=1.6, labels="uniform"),
            omega="tuned",
            train=TrainSpec(steps=300_000, batch=48),
            decides=("FID-legacy", _SPLIT_IS, "F8-legacy", "F1/8-legacy", _RECALL),
            by_code=True,
            open=(
                "omega: tuned by run in the README, on CIFAR-100-LT: 1.6 for CBDM (taken here), 0.8 for DDPM, 1.4 for "
                "CBDM with ADA, 2.0 for CBDM fine-tuned from DDPM; give others with --omega",
                "batch and checkpoint by run: 300,000 x 48 for CBDM (taken here); 300,000 x 64 for DDPM, evaluated at "
                "200,000 (--set train.batch=64 --set train.steps=200000)",
                "CIFAR-10-LT: hyper-parameters not documented (issue 7, unanswered)",
                "real features of recall and PRD: how they were made is not documented (issue 8, unanswered); here "
                "the features of FID",
                _PRECISION,
            ),
            differs=(_FLOATS, _SPLITS),
        ),
        Protocol(
            name="oc",
            summary="DDIM in 100 steps, omega 1.5, drawn labels, 50,000 images",
            source="OC (Zhang et al., ICLR 2024): README and code of MediaBrain-SJTU/OC_LT, ddpm_gen.py",
            sample=SamplingSpec(steps=100, labels="uniform"),
            train=TrainSpec(steps=200_000, batch=128),
            decides=("FID-legacy", _SPLIT_IS),
            open=(
                "other metrics of its tables: not read",
                "whether the published figures come from the README's evaluation (taken here) or another",
                "batch: the code's default (128); steps: the checkpoint that the README evaluates, of a training of "
                "500,000",
                "TinyImageNet-LT: construction and hyper-parameters (issue 4, unanswered)",
                _PRECISION,
            ),
            differs=(
                "ddpm_gen.py samples with dropout switched on, which cost 8 to 9 % of the Fréchet distance in a small "
                "test; here dropout is off",
                _FLOATS,
                _SPLITS,
            ),
        ),
        Protocol(
            name="cm",
            summary="DDIM in 50 steps, omega 1.5, as many images of each class, 50,000",
            source="CM (Hong et al., ICLR 2026, OpenReview wSGle6ag5I): released code and CIFAR-100-LT configuration, "
            "as vendored by a third party; tables as in notes of the paper",
            sample=SamplingSpec(),
            train=TrainSpec(),
            decides=(
                "FID-legacy",
                "KID-legacy: subsets_mean, of 100 subsets of 1,000",
                "recall-all-legacy: its features and k are not stated",
                _SPLIT_IS,
            ),
            open=(
                "base loss of the rows called CM: the released configuration trains cm+t2h, the paper names several",
                "labels: exactly balanced and in class order in the released sampler (taken here); one summary of the "
                "code calls them drawn",
                "recall: its code is not among the released tools; IS: how images in class order are split",
                "images of the groups' figures: 20,000 drawn for each group; here a group has its share of the 50,000",
                "steps on CIFAR-10-LT: 300,000 by the text (taken here), 200,000 in a third party's configuration",
                "precision of the training: the vendored trainer runs in bf16, but that file is not as released; here "
                "bf16 on a GPU and float32 on a CPU",
                "reference of ImageNet-LT, iNaturalist, CelebA-HQ and ArtBench, and how these were made long-tailed",
            ),
        ),
        Protocol(
            name="coral",
            summary="1,000 ancestral steps, omega 0.8 (tuned by method and data set), drawn labels, 50,000 images",
            source="CORAL (Rodriguez et al., NeurIPS 2025, arXiv 2506.15933), Appendix A and Table 3, as transcribed "
            "by a third party; code SankarLab/coral-lt-diffusion, which has no scores",
            sample=SamplingSpec(sampler="ddpm", steps=1000, omega=0.8, labels="uniform"),
            omega="tuned",
            train=TrainSpec(steps=150_000, batch=128),
            decides=(
                "FID-legacy",
                "IS-legacy: splits are not stated; split_mean is of ten",
                "F8-legacy",
                "F1/8-legacy",
                "recall-all-legacy: its features and k are not stated",
            ),
            open=(
                "omega is tuned, on what is not stated, for DDPM / CBDM / T2H / CORAL: 0.8 / 1.0 / 1.0 / 0.6 on "
                "CIFAR-10-LT at ratio 100, 1.0 / 1.8 / 1.7 / 1.0 at ratio 1000, 0.8 / 1.6 / 1.5 / 0.8 on CIFAR-100-LT "
                "at ratio 100; here 0.8, give others with --omega",
                "features: not stated, and the score code is not public; here the legacy ones, as in the code of the "
                "other long-tail papers",
                "sampler of T2H: ancestral sampling is stated for the others only; its steps are 200,000 "
                "(--set train.steps=200000)",
                "labels: uniform; whether drawn (taken here) or as many of each class is not stated",
                _PRECISION,
            ),
        ),
        Protocol(
            name="ccua",
            summary="DDIM in 100 steps, omega to be given, drawn labels, 10,000 images",
            source="CCUA (Chen et al., arXiv 2507.09052): released code of its U-Net experiments",
            sample=SamplingSpec(images=10_000, steps=100, labels="uniform"),
            omega="open",
            decides=("FID-legacy: also of head, body and tail, and of each class", "KID-legacy"),
            open=(
                "omega: searched for each method, values not stated: give --omega or --set sample.omega",
                "schedule of omega: the sampler knows constant (taken here), linear and gamma; which one the figures "
                "used is not stated",
                "training on CIFAR: 200,000 steps, batch not stated; on TinyImageNet-LT 100,001 x 128",
                "reference: its code compares with the balanced training set (taken here) and the validation set",
            ),
            differs=(
                "its head, body and tail leave out classes C/3 and 2C/3; here every class is in a group",
                "FID of each class; here KID of each (class-KID), which few images do not bias",
            ),
        ),
    )
}


def find(name: str, where: str) -> Protocol:
    """The protocol of that name. Raises UsageError with the near miss."""
    if name not in PROTOCOLS:
        raise unknown("protocol", name, PROTOCOLS, where)
    return PROTOCOLS[name]


def parse(names: Iterable[str]) -> tuple[Protocol, ...]:
    """Those of ["cm", "cbdm"]. Raises UsageError for one that is unknown, or there twice."""
    names = [name.strip() for name in names]
    if not all(names):
        raise UsageError("--protocol: a name is missing; write names with commas, for example cm,cbdm")
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"--protocol: {twice[0]} is there twice; keep one of them")
    return tuple(find(name, "--protocol") for name in names)


def called(scored: EvalSpec) -> list[str]:
    """The protocols whose evaluation this is, by its settings alone."""
    return [name for name, protocol in PROTOCOLS.items() if not protocol.departs(scored)]


def trained(run: RunSpec) -> list[str]:
    """The protocols whose training this is, by its settings alone, whatever its precision: no source states that."""
    if (run.net, run.diffusion) != (NetSpec().resolved, DiffusionSpec()):
        return []
    return [
        name
        for name, protocol in PROTOCOLS.items()
        if protocol.train and run.train == dataclasses.replace(protocol.train, precision=run.train.precision)
    ]
