"""Images at another size: reduced to what a network takes, or enlarged to be looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ltgen_bench.data.images import Images
from ltgen_bench.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image


def resized(images: Images, size: int) -> Images:
    """Reduce square images to size x size pixels, each with `square`. Raises UsageError when they are smaller."""
    native = images.pixels.shape[1]
    if not 1 <= size <= native:
        raise UsageError(f"--size {size}: the images have {native}x{native} pixels and can only be reduced")
    return scaled(images, size)


def scaled(images: Images, size: int) -> Images:
    """Square images, each with `square`, at size x size pixels; those that have as many stay as they are."""
    from PIL import Image

    count, native, _, channels = images.pixels.shape
    if size == native:
        return images
    flat = images.pixels[..., 0] if channels == 1 else images.pixels
    pixels = np.empty((count, size, size, channels), np.uint8)
    for new, old in zip(pixels, flat, strict=True):
        new[...] = np.asarray(square(Image.fromarray(old), size)).reshape(new.shape)
    return Images(pixels, images.labels)


def square(image: Image.Image, size: int) -> Image.Image:
    """The largest centred square of an 8-bit image, at size x size pixels (Pillow's Lanczos filter)."""
    from PIL import Image

    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.resize((size, size), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))
