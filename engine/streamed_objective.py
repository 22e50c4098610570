"""The objective of a run in bounded memory, from the sums of all strips."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from impasto.engine.backends.base import FloatArray
from impasto.engine.streaming import StreamedNetwork, Sums
from impasto.engine.style_losses import style_term
from impasto.engine.style_targets import targets_of_term
from impasto.export.guides import layer_of
from impasto.export.normalized import LEAST_DIFFERENCE, LEAST_NORM

__all__ = ["StreamedObjective"]

Arrays = Mapping[str, FloatArray]


class StreamedObjective:
    """The objective of `impasto.engine.objective.Objective`, in bounded memory.

    Parameters
    ----------
    streamed : StreamedNetwork
    targets : mapping of str to ndarray
        Those of the gradient graph, and the guides if there are any.
    weights : mapping of str to ndarray
        ``content_weight.<layer>``, ``style_weight.<term>`` and ``tv_weight`` scalars.

    Attributes
    ----------
    evaluations : int
        Calls so far.
    losses : dict of str to float
        Weighted terms of the last call, by the graph's output names.
    """

    def __init__(self, streamed: StreamedNetwork, targets: Arrays, weights: Arrays) -> None:
        self._streamed = streamed
        self._targets = targets
        self._weights = {name: float(value) for name, value in weights.items()}
        self._least_norms = _least_norms(streamed, targets)
        self._gradient: FloatArray = np.empty((1, 3, *streamed.size), streamed.dtype)
        self.evaluations = 0
        self.losses: dict[str, float] = {}

    def __call__(self, image: FloatArray) -> tuple[float, FloatArray]:
        """Return the loss and its gradient at `image`, of shape (1, 3, H, W).

        The gradient array belongs to the objective: the next call overwrites it.
        """
        sums = self._streamed.forward(image, self._targets)
        losses, coefficients = self._losses_and_coefficients(sums)
        if self._streamed.network.form.normalized:
            coefficients = self._normalized(image, coefficients)
        self._streamed.backward(image, coefficients, self._targets, self._gradient)
        self.evaluations += 1
        self.losses = losses
        return sum(losses.values()), self._gradient

    def _losses_and_coefficients(
        self, sums: Sums
    ) -> tuple[dict[str, float], dict[str, FloatArray]]:
        """Return the weighted terms, and S and c of `impasto.export.strip_graphs`; in float64.

        With normalised gradients S and c are without weight.
        """
        losses: dict[str, float] = {}
        coefficients: dict[str, FloatArray] = {}
        network, weights, dtype = self._streamed.network, self._weights, self._streamed.dtype
        normalized = network.form.normalized
        for name in network.content_layers:
            weight = weights[f"content_weight.{name}"]
            per_element = (1.0 if normalized else weight) / self._streamed.elements(name)
            loss = per_element * sums.differences[name]
            losses[f"content_loss.{name}"] = weight * loss if normalized else loss
            coefficients[f"content_coefficient.{name}"] = np.array(2 * per_element, dtype)
        for name in network.style_terms:
            weight = weights[f"style_weight.{name}"]
            term = style_term(
                network.form.statistic,
                sums.of_term(name, self._streamed.cells(layer_of(name))),
                targets_of_term(network.form.statistic, self._targets, name),
                1.0 if normalized else weight,
            )
            losses[f"style_loss.{name}"] = weight * term.loss if normalized else term.loss
            for kind, value in term.coefficients.items():
                coefficients[f"{kind}.{name}"] = value.astype(dtype)
        losses["tv_loss"] = weights["tv_weight"] * sums.variation
        coefficients["tv_weight"] = np.array(weights["tv_weight"], dtype)
        return losses, coefficients

    def _normalized(
        self, image: FloatArray, coefficients: dict[str, FloatArray]
    ) -> dict[str, FloatArray]:
        """Return S and c with weights, and divided by the norms over the whole image."""
        norms = self._streamed.norms(image, coefficients, self._targets)
        scaled = {}
        for name, value in coefficients.items():
            kind, _, term = name.partition(".")
            share = 1.0
            if term:  # not the total variation's
                loss = "content" if kind.startswith("content") else "style"
                weight = self._weights[f"{loss}_weight.{term}"]
                norm = max(norms[f"{loss}.{term}"], self._least_norms.get(name, 0.0))
                share = weight / (norm + LEAST_NORM)
            scaled[name] = (value * share).astype(value.dtype)
        return scaled


def _least_norms(streamed: StreamedNetwork, targets: Arrays) -> dict[str, float]:
    """Return the least norms of content losses, by the names of their coefficients."""
    found = {}
    network = streamed.network
    for name in network.content_layers if network.form.normalized else ():
        guide = targets[f"content_guide.{name}"][0, 0] ** 2 if network.guides.content else 1.0
        # Channel by channel: the target can be large.
        sums = (
            np.sum(np.abs(each) * guide, dtype=np.float64) for each in targets[f"content.{name}"][0]
        )
        least = 2 * LEAST_DIFFERENCE / streamed.elements(name) * float(sum(sums))
        found[f"content_coefficient.{name}"] = least
    return found
