"""CIFAR-10-LT."""

from __future__ import annotations

from ltgen_bench.data.cifar import Cifar


class Cifar10LT(Cifar):
    """CIFAR-10, 32x32 colour photos of 10 classes, 5,000 images in the largest (12,406 in all at ratio 100).

    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009); no licence is stated. The split
    is the one that LDAM-DRW, CBDM, OC and CM train on. Held out: the official test set, 1,000 images per class.
    """

    name = "cifar10lt"
    torchvision_class = "CIFAR10"
    n_max = 5000
