"""Long-tailed data sets and sets of images, on disk and in memory."""
