"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ltgen_bench.cli.paths import path_argument, path_option
from ltgen_bench.errors import UsageError

if TYPE_CHECKING:
    from ltgen_bench.runs.job import DataOptions

RunsDir = Annotated[Path, path_option("--runs", "Folder of the runs.", holds="folder", envvar="LTGEN_RUNS")]


DataDir = Annotated[
    Path | None,
    path_option("--data-dir", "Folder of the prepared datasets.", holds="folder", envvar="LTGEN_DATA", absolute=True),
]


Data = Annotated[Path | None, path_option("--data", "Folder or zip of class folders (imagefolder).", absolute=True)]


Reference = Annotated[
    Path | None,
    path_option("--reference", "Folder or zip of class folders to score against (imagefolder).", absolute=True),
]


Source = Annotated[Path | None, path_option("--from", "File or folder to import; default: download.")]


Samples = Annotated[
    Path | None,
    path_option(
        "--samples",
        "Images made elsewhere, as many of each class: an npz with uint8 images (n, h, w, c) or (n, c, h, w) "
        "and integer labels, or a folder or zip of class folders.",
    ),
]


NewFolder = Annotated[Path, path_argument("FOLDER", "Folder to write; must not exist.")]


CsvFile = Annotated[
    Path | None,
    path_option("--csv", "Also write every figure: a row per result, metric and group.", holds="file", metavar="FILE"),
]


Against = Annotated[
    str | None,
    typer.Option(
        metavar="SET",
        help="Real images to score against: balanced (as many of each class), train (long-tailed) or test; default: "
        "the protocol's, the first score's, or balanced.",
    ),
]


DataName = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Gives your images a page of their own, as imagefolder-NAME."),
]


Size = Annotated[int | None, typer.Option(metavar="PIXELS", help="Reduce images to this size.")]


Features = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Feature extractor of the scores: inception, inception-legacy, efflite0@96; default: the protocol's, the "
        "first score's or the preset's.",
    ),
]


FeaturesWeights = Annotated[
    Path | None,
    path_option("--features-weights", "File of the extractor's weights.", holds="file", absolute=True),
]


Imbalance = Annotated[
    str | None,
    typer.Option(metavar="RATIO", help="Largest class / smallest class; none: images as they come."),
]


Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda or cuda:N.")]


Boards = Annotated[Path, path_option("--folder", "Folder of the leaderboards.", holds="folder")]


Methods = Annotated[list[str], typer.Option(metavar="NAME", help="Method, or several combined: cm+cbdm. Repeatable.")]


Seeds = Annotated[str, typer.Option(metavar="N,...", help="Seeds, comma-separated.")]


PresetName = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Size of the job; default: the dataset's own."),
]


Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a value: train.steps=1000, cm.w_div=1. Repeatable."),
]


LauncherName = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="ray or local; default: ray for more than one run, or with --address."),
]


Address = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Ray cluster to use; default: that of RAY_ADDRESS, or one here."),
]


GpusPerRun = Annotated[
    float | None,
    typer.Option(metavar="N", help="A fraction, or a whole number that shares the training; default: 1 if any."),
]


CpusPerRun = Annotated[
    float | None,
    typer.Option(metavar="N", help="Cores and threads; default: 1, or 2 beside a GPU; all for a single run."),
]


MaxParallel = Annotated[int | None, typer.Option(metavar="N", min=1, help="Runs at once, at most.")]


RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Try failed runs again.")]


DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")]


RUNS, BOARDS = Path("runs"), Path("leaderboards")


Omega = Annotated[
    str | None,
    typer.Option(
        metavar="W,...",
        help="Sample and score at each of these, from one training. Guidance is eps_c + omega (eps_c - eps_u), as in "
        "the papers: the usual scale minus 1.",
    ),
]


ProtocolNames = Annotated[
    str | None,
    typer.Option(
        "--protocol",
        metavar="NAME,...",
        help="Sample and score as these papers do, from one training: ltgen-bench list protocols. Other options win.",
    ),
]


def listed(text: str | None) -> list[str]:
    """The parts of `a,b`; none where nothing was given."""
    return [] if text is None else text.split(",")


def data_options(
    imbalance: str | None,
    size: int | None,
    data: Path | None,
    reference: Path | None,
    data_dir: Path | None,
    data_name: str | None = None,
    against: str | None = None,
) -> DataOptions:
    from ltgen_bench.runs.job import DataOptions

    ratio: float | str | None = "default"
    if imbalance == "none":
        ratio = None
    elif imbalance is not None:
        try:
            ratio = float(imbalance)
        except ValueError:
            raise UsageError(f"--imbalance {imbalance}: give a number, for example 100, or none") from None
    data_text, reference_text, dir_text = (str(p) if p else None for p in (data, reference, data_dir))
    return DataOptions(ratio, size, None, data_text, reference_text, dir_text, data_name, against)


def whole_numbers(option: str, text: str, example: str) -> list[int]:
    """Of an option that takes several with commas. Raises UsageError."""
    try:
        return [int(s) for s in text.split(",")]
    except ValueError:
        raise UsageError(f"{option} {text}: write whole numbers with commas, for example {example}") from None
