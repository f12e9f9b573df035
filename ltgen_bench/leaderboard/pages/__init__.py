"""The pages in markdown, of what the modules above work out."""
