"""From sets of images to every figure of a result."""
