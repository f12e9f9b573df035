"""Built-in experiment trackers, and those of `trackers/` folders named by the user."""

from ltgen_bench._plugin_path import extend

extend(__path__, "trackers")
