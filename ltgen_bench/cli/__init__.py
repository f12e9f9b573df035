"""The command line: parse, call, print."""

from ltgen_bench.cli.app import main

__all__ = ["main"]
