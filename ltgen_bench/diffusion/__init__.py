"""The denoising network, its noise schedule, and a trained network on disk."""
