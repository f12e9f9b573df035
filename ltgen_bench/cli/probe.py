"""`probe ...`: what the papers claim of trained networks, measured on runs that exist already."""

from __future__ import annotations

import typer

from ltgen_bench.cli.app import app

probe = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")
app.add_typer(probe, name="probe")


@probe.callback()
def _probe() -> None:
    """Check what the papers claim of trained networks, on runs of your own."""
