"""ltgen-bench: the benchmark suite for class-conditional diffusion models on long-tailed data."""

__version__ = "0.1.0"
