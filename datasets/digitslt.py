"""The handwritten digits bundled with scikit-learn."""

from __future__ import annotations

import numpy as np

from ltgen_bench import Dataset, Images, Pool


class DigitsLT(Dataset):
    """1,797 real 8x8 grey digits that come with scikit-learn: nothing to download, a run takes minutes.

    Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits (UCI, 1998; CC BY 4.0), of which
    scikit-learn holds the test set. Grey levels 0 to 16 are scaled to 0 to 255. The largest class has 170 images and
    the default ratio is 20, as a class holds no more than 174 to 183; there is no held-out set.
    """

    name = "digitslt"
    preset = "smoke"
    flip = False
    n_max = 170
    imbalance = 20.0

    def pool(self) -> Pool:
        from sklearn.datasets import load_digits

        digits = load_digits()
        pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)
        return Pool(Images(pixels[..., None], digits.target.astype(np.int64)), tuple("0123456789"))
