"""`prepare`."""

from __future__ import annotations

from typing import Annotated

import typer

from ltgen_bench.cli.app import app
from ltgen_bench.cli.options import (
    Data,
    DataDir,
    DataName,
    Size,
    Source,
)


@app.command(
    epilog="""Examples:

`ltgen-bench prepare cifar100lt`

`ltgen-bench prepare cifar10lt --from cifar-10-python.tar.gz`

`ltgen-bench prepare fashionmnistlt --from FashionMNIST/raw`"""
)
def prepare(
    name: Annotated[str, typer.Argument(help="Dataset.")],
    source: Source = None,
    data: Data = None,
    data_name: DataName = None,
    size: Size = None,
    data_dir: DataDir = None,
) -> None:
    """Fetch or import a dataset, once. Runs never download."""
    from ltgen_bench import registry

    kind = registry.datasets().load(name, f"prepare {name}")
    dataset = kind(data=data, size=size, data_dir=data_dir, data_name=data_name)
    print(dataset.prepare(source))
    print("\n".join(dataset.pool().describe()))
