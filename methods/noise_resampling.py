from ltgen_bench import Method, NoisePrior, Task, UsageError


class NoiseResampling(Method):
    """Class-dependent noise: rare classes draw their noise around their own mean image.

    After Xu et al., "Rethinking Noise Sampling in Class-Imbalanced Diffusion Models" (IEEE TIP 2024): one noise prior
    for all classes favours the large ones, so each class should have its own. Their algorithm (BPA) and code are not
    public: what follows is ours, and is not BPA.

        noise = mu_y + eps,   eps ~ N(0, I)
        mu_c = strength (1 - n_c / n_max) (m_c - sum_k pi_k m_k),   m_c the mean training image of class c

    The network predicts the whole noise, mu_y included, with or without label. Training and sampling share the prior:
    sampling starts from N(mu_y, I) and keeps to it (ltgen_bench.sampling.pipeline). The largest class keeps N(0, I).
    """

    name = "noise-resampling"
    deviations = "class prior is ours; the paper's algorithm is not public"
    strength: float = 0.5

    def __post_init__(self) -> None:
        if self.strength < 0:
            raise UsageError(f"noise-resampling.strength must not be negative, not {self.strength}")

    def noise_prior(self, task: Task) -> NoisePrior:
        overall = (task.class_freq[:, None, None, None] * task.class_means).sum(0)
        rarity = 1 - task.class_counts / task.class_counts.max()
        mean = self.strength * rarity[:, None, None, None] * (task.class_means - overall)
        return NoisePrior(mean, rarity.new_ones(task.num_classes))
