"""What the papers claim of trained networks, measured on runs that exist already."""
