"""The strips of a network's segments, run one after the other: compiled, filled in, in order."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from impasto.engine.backends.base import Backend, FloatArray
from impasto.engine.network import Network
from impasto.engine.parts import Part, Parts, Workers, run_in_order
from impasto.engine.stored import Stored, rows_of
from impasto.export.guides import layer_of
from impasto.export.strip_backward import build_strip_backward
from impasto.export.strip_forward import build_strip_forward
from impasto.export.strip_norms import build_strip_norms
from impasto.export.strips import Rows, Segment, Strip, segments_of, strips_of

__all__ = ["Arrays", "StripRuns", "terms_in"]

Arrays = Mapping[str, FloatArray]

BY_ROWS = ("content", "content_guide", "guide")
"""What the names of targets that are cut by rows begin with."""

Found = Iterator[tuple[Strip, Arrays]]
"""Strips from top to bottom with the outputs of their graphs, which the next strip overwrites."""


class StripRuns:
    """The strips of a network over images of one size.

    Parameters
    ----------
    network : Network
    backend : Backend
    lowering : str
    size : (height, width)
        Of the image.
    rows : sequence of int
        For each segment, about how many rows of its input a strip owns.
    workers : Workers, optional
        Compute parts at the same time.
    dtype : numpy dtype

    Attributes
    ----------
    segments : tuple of Segment
    strips : list of tuple of Strip
        Of each segment, from top to bottom.
    """

    def __init__(
        self,
        network: Network,
        backend: Backend,
        lowering: str,
        size: tuple[int, int],
        rows: Sequence[int],
        workers: Workers | None,
        dtype: npt.DTypeLike,
    ) -> None:
        self._network = network
        self._lowering = lowering
        self._workers = workers
        self._dtype = np.dtype(dtype)
        self._parts = Parts(backend)
        self.segments = segments_of(network.encoder.layers)
        sizes = network.feature_sizes(size)
        inputs = [size, *(sizes[segment.output.name] for segment in self.segments[:-1])]
        self._widths = [width for _, width in inputs]
        self.strips = [
            strips_of(segment, height, most, network.wraps)
            for segment, (height, _), most in zip(self.segments, inputs, rows, strict=True)
        ]

    def forward(
        self,
        segment: Segment,
        value: FloatArray,
        *,
        targets: Arrays | None = None,
        features: tuple[str, ...] = (),
        grams: tuple[str, ...] = (),
        sums: tuple[str, ...] = (),
        squares: tuple[str, ...] = (),
        contents: tuple[str, ...] = (),
        signs: tuple[str, ...] = (),
        guided: tuple[str, ...] = (),
        content_guided: bool = False,
        output: bool,
        total_variation: bool = False,
    ) -> Found:
        """Yield the outputs of `impasto.export.strip_forward.build_strip_forward`.

        Parameters
        ----------
        segment : Segment
        value : ndarray of shape (C, H, W)
            Its input.
        targets : mapping of str to ndarray, optional
            ``content.<layer>`` and guides of the whole image.
        features, grams, sums, squares, contents, signs, guided, content_guided, output, \
        total_variation
            As for that function.
        """
        network, width = self._network, self._widths[segment.index]
        given = (features, grams, sums, squares, contents, signs, guided, content_guided)
        asked = (*given, output, total_variation)

        def work(strip: Strip) -> dict[str, FloatArray]:
            part = self._parts.get(
                ("forward", segment.index, strip.shape, *asked),
                lambda: build_strip_forward(
                    network.encoder, segment, strip, width,
                    features=features, grams=grams, sums=sums, squares=squares,
                    contents=contents, signs=signs,
                    guided=guided, content_guided=content_guided,
                    output=output, total_variation=total_variation, tv_norm=network.form.tv_norm,
                    lowered_for=self._lowering, dtype=self._dtype, wraps=network.wraps,
                ),
            )  # fmt: skip
            np.copyto(part.inputs["input"][0], rows_of(value, strip.read))
            _read_targets(part, strip, targets or {})
            return part.run()

        return run_in_order(self._workers, work, self.strips[segment.index])

    def norms(
        self,
        segment: Segment,
        value: FloatArray,
        coefficients: Arrays,
        targets: Arrays,
        kept: Mapping[str, Stored],
    ) -> Found:
        """Yield the outputs of `impasto.export.strip_norms.build_strip_norms`.

        Parameters
        ----------
        segment, value
            As for :meth:`forward`.
        coefficients : mapping of str to ndarray
            Inputs of that graph, the same for all strips.
        targets : mapping of str to ndarray
        kept : mapping of str to Stored
            Activations that need not be computed again.
        """
        network, width = self._network, self._widths[segment.index]
        features = terms_in(segment, kept)

        def work(strip: Strip) -> dict[str, FloatArray]:
            part = self._parts.get(
                ("norms", segment.index, strip.shape),
                lambda: build_strip_norms(
                    network.encoder, segment, strip, width,
                    styles=terms_in(segment, network.style_terms), moments=network.form.moments,
                    contents=terms_in(segment, network.content_layers), kept=features,
                    guided=terms_in(segment, network.guided_terms),
                    content_guided=network.guides.content,
                    lowered_for=self._lowering, dtype=self._dtype, wraps=network.wraps,
                ),
            )  # fmt: skip
            if "input" in part.inputs:
                np.copyto(part.inputs["input"][0], rows_of(value, strip.read))
            _read_kept(part, strip, kept)
            _read_targets(part, strip, targets)
            _read_coefficients(part, coefficients)
            return part.run()

        return run_in_order(self._workers, work, self.strips[segment.index])

    def backward(
        self,
        segment: Segment,
        value: FloatArray,
        coefficients: Arrays,
        targets: Arrays,
        features: Mapping[str, Stored],
        signs: Mapping[str, Stored],
        cotangent: FloatArray | None,
    ) -> Found:
        """Yield the outputs of `impasto.export.strip_backward.build_strip_backward`.

        Parameters
        ----------
        segment, value, coefficients, targets
            As for :meth:`norms`. `value` may be overwritten from the top down, with cotangents,
            by whoever reads what this yields.
        features, signs : mapping of str to Stored
            Activations that need not be computed again: themselves, or their signs.
        cotangent : ndarray of shape (C, h, w), optional
            Of the segment's output, if something follows.
        """
        network, width = self._network, self._widths[segment.index]
        strips = self.strips[segment.index]
        # On a torus the last strips read the first rows, whose cotangents have replaced them then.
        height, reach = value.shape[1], max(strip.read.stop for strip in strips)
        behind = rows_of(value, Rows(height, reach)).copy() if reach > height else None

        def work(strip: Strip) -> dict[str, FloatArray]:
            part = self._parts.get(
                ("backward", segment.index, strip.shape),
                lambda: build_strip_backward(
                    network.encoder, segment, strip, width,
                    styles=terms_in(segment, network.style_terms), moments=network.form.moments,
                    contents=terms_in(segment, network.content_layers),
                    kept=terms_in(segment, features), signs=terms_in(segment, signs),
                    guided=terms_in(segment, network.guided_terms),
                    content_guided=network.guides.content,
                    cotangent=cotangent is not None,
                    total_variation=segment.index == 0, tv_norm=network.form.tv_norm,
                    lowered_for=self._lowering, dtype=self._dtype, wraps=network.wraps,
                ),
            )  # fmt: skip
            if "input" in part.inputs:
                np.copyto(part.inputs["input"][0], rows_of(value, strip.read, behind))
            if cotangent is not None:
                np.copyto(part.inputs["cotangent"][0], cotangent[:, strip.written.slice])
            _read_kept(part, strip, {**features, **signs})
            _read_targets(part, strip, targets)
            _read_coefficients(part, coefficients)
            return part.run()

        return run_in_order(self._workers, work, strips)


def terms_in(segment: Segment, terms: Collection[str]) -> tuple[str, ...]:
    """Return those of `terms`, or of layers, that are of the segment's layers, in its order."""
    order = {layer.name: place for place, layer in enumerate(segment.layers)}
    found = [term for term in sorted(terms) if layer_of(term) in order]
    return tuple(sorted(found, key=lambda term: order[layer_of(term)]))


def _read_kept(part: Part, strip: Strip, kept: Mapping[str, Stored]) -> None:
    """Fill in the computed rows of what was kept."""
    for name, stored in kept.items():
        if f"kept.{name}" in part.inputs:
            stored.read(strip[name].rows, part.inputs[f"kept.{name}"])


def _read_targets(part: Part, strip: Strip, targets: Arrays) -> None:
    """Fill in the owned rows of content targets and guides."""
    for name, array in part.inputs.items():
        kind, _, term = name.partition(".")
        if kind in BY_ROWS:
            np.copyto(array, targets[name][:, :, strip[layer_of(term)].owned.slice])


def _read_coefficients(part: Part, coefficients: Arrays) -> None:
    for name, number in coefficients.items():
        if name in part.inputs:
            np.copyto(part.inputs[name], number)
