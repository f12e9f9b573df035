"""Metrics: the mathematics (tensors in, figures out; no files, no models), and what of it stands in a record."""

from pathlib import Path

from ltgen_bench._plugin_path import extend

BUILT_IN = Path(__file__).parent

extend(__path__, "metrics")
