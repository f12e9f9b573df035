"""Built-in samplers, and those of `samplers/` folders named by the user."""

from pathlib import Path

from ltgen_bench._plugin_path import extend

BUILT_IN = Path(__file__).parent

extend(__path__, "samplers")
