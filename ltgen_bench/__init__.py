"""ltgen-bench: the benchmark suite for class-conditional diffusion models on long-tailed data."""

from pathlib import Path

__version__ = "0.1.0"

ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds the package: of a checkout, its root."""
