"""Weights drawn at random: for tests, and for measuring speed and memory without a download.

A network with these weights costs as much time and memory as the trained one, and its gradients
are as hard to get right; its pictures mean nothing.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from impasto.models.layer import Architecture

__all__ = ["random_weights"]


def random_weights(architecture: Architecture, seed: int) -> dict[str, NDArray[np.float32]]:
    """Return weights that keep the size of the signal from layer to layer.

    Weights are normal with mean 0 and variance 2 / (input channels * kernel height * width): He,
    Zhang, Ren & Sun, "Delving Deep into Rectifiers", ICCV 2015, equation 10. Unlike there, biases
    are standard normal and not 0, so that leaving out a bias shows.

    Layers are drawn one after another: a truncated architecture has the numbers of the whole one.

    Parameters
    ----------
    architecture : Architecture
        The network.
    seed : int
        Seed of the generator (PCG64); not negative.

    Returns
    -------
    dict of str to ndarray
        For every convolution ``<layer>.weight``, float32 of shape (output channels, input
        channels, kernel, kernel), and ``<layer>.bias``, float32 of shape (output channels,).
    """
    generator = np.random.default_rng(seed)
    arrays: dict[str, NDArray[np.float32]] = {}
    for layer in architecture.convolutions:
        fan_in = layer.in_channels * layer.kernel**2
        shape = (layer.out_channels, layer.in_channels, layer.kernel, layer.kernel)
        weight = generator.standard_normal(shape, dtype=np.float32)
        arrays[f"{layer.name}.weight"] = weight * np.float32(math.sqrt(2 / fan_in))
        arrays[f"{layer.name}.bias"] = generator.standard_normal(
            layer.out_channels, dtype=np.float32
        )
    return arrays
