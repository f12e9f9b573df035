"""`check` and `doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from ltgen_bench import registry
from ltgen_bench.cli.app import app
from ltgen_bench.cli.options import (
    DataDir,
)
from ltgen_bench.errors import UsageError, unknown


@app.command(
    "check", epilog="Example:\n\n`ltgen-bench check method mymethod`\n\nExit codes: 0 all claims hold, 1 one does not."
)
def check_(
    kind: Annotated[str, typer.Argument(help="method.")],
    name: Annotated[str, typer.Argument(help="Its name; several combined: cm+mymethod.", show_default=False)] = "",
) -> None:
    """Put a method, also one of your own, through the contract that every method keeps."""
    if kind != "method":
        if not name and set(kind.split("+")) <= registry.methods().entries().keys():
            raise UsageError(f"check {kind}: say what it is, ltgen-bench check method {kind}")
        raise unknown("kind", kind, ["method"], "check")
    if not name:
        raise UsageError("check method: which one? Run: ltgen-bench list methods")
    from ltgen_bench.training.method_contract import check_method
    from ltgen_bench.training.stack import overridden, parse_methods

    for method in parse_methods(name).methods:
        print(f"{method.name} overrides {', '.join(overridden(method)) or 'no hook: it is the shared recipe'}")
    failed = False
    for claim, problem in check_method(name):
        print(f"{'ok    ' if problem is None else 'FAILED'} {claim}{f': {problem}' if problem else ''}")
        failed |= problem is not None
    if failed:
        raise typer.Exit(1)


@app.command(epilog="Example:\n\n`ltgen-bench doctor`")
def doctor(data_dir: DataDir = None) -> None:
    """Show what this installation can do: versions, device, prepared datasets, feature weights."""
    from ltgen_bench.cli.doctor import findings

    for name, finding in findings(data_dir):
        print(f"{name:<22}  {finding}", flush=True)
