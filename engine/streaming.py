"""A network over a picture of any size in bounded memory: forward and back, strip by strip.

`StreamedNetwork` runs the two passes of `impasto.export.strip_graphs` and owns what lies between
them; `impasto.engine.streamed_objective` adds targets and weights.

What is kept between the passes is the output of every pooling: 120 bytes a pixel for VGG-19. The
rest is computed again in the backward pass, except for what `Keeping` names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from impasto.engine.backends.base import Backend, FloatArray
from impasto.engine.network import Network
from impasto.engine.parts import Part, Parts, Workers, run_in_order
from impasto.engine.stored import Features, Signs, Stored, rows_of
from impasto.engine.style_losses import PictureSums
from impasto.export.guides import layer_of
from impasto.export.strip_graphs import build_strip_backward, build_strip_forward
from impasto.export.strips import Rows, Segment, Strip, segments_of, strips_of

__all__ = ["Keeping", "StreamedNetwork", "Streaming", "Sums"]

Arrays = Mapping[str, FloatArray]

BY_ROWS = ("content", "content_guide", "guide")
"""What the names of targets that are cut by rows begin with."""

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Keeping:
    """Which activations wait for the backward pass instead of being computed again.

    Parameters
    ----------
    features : frozenset of str
        ReLUs kept as float32.
    signs : frozenset of str
        ReLUs of which one bit an entry is kept, whether a cotangent passes: enough where neither
        a loss nor a convolution that is computed again reads the layer.
    """

    features: frozenset[str] = frozenset()
    signs: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Streaming:
    """How a picture is cut.

    Parameters
    ----------
    rows : tuple of int
        For each segment, about how many rows of its input a strip owns.
    keeping : Keeping
    """

    rows: tuple[int, ...]
    keeping: Keeping = field(default_factory=Keeping)


@dataclass
class Sums:
    """What the forward pass adds up over the image.

    Parameters
    ----------
    grams, sums, squares : dict of str to ndarray
        F Fᵀ, the channels' sums and those of their squares by style term, not normalised, float64;
        those that the network's style losses read.
    differences : dict of str to float
        Σ (F − P)² by layer.
    variation : float
        Σ (dx² + dy²) / 2.
    """

    grams: dict[str, Matrix] = field(default_factory=dict)
    sums: dict[str, Matrix] = field(default_factory=dict)
    squares: dict[str, Matrix] = field(default_factory=dict)
    differences: dict[str, float] = field(default_factory=dict)
    variation: float = 0.0

    def of_term(self, name: str, cells: int) -> PictureSums:
        """Return what a style term reads of its layer of so many cells."""
        return PictureSums(cells, self.grams.get(name), self.sums.get(name), self.squares.get(name))


class StreamedNetwork:
    """A network over images of one size, in strips.

    Parameters
    ----------
    network : Network
    backend : Backend
    lowering : str
        Of the backward graphs.
    size : (height, width)
        Of the image.
    streaming : Streaming
    workers : Workers, optional
        Compute parts at the same time.
    dtype : numpy dtype
        float32, or float64 to test against, with a backend that runs it.
    """

    def __init__(
        self,
        network: Network,
        backend: Backend,
        lowering: str,
        size: tuple[int, int],
        streaming: Streaming,
        workers: Workers | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        self.network = network
        self.size = size
        self.streaming = streaming
        self.dtype = np.dtype(dtype)
        self._lowering = lowering
        self._workers = workers
        self._parts = Parts(backend)
        self.segments = segments_of(network.encoder.layers)
        self._sizes = network.feature_sizes(size)
        inputs = [size, *(self._sizes[segment.output.name] for segment in self.segments)]
        self._widths = [width for _, width in inputs]
        self._shapes = [
            (segment.output.out_channels, *size)
            for segment, size in zip(self.segments, inputs[1:], strict=True)
        ]
        # Kept from one evaluation to the next: fresh memory costs more time than computing on it.
        self._outputs: dict[int, FloatArray] = {}
        self._kept: dict[str, Stored] = {}
        self._strips = [
            strips_of(segment, height, rows, network.wraps)
            for segment, (height, _), rows in zip(
                self.segments, inputs[:-1], streaming.rows, strict=True
            )
        ]

    @property
    def part_count(self) -> int:
        """Parts of one pass."""
        return sum(map(len, self._strips))

    def elements(self, layer: str) -> int:
        """Return C h w of a layer's feature map."""
        return self.network.encoder.channels(layer) * self.cells(layer)

    def cells(self, layer: str) -> int:
        """Return h w of a layer's feature map."""
        height, width = self._sizes[layer]
        return height * width

    # -- targets ---------------------------------------------------------------------------------

    def features_and_grams(
        self,
        image: FloatArray,
        features: Collection[str],
        grams: Collection[str],
        means: Collection[str] = (),
        guides: Arrays | None = None,
    ) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
        """Return feature maps, (1, C, h, w), and normalised Gram matrices of an image.

        Beside the matrices are ``mean.<layer>``, the channels' means of shape (C), of `means`.
        With ``guide.<layer>`` among `guides`, both are those of a part of the image.
        """
        maps: dict[str, FloatArray] = {
            name: np.empty((1, self.network.encoder.channels(name), *self._sizes[name]), self.dtype)
            for name in features
        }
        sums: dict[str, Matrix] = {}
        channel_sums: dict[str, Matrix] = {}
        wanted = {*features, *grams, *means}
        value = image[0]
        for segment in self.segments:
            wanted -= set(_in(segment, wanted))
            output = self._output(segment) if wanted else None
            for strip, found in self._run_forward(
                segment,
                value,
                targets=guides,
                features=_in(segment, features),
                grams=_in(segment, grams),
                guided=_in(
                    segment, [n for n in {*grams, *means} if f"guide.{n}" in (guides or {})]
                ),
                sums=_in(segment, means),
                output=bool(wanted),
            ):
                for name in _in(segment, features):
                    maps[name][0, :, strip[name].owned.slice] = found[f"features.{name}"][0]
                _add_up(sums, found, "gram.")
                _add_up(channel_sums, found, "sum.")
                if output is not None:
                    output[:, strip.written.slice] = found["output"][0]
            if output is None:
                break
            value = output
        normalised = {n: (sums[n] / self.elements(n)).astype(self.dtype) for n in grams}
        for name in means:
            normalised[f"mean.{name}"] = (channel_sums[name] / self.cells(name)).astype(self.dtype)
        return maps, normalised

    # -- the two passes --------------------------------------------------------------------------

    def forward(self, image: FloatArray, targets: Arrays) -> Sums:
        """Run the first pass, which leaves behind what the second one needs."""
        keeping, network = self.streaming.keeping, self.network
        sums = Sums()
        value = image[0]
        for segment in self.segments:
            output = self._output(segment) if segment is not self.segments[-1] else None
            features = _in(segment, keeping.features)
            signs = _in(segment, keeping.signs - keeping.features)
            contents = _in(segment, network.content_layers)
            styles, moments = _in(segment, network.style_terms), network.form.moments
            for strip, found in self._run_forward(
                segment,
                value,
                targets=targets,
                features=features,
                signs=signs,
                contents=contents,
                grams=styles if "products" in moments else (),
                sums=styles if "sums" in moments else (),
                squares=styles if "squares" in moments else (),
                guided=_in(segment, network.guided_terms),
                content_guided=network.guides.content,
                output=output is not None,
                total_variation=segment.index == 0,
            ):
                _add_up(sums.grams, found, "gram.")
                _add_up(sums.sums, found, "sum.")
                _add_up(sums.squares, found, "square.")
                for name in contents:
                    square = float(found[f"content_loss.{name}"])
                    sums.differences[name] = sums.differences.get(name, 0.0) + square
                sums.variation += float(found.get("tv_loss", 0.0))
                for name in features:
                    self._store(name).write(strip[name].owned, found[f"features.{name}"])
                for name in signs:
                    self._store(name).write(strip[name].owned, found[f"signs.{name}"])
                if output is not None:
                    output[:, strip.written.slice] = found["output"][0]
            if output is not None:
                value = output
        return sums

    def backward(
        self, image: FloatArray, coefficients: Arrays, targets: Arrays, gradient: FloatArray
    ) -> None:
        """Run the second pass and write the gradient, (1, 3, H, W).

        On the way down, the cotangent of each pooling's output takes the place of the output.
        """
        for segment in reversed(self.segments):
            first = segment.index == 0
            read = image[0] if first else self._outputs[segment.index - 1]
            scatter = _Scatter(gradient[0] if first else read, self._strips[segment.index])
            for strip, found in self._run_backward(segment, read, coefficients, targets):
                scatter.add(strip, found["gradient"][0])
            scatter.finish()

    def _output(self, segment: Segment) -> FloatArray:
        """Return the array for a segment's output, (C, h, w)."""
        if segment.index not in self._outputs:
            self._outputs[segment.index] = np.empty(self._shapes[segment.index], self.dtype)
        return self._outputs[segment.index]

    def _store(self, name: str) -> Stored:
        """Return where a layer's activation is kept."""
        if name not in self._kept:
            kind = Features if name in self.streaming.keeping.features else Signs
            channels = self.network.encoder.channels(name)
            self._kept[name] = kind(channels, *self._sizes[name], self.dtype)
        return self._kept[name]

    # -- one segment -----------------------------------------------------------------------------

    def _run_forward(
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
    ) -> Iterator[tuple[Strip, Arrays]]:
        width = self._widths[segment.index]
        given = (features, grams, sums, squares, contents, signs, guided, content_guided)
        asked = (*given, output, total_variation)

        def work(strip: Strip) -> dict[str, FloatArray]:
            part = self._parts.get(
                ("forward", segment.index, strip.shape, *asked),
                lambda: build_strip_forward(
                    self.network.encoder, segment, strip, width,
                    features=features, grams=grams, sums=sums, squares=squares,
                    contents=contents, signs=signs,
                    guided=guided, content_guided=content_guided,
                    output=output, total_variation=total_variation,
                    lowered_for=self._lowering, dtype=self.dtype, wraps=self.network.wraps,
                ),
            )  # fmt: skip
            np.copyto(part.inputs["input"][0], rows_of(value, strip.read))
            _read_targets(part, strip, targets or {})
            return part.run()

        strips = self._strips[segment.index]
        return run_in_order(self._workers, work, strips)

    def _run_backward(
        self,
        segment: Segment,
        value: FloatArray,
        coefficients: Arrays,
        targets: Arrays,
    ) -> Iterator[tuple[Strip, Arrays]]:
        width = self._widths[segment.index]
        styles = _in(segment, self.network.style_terms)
        guided = _in(segment, self.network.guided_terms)
        contents = _in(segment, self.network.content_layers)
        keeping = self.streaming.keeping
        features = _in(segment, keeping.features)
        signs = _in(segment, keeping.signs - keeping.features)
        cotangent = self._outputs.get(segment.index)
        strips = self._strips[segment.index]
        # On a torus the last strips read the first rows, whose cotangents have replaced them then.
        height, reach = value.shape[1], max(strip.read.stop for strip in strips)
        behind = rows_of(value, Rows(height, reach)).copy() if reach > height else None

        def work(strip: Strip) -> dict[str, FloatArray]:
            part = self._parts.get(
                ("backward", segment.index, strip.shape),
                lambda: build_strip_backward(
                    self.network.encoder, segment, strip, width,
                    styles=styles, moments=self.network.form.moments,
                    contents=contents, kept=features, signs=signs,
                    guided=guided, content_guided=self.network.guides.content,
                    cotangent=cotangent is not None, total_variation=segment.index == 0,
                    lowered_for=self._lowering,
                    dtype=self.dtype, wraps=self.network.wraps,
                ),
            )  # fmt: skip
            inputs = part.inputs
            if "input" in inputs:
                np.copyto(inputs["input"][0], rows_of(value, strip.read, behind))
            if cotangent is not None:
                np.copyto(inputs["cotangent"][0], cotangent[:, strip.written.slice])
            for name in (*features, *signs):
                if f"kept.{name}" in inputs:
                    self._kept[name].read(strip[name].rows, inputs[f"kept.{name}"])
            _read_targets(part, strip, targets)
            for name, number in coefficients.items():
                if name in inputs:
                    np.copyto(inputs[name], number)
            return part.run()

        return run_in_order(self._workers, work, strips)


class _Scatter:
    """Add up what strips carry back, into an array that strips below still read.

    A strip's gradient covers the rows it has read; the last of them the next strip reads, and adds
    to, as well. Those wait in a buffer of their own, so that `out` may be the very array that is
    read. On a torus, so does until the end what belongs to rows beyond the borders.

    Parameters
    ----------
    out : ndarray of shape (C, H, W)
    strips : sequence of Strip
        From top to bottom, as they will be added.
    """

    def __init__(self, out: FloatArray, strips: Sequence[Strip]) -> None:
        self._out = out
        self._next_read = {strip: below.read.start for strip, below in pairwise(strips)}
        self._waiting: FloatArray = np.empty((len(out), 0, out.shape[2]), out.dtype)
        self._beyond: list[tuple[int, FloatArray]] = []

    def add(self, strip: Strip, part: FloatArray) -> None:
        """Add `part`, of shape (C, rows read, W); it is changed."""
        waiting = self._waiting.shape[1]
        part[:, :waiting] += self._waiting
        start = strip.read.start
        stop = self._next_read.get(strip, strip.read.stop)
        self._write(start, part[:, : stop - start])
        self._waiting = part[:, stop - start :].copy()

    def _write(self, start: int, part: FloatArray) -> None:
        height, rows = self._out.shape[1], part.shape[1]
        above = min(max(0, -start), rows)
        inside = max(above, min(rows, height - start))
        for row in (*range(above), *range(inside, rows)):
            self._beyond.append(((start + row) % height, part[:, row].copy()))
        if inside > above:
            self._out[:, start + above : start + inside] = part[:, above:inside]

    def finish(self) -> None:
        """Add what belongs to rows beyond the borders: they are rows at the opposite one."""
        for row, values in self._beyond:
            self._out[:, row] += values


def _in(segment: Segment, terms: Collection[str]) -> tuple[str, ...]:
    """Return those of `terms`, or of layers, that are of the segment's layers, in its order."""
    order = {layer.name: place for place, layer in enumerate(segment.layers)}
    found = [term for term in sorted(terms) if layer_of(term) in order]
    return tuple(sorted(found, key=lambda term: order[layer_of(term)]))


def _add_up(sums: dict[str, Matrix], found: Arrays, prefix: str) -> None:
    """Add the outputs called ``<prefix><layer>`` to the sums of their layers, in float64."""
    for name, value in found.items():
        if name.startswith(prefix):
            term = name.removeprefix(prefix)
            if term in sums:
                sums[term] += value
            else:
                sums[term] = value.astype(np.float64)


def _read_targets(part: Part, strip: Strip, targets: Arrays) -> None:
    """Fill in the owned rows of content targets and guides."""
    for name, array in part.inputs.items():
        kind, _, term = name.partition(".")
        if kind in BY_ROWS:
            np.copyto(array, targets[name][:, :, strip[layer_of(term)].owned.slice])
