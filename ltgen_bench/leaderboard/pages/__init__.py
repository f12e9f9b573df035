"""The pages in markdown: pure functions of what the modules above work out."""
