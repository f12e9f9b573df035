"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ltgen_bench.errors import UsageError

if TYPE_CHECKING:
    from ltgen_bench.runs.job import DataOptions

RunsDir = Annotated[Path, typer.Option("--runs", help="Folder of the runs.", envvar="LTGEN_RUNS")]


DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder of the prepared datasets.", envvar="LTGEN_DATA"),
]


Data = Annotated[Path | None, typer.Option(help="Folder or zip of class folders (imagefolder).")]


Reference = Annotated[Path | None, typer.Option(help="Folder or zip of class folders to score against (imagefolder).")]


Size = Annotated[int | None, typer.Option(metavar="PIXELS", help="Reduce images to this size.")]


Features = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Feature extractor of the scores: inception, efflite0@96; default: the preset's."
    ),
]


FeaturesWeights = Annotated[Path | None, typer.Option(help="File of the extractor's weights.")]


Imbalance = Annotated[
    str | None,
    typer.Option(metavar="RATIO", help="Largest class / smallest class; none: images as they come."),
]


Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda or cuda:N.")]


Boards = Annotated[Path, typer.Option("--folder", help="Folder of the leaderboards.")]


RUNS, BOARDS = Path("runs"), Path("leaderboards")


OMEGA_HELP = "Guidance is eps_c + omega (eps_c - eps_u), as in the papers: the usual scale minus 1."


def data_options(
    imbalance: str | None, size: int | None, data: Path | None, reference: Path | None, data_dir: Path | None
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
    # Absolute, because workers may run elsewhere.
    paths = [str(p.expanduser().absolute()) if p else None for p in (data, reference, data_dir)]
    return DataOptions(ratio, size, None, *paths)
