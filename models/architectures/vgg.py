"""VGG-16 and VGG-19 up to their last pooling (Simonyan & Zisserman, 2015, configurations D and E).

The fully connected layers are left out: style transfer reads convolutional features only, and
without them the network takes pictures of any size.

Poolings round down, as in every PyTorch and Keras port. Caffe, with which the networks were
trained, rounds up: `Architecture.with_pooling` (``rounding="ceil"``) gives that.

Source: K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
Recognition", ICLR 2015, table 1; layer names as in the authors' Caffe files.
"""

from __future__ import annotations

from collections.abc import Iterator

from impasto.models.layer import Architecture, Layer

__all__ = ["VGG16", "VGG19"]

# One row a block: (channels, convolutions in VGG-16, convolutions in VGG-19).
_BLOCKS = ((64, 2, 2), (128, 2, 2), (256, 3, 4), (512, 3, 4), (512, 3, 4))


def _layers(convolutions_per_block: tuple[int, ...]) -> Iterator[Layer]:
    """Yield the layers: in each block 3x3 convolutions with a ReLU each, then a 2x2 pooling."""
    read = 3
    for block, count in enumerate(convolutions_per_block, start=1):
        channels = _BLOCKS[block - 1][0]
        for number in range(1, count + 1):
            yield Layer(f"conv{block}_{number}", "convolution", read, channels, kernel=3, padding=1)
            yield Layer(f"relu{block}_{number}", "relu", channels, channels)
            read = channels
        yield Layer(f"pool{block}", "max_pool", channels, channels, kernel=2, stride=2)


VGG16 = Architecture("vgg16", tuple(_layers(tuple(row[1] for row in _BLOCKS))))
"""13 convolutions, ``conv1_1`` to ``relu5_3`` and ``pool5``."""

VGG19 = Architecture("vgg19", tuple(_layers(tuple(row[2] for row in _BLOCKS))))
"""16 convolutions, ``conv1_1`` to ``relu5_4`` and ``pool5``."""
