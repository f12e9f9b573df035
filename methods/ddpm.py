from ltgen_bench import Method


class DDPM(Method):
    """Denoising diffusion with plain noise regression: the baseline of every table.

    loss = mean (eps(x_t, t, y) - noise)^2 (Ho et al., NeurIPS 2020, Eq. 14), labels dropped on a share of the batches
    for classifier-free guidance (Ho and Salimans, 2022). It overrides no hook: this is the shared recipe itself.
    """

    name = "ddpm"
