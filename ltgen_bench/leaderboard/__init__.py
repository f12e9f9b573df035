"""From records to pages and tables."""
