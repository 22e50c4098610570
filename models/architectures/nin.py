"""Network in Network for ImageNet, up to its last ReLU (Lin, Chen & Yan, 2014).

A small network (7.6 million weights) that reads pictures with a stride of 4, so style transfer
with it takes about a tenth of VGG-19's time and a fraction of its memory.

The names are those of the authors' Caffe file, gaps included: there is no ``relu4``, and ReLUs
count from 0 while convolutions count from 1. ``pool4`` (average over the whole picture), the
softmax and the dropout before ``conv4-1024``, which does nothing at inference, are left out.
Poolings round up, as in Caffe.

Source: M. Lin, Q. Chen, S. Yan, "Network In Network", ICLR 2014; the table is that of the authors'
``nin_imagenet`` ``train_val.prototxt``.
"""

from __future__ import annotations

from collections.abc import Iterator

from impasto.models.layer import Architecture, Layer

__all__ = ["NIN"]

# (convolution, channels, kernel, stride, padding, its ReLU), or (pooling,): always 3x3 stride 2.
_ROWS: tuple[tuple[str, int, int, int, int, str] | tuple[str], ...] = (
    ("conv1", 96, 11, 4, 0, "relu0"),
    ("cccp1", 96, 1, 1, 0, "relu1"),
    ("cccp2", 96, 1, 1, 0, "relu2"),
    ("pool0",),
    ("conv2", 256, 5, 1, 2, "relu3"),
    ("cccp3", 256, 1, 1, 0, "relu5"),
    ("cccp4", 256, 1, 1, 0, "relu6"),
    ("pool2",),
    ("conv3", 384, 3, 1, 1, "relu7"),
    ("cccp5", 384, 1, 1, 0, "relu8"),
    ("cccp6", 384, 1, 1, 0, "relu9"),
    ("pool3",),
    ("conv4-1024", 1024, 3, 1, 1, "relu10"),
    ("cccp7-1024", 1024, 1, 1, 0, "relu11"),
    ("cccp8-1024", 1000, 1, 1, 0, "relu12"),
)


def _layers() -> Iterator[Layer]:
    read = 3
    for row in _ROWS:
        if len(row) == 1:
            yield Layer(row[0], "max_pool", read, read, kernel=3, stride=2, ceil=True)
            continue
        name, channels, kernel, stride, padding, relu = row
        yield Layer(name, "convolution", read, channels, kernel, stride, padding)
        yield Layer(relu, "relu", channels, channels)
        read = channels


NIN = Architecture("nin", tuple(_layers()))
"""12 convolutions, ``conv1`` to ``relu12``."""
