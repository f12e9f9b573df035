"""Methods, and the one training loop that they share."""
