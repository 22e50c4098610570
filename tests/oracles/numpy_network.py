"""Style transfer's objective and gradient in NumPy float64: the oracle of the gradient graphs.

Written from the formulas (docs/graph-contract.md), sharing no code with the package: convolutions
by im2col, poolings window by window, the backward pass by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from impasto.models.layer import Layer, Preprocessing

F64 = npt.NDArray[np.float64]


def convolve(x: F64, weight: F64, bias: F64, stride: int, padding: int, wraps: bool = False) -> F64:
    """Cross-correlate (C, H, W) with (O, C, k, k); around are zeros, or the opposite border."""
    k = weight.shape[2]
    mode: Any = "wrap" if wraps else "constant"
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)), mode=mode)
    windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), (1, 2))[:, ::stride, ::stride]
    return np.tensordot(weight, windows, ((1, 2, 3), (0, 3, 4))) + bias[:, None, None]


def convolve_vjp(
    g: F64, weight: F64, stride: int, padding: int, size: tuple[int, int], wraps: bool = False
) -> F64:
    """Scatter every output's cotangent over the window it read."""
    _, channels, k, _ = weight.shape
    h, w = g.shape[1:]
    x = np.zeros((channels, size[0] + 2 * padding, size[1] + 2 * padding))
    for i in range(k):
        for j in range(k):
            rows = slice(i, i + stride * (h - 1) + 1, stride)
            columns = slice(j, j + stride * (w - 1) + 1, stride)
            x[:, rows, columns] += np.tensordot(weight[:, :, i, j], g, ((0,), (0,)))
    if wraps:
        folded = np.zeros((channels, *size))
        for row in range(x.shape[1]):
            for column in range(x.shape[2]):
                place = (row - padding) % size[0], (column - padding) % size[1]
                folded[:, *place] += x[:, row, column]
        return folded
    return x[:, padding : padding + size[0], padding : padding + size[1]]


def windows_of(layer: Layer, side: int) -> list[slice]:
    """Return the part of the picture each window covers along one side."""
    k, s, p = layer.kernel, layer.stride, layer.padding
    starts = range(-p, side + p - (0 if layer.ceil else k - 1), s)
    inside = [start for start in starts if start < side]
    if layer.ceil:  # no window may begin after one that has already reached the end
        inside = [v for v in inside if v == inside[0] or v + k - s < side + p]
    return [slice(max(start, 0), min(start + k, side)) for start in inside]


def pool(x: F64, layer: Layer) -> F64:
    rows, columns = (windows_of(layer, side) for side in x.shape[1:])
    reduce: Any = np.max if layer.kind == "max_pool" else np.mean
    return np.stack(
        [np.stack([reduce(x[:, r, c], axis=(1, 2)) for c in columns], -1) for r in rows], 1
    )


def pool_vjp(g: F64, x: F64, layer: Layer) -> F64:
    """Share each window's cotangent equally among its tied maxima, or among all its cells."""
    rows, columns = (windows_of(layer, side) for side in x.shape[1:])
    out = np.zeros_like(x)
    for i, r in enumerate(rows):
        for j, c in enumerate(columns):
            window = x[:, r, c]
            chosen = np.ones_like(window)
            if layer.kind == "max_pool":
                chosen = (window == window.max((1, 2), keepdims=True)).astype(np.float64)
            share = chosen / chosen.sum((1, 2), keepdims=True)
            out[:, r, c] += share * g[:, i, j][:, None, None]
    return out


@dataclass
class NumpyNetwork:
    """A chain of layers in float64."""

    layers: Sequence[Layer]
    arrays: Mapping[str, npt.NDArray[Any]]
    preprocessing: Preprocessing
    values: dict[str, F64] = field(default_factory=dict)
    wraps: bool = False

    def weight(self, layer: Layer) -> F64:
        return np.asarray(self.arrays[f"{layer.name}.weight"], np.float64)

    def forward(self, image: npt.NDArray[Any]) -> dict[str, F64]:
        """Return every layer's value for an image of shape (3, H, W), RGB in 0-255."""
        order = [2, 1, 0] if self.preprocessing.channel_order == "bgr" else [0, 1, 2]
        mean = np.array(self.preprocessing.mean)[:, None, None]
        scale = np.array(self.preprocessing.scale)[:, None, None]
        x = (image[order].astype(np.float64) - mean) * scale
        self.values = {"": x}
        for layer in self.layers:
            if layer.kind == "convolution":
                bias = np.asarray(self.arrays[f"{layer.name}.bias"], np.float64)
                x = convolve(x, self.weight(layer), bias, layer.stride, layer.padding, self.wraps)
            elif layer.kind == "relu":
                x = np.maximum(x, 0)
            else:
                x = pool(x, layer)
            self.values[layer.name] = x
        return self.values

    def backward(self, cotangents: Mapping[str, F64]) -> F64:
        """Return the image's cotangent, given those of some layers' values."""
        names = ["", *(layer.name for layer in self.layers)]
        g = np.zeros_like(self.values[names[-1]])
        for index in range(len(self.layers) - 1, -1, -1):
            layer, x = self.layers[index], self.values[names[index]]
            if layer.name in cotangents:
                g = g + cotangents[layer.name]
            if layer.kind == "convolution":
                size = (x.shape[1], x.shape[2])
                weight = self.weight(layer)
                g = convolve_vjp(g, weight, layer.stride, layer.padding, size, self.wraps)
            elif layer.kind == "relu":
                g = g * (x > 0)
            else:
                g = pool_vjp(g, x, layer)
        g = g * np.array(self.preprocessing.scale)[:, None, None]
        return np.asarray(g[::-1] if self.preprocessing.channel_order == "bgr" else g, np.float64)


def gram(features: F64) -> F64:
    flat = features.reshape(len(features), -1)
    result: F64 = flat @ flat.T / flat.size
    return result


def gram_loss(features: F64, target: F64) -> tuple[float, F64]:
    difference = gram(features) - target
    flat = features.reshape(len(features), -1)
    share = 4 / (difference.size * features.size) * difference @ flat
    return float(np.mean(difference**2)), share.reshape(features.shape)


def variation_of(dx: F64, dy: F64, norm: str) -> tuple[float, F64, F64]:
    """Return the sum over differences, and its derivative with respect to each."""
    if norm == "l1":
        return float(np.abs(dx).sum() + np.abs(dy).sum()), np.sign(dx), np.sign(dy)
    return float((dx**2).sum() + (dy**2).sum()) / 2, dx, dy


def objective(
    network: NumpyNetwork,
    image: npt.NDArray[Any],
    content: Mapping[str, tuple[float, F64]],
    style: Mapping[str, tuple[float, Any]],
    tv_weight: float,
    style_loss: Callable[[F64, Any], tuple[float, F64]] = gram_loss,
    tv_norm: str = "squared",
    normalized: bool = False,
) -> tuple[dict[str, float], F64]:
    """Return the weighted terms and the gradient.

    `content` and `style` map a layer to its weight and target; `style_loss` returns a loss and its
    derivative with respect to the features. If `normalized`, each derivative is divided by its L1
    norm + 1e-8, that of a content loss at least by a hundredth of what it is at features of 0.
    """

    def pull(weight: float, derivative: F64, at_zero: F64 | float = 0.0) -> F64:
        if normalized:
            norm = max(np.abs(derivative).sum(), 0.01 * np.abs(at_zero).sum())
            derivative = derivative / (norm + 1e-8)
        return weight * derivative

    values = network.forward(image)
    losses: dict[str, float] = {}
    cotangents: dict[str, F64] = {}
    for layer, (weight, target) in content.items():
        difference = values[layer] - target
        losses[f"content_loss.{layer}"] = weight * float(np.mean(difference**2))
        of_target = 2 * np.asarray(target, np.float64) / difference.size
        cotangents[layer] = pull(weight, 2 * difference / difference.size, of_target)
    for layer, (weight, target) in style.items():
        loss, share = style_loss(values[layer], target)
        losses[f"style_loss.{layer}"] = weight * loss
        cotangents[layer] = cotangents.get(layer, 0) + pull(weight, share)
    gradient = network.backward(cotangents)

    x = image.astype(np.float64)
    if network.wraps:
        dx, dy = x - np.roll(x, -1, 2), x - np.roll(x, -1, 1)
        variation, dx, dy = variation_of(dx, dy, tv_norm)
        losses["tv_loss"] = tv_weight * variation
        return losses, gradient + tv_weight * (dx + dy - np.roll(dx, 1, 2) - np.roll(dy, 1, 1))
    dx = x[:, :-1, :-1] - x[:, :-1, 1:]
    dy = x[:, :-1, :-1] - x[:, 1:, :-1]
    variation, dx, dy = variation_of(dx, dy, tv_norm)
    losses["tv_loss"] = tv_weight * variation
    tv = np.zeros_like(x)
    tv[:, :-1, :-1] += dx + dy
    tv[:, :-1, 1:] -= dx
    tv[:, 1:, :-1] -= dy
    return losses, gradient + tv_weight * tv
