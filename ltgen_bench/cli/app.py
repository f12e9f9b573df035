"""The command line: parse, call, print. Torch is imported by the commands that need it, not by --help or list."""

from __future__ import annotations

from typing import Annotated

import typer

from ltgen_bench import __version__

app = typer.Typer(
    name="ltgen-bench",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="The benchmark suite for class-conditional diffusion models on long-tailed data.",
    epilog="Start with: `ltgen-bench run --method cm+cbdm --dataset digitslt`",
)


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(__version__)
        raise typer.Exit
