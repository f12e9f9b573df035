"""Built-in datasets: in a checkout they live in the top-level datasets/ folder, in a wheel beside this file."""

from ltgen_bench._plugin_path import extend

extend(__path__, "datasets")
