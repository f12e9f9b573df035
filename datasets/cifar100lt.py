"""CIFAR-100-LT."""

from __future__ import annotations

from ltgen_bench.data.cifar import Cifar


class Cifar100LT(Cifar):
    """CIFAR-100, 32x32 colour photos of 100 classes, 500 images in the largest (10,847 in all at ratio 100).

    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009); no licence is stated. The split
    is the one that LDAM-DRW, CBDM, OC and CM train on. Held out: the official test set, 100 images per class.
    """

    name = "cifar100lt"
    torchvision_class = "CIFAR100"
    n_max = 500
