"""The command line: parse, call, print."""

from ltgen_bench.cli.main import main

__all__ = ["main"]
