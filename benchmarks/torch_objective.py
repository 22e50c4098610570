"""The objective in PyTorch, as a program would write it that differentiates with PyTorch.

Only processes under an interpreter with PyTorch import this module; it needs nothing of Impasto.
The formulas are those of `impasto.export.losses`, the network's layers come from the file
(`problem.py`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

__all__ = ["TorchObjective"]


class TorchObjective:
    """Content, style and total variation losses of one image, with the gradient.

    Parameters
    ----------
    path : path
        A file of `problem.Problem.write`.
    bf16 : bool
        Run the network under ``torch.autocast`` to bfloat16. The weights are converted once, which
        autocast itself would do at every evaluation.
    channels_last : bool
        Keep images and weights in the order (batch, height, width, channels).
    device : str
        ``cpu`` or ``cuda``.

    Attributes
    ----------
    image : Tensor of shape (1, 3, H, W)
        The first image, RGB in 0-255.
    """

    def __init__(
        self,
        path: Path,
        *,
        bf16: bool = False,
        channels_last: bool = False,
        device: str = "cpu",
    ) -> None:
        self._bf16 = bf16
        self._device = device
        layout = torch.channels_last if channels_last else torch.contiguous_format
        with np.load(path, allow_pickle=False) as archive:
            self._description: dict[str, Any] = json.loads(str(archive["description"]))
            values = {n: torch.from_numpy(archive[n]) for n in archive if n != "description"}
        for name, value in values.items():
            if value.ndim == 4:
                value = value.contiguous(memory_format=layout)
            is_weight = name.endswith((".weight", ".bias"))
            value = value.bfloat16() if bf16 and is_weight else value
            values[name] = value.to(device)
        self._values = values
        self.image: torch.Tensor = values.pop("image")
        told = self._description["preprocessing"]
        self._mean, self._scale = (
            torch.tensor(told[name], device=device).reshape(1, 3, 1, 1)
            for name in ("mean", "scale")
        )

    def __call__(self, image: torch.Tensor) -> tuple[float, torch.Tensor]:
        """Return the loss and its gradient at `image`."""
        leaf = image.detach().requires_grad_()
        with torch.autocast(self._device, dtype=torch.bfloat16, enabled=self._bf16):
            loss = self.loss(leaf)
        (gradient,) = torch.autograd.grad(loss, leaf)
        return float(loss.detach()), gradient

    def loss(self, image: torch.Tensor) -> torch.Tensor:
        """Return the loss, a scalar in float32."""
        total = self._total_variation(image)
        value = self._preprocessed(image)
        for layer in self._description["layers"]:
            value = self._layer(layer, value)
            name = layer["name"]
            if name in self._description["content_layers"]:
                total = total + self._content(name, value)
            if name in self._description["style_layers"]:
                total = total + self._style(name, value)
        return total

    def _preprocessed(self, image: torch.Tensor) -> torch.Tensor:
        if self._description["preprocessing"]["channel_order"] == "bgr":
            image = image.flip(1)
        return (image - self._mean) * self._scale

    def _layer(self, layer: dict[str, Any], value: torch.Tensor) -> torch.Tensor:
        if layer["kind"] == "relu":
            # In place, as neural-style has it: the losses read what comes after, never before.
            return functional.relu(value, inplace=True)
        window = {"stride": layer["stride"], "padding": layer["padding"]}
        if layer["kind"] == "convolution":
            weight, bias = (self._values[f"{layer['name']}.{part}"] for part in ("weight", "bias"))
            return functional.conv2d(value, weight, bias, **window)
        if layer["kind"] == "max_pool":
            return functional.max_pool2d(value, layer["kernel"], ceil_mode=layer["ceil"], **window)
        raise ValueError(f"No layer of kind {layer['kind']!r} here.")

    def _content(self, name: str, features: torch.Tensor) -> torch.Tensor:
        target, weight = self._values[f"content.{name}"], self._values[f"content_weight.{name}"]
        return weight * functional.mse_loss(features, target)

    def _style(self, name: str, features: torch.Tensor) -> torch.Tensor:
        target, weight = self._values[f"style.{name}"], self._values[f"style_weight.{name}"]
        flat = features.flatten(2)[0]
        gram = flat @ flat.T / features.numel()
        return weight * functional.mse_loss(gram, target)

    def _total_variation(self, image: torch.Tensor) -> torch.Tensor:
        here = image[:, :, :-1, :-1]
        across, down = here - image[:, :, :-1, 1:], here - image[:, :, 1:, :-1]
        return self._values["tv_weight"] / 2 * (across.square().sum() + down.square().sum())
