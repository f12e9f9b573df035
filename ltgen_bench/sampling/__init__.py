"""From a trained network to a set of images."""
