"""Leaderboards for other programs: CSV, JSON, LaTeX and HTML."""
