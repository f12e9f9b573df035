"""A run on disk and as a job: its folder, its settings, its record."""
