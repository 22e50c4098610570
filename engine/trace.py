"""The course of a run: loss, terms and time of its steps, thinned out where they are too many."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from impasto.engine.result import Iterate

__all__ = ["Trace", "TracePoint", "loss_by_kind"]

MOST_POINTS = 4000
"""Twice as many as a wide screen has pixels for."""


@dataclass(frozen=True)
class TracePoint:
    """One step of a run; the fields are those of `impasto.engine.result.Iterate`.

    Parameters
    ----------
    iteration, scale, evaluations : int
    width, height : int
        Of the image at this scale, in pixels.
    loss : float
    losses : mapping of str to float
    seconds : float
    """

    iteration: int
    scale: int
    width: int
    height: int
    evaluations: int
    loss: float
    losses: Mapping[str, float]
    seconds: float


class Trace:
    """Records a run; give it to `impasto.stylize` as callback, or call it from yours.

    A run of any length takes bounded memory: whenever there are too many points, every other one
    is left out, and from then on every other step. The first and the last step of every scale
    always stay.

    Parameters
    ----------
    most_points : int
        Points kept at most, scales' first and last ones not counted; 2 or more.

    Examples
    --------
    >>> import numpy as np
    >>> from impasto import Options, stylize
    >>> grey, trace = np.full((32, 32, 3), 128, np.uint8), Trace()
    >>> _ = stylize(grey, [grey], Options(size=32, iterations=2), callback=trace)
    >>> [point.iteration for point in trace.points]
    [1, 2]
    """

    def __init__(self, most_points: int = MOST_POINTS) -> None:
        self._most = most_points
        self._stride = 1
        self._points: list[TracePoint] = []
        self._last: TracePoint | None = None

    def __call__(self, iterate: Iterate) -> None:
        """Record a step."""
        height, width, _ = iterate.image.shape
        point = TracePoint(
            iterate.iteration,
            iterate.scale,
            width,
            height,
            iterate.evaluations,
            iterate.loss,
            dict(iterate.losses),
            iterate.seconds,
        )
        before, self._last = self._last, point
        begins = before is None or before.scale != point.scale
        if begins and before is not None and self._points[-1] is not before:
            self._points.append(before)
        if begins or point.iteration % self._stride == 0:
            self._points.append(point)
        if len(self._points) > self._most + 2 * point.scale:
            self._thin()

    @property
    def points(self) -> Sequence[TracePoint]:
        """The steps that are kept, in order; the last step is always among them."""
        if self._last is None or self._points[-1] is self._last:
            return tuple(self._points)
        return (*self._points, self._last)

    def to_dict(self) -> dict[str, Any]:
        """Return the course as plain JSON values, a list for every quantity.

        Numbers that are not finite are None: JSON has none.
        """
        points = self.points
        names = dict.fromkeys(name for point in points for name in point.losses)
        return {
            "iteration": [point.iteration for point in points],
            "scale": [point.scale for point in points],
            "size": [[point.width, point.height] for point in points],
            "evaluations": [point.evaluations for point in points],
            "seconds": [round(point.seconds, 4) for point in points],
            "loss": [_finite(point.loss) for point in points],
            "losses": {
                name: [_finite(point.losses.get(name)) for point in points] for name in names
            },
        }

    def _thin(self) -> None:
        self._stride *= 2
        kept = []
        for index, point in enumerate(self._points):
            around = self._points[max(0, index - 1) : index + 2]
            edge = index == 0 or any(other.scale != point.scale for other in around)
            if edge or point.iteration % self._stride == 0:
                kept.append(point)
        self._points = kept


def loss_by_kind(losses: Mapping[str, float]) -> dict[str, float]:
    """Return the terms added up by what they are of: ``content``, ``style``, ``tv``, in order.

    Parameters
    ----------
    losses : mapping of str to float
        By the gradient graph's output names: ``content_loss.relu4_2``, ``tv_loss``.
    """
    kinds: dict[str, float] = {}
    for name, value in losses.items():
        kind = name.partition("_loss")[0]
        kinds[kind] = kinds.get(kind, 0.0) + value
    return kinds


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
