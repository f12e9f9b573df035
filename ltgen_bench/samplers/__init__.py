"""Built-in samplers, and those of `samplers/` folders named by the user."""

from ltgen_bench._plugin_path import extend

extend(__path__, "samplers")
