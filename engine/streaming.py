"""A network over a picture of any size in bounded memory: forward and back, strip by strip.

`StreamedNetwork` runs the two passes of `impasto.export.strip_graphs` and owns what lies between
them; `impasto.engine.streamed_objective` adds targets and weights.

What is kept between the passes is the output of every pooling: 120 bytes a pixel for VGG-19. The
rest is computed again in the backward pass, except for what `Keeping` names.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from impasto.engine.backends.base import Backend, FloatArray
from impasto.engine.network import Network
from impasto.engine.parts import Workers
from impasto.engine.scatter import Scatter
from impasto.engine.stored import Features, Signs, Stored
from impasto.engine.strip_runs import Arrays, StripRuns, terms_in
from impasto.engine.style_losses import PictureSums
from impasto.export.strips import Segment

__all__ = ["Keeping", "StreamedNetwork", "Streaming", "Sums"]

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
        Σ (dx² + dy²) / 2, or Σ |dx| + |dy|.
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
        self._runs = StripRuns(network, backend, lowering, size, streaming.rows, workers, dtype)
        self._sizes = network.feature_sizes(size)
        # Kept from one evaluation to the next: fresh memory costs more time than computing on it.
        self._outputs: dict[int, FloatArray] = {}
        self._kept: dict[str, Stored] = {}

    @property
    def part_count(self) -> int:
        """Parts of one pass."""
        return sum(map(len, self._runs.strips))

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
        for segment in self._runs.segments:
            wanted -= set(terms_in(segment, wanted))
            output = self._output(segment) if wanted else None
            for strip, found in self._runs.forward(
                segment,
                value,
                targets=guides,
                features=terms_in(segment, features),
                grams=terms_in(segment, grams),
                guided=terms_in(
                    segment, [n for n in {*grams, *means} if f"guide.{n}" in (guides or {})]
                ),
                sums=terms_in(segment, means),
                output=bool(wanted),
            ):
                for name in terms_in(segment, features):
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
        for segment in self._runs.segments:
            output = self._output(segment) if segment is not self._runs.segments[-1] else None
            features = terms_in(segment, keeping.features)
            signs = terms_in(segment, keeping.signs - keeping.features)
            contents = terms_in(segment, network.content_layers)
            styles, moments = terms_in(segment, network.style_terms), network.form.moments
            for strip, found in self._runs.forward(
                segment,
                value,
                targets=targets,
                features=features,
                signs=signs,
                contents=contents,
                grams=styles if "products" in moments else (),
                sums=styles if "sums" in moments else (),
                squares=styles if "squares" in moments else (),
                guided=terms_in(segment, network.guided_terms),
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

    def norms(self, image: FloatArray, coefficients: Arrays, targets: Arrays) -> dict[str, float]:
        """Return Σ |cotangent| of each loss at its layer, by ``style.<term>``, ``content.<layer>``.

        A pass between the two, for normalised gradients. It computes the layers again up to the
        last loss of each segment, except for what is kept.
        """
        network, found = self.network, dict[str, float]()
        losses = (*network.style_terms, *network.content_layers)
        for segment in self._runs.segments:
            if not terms_in(segment, losses):
                continue
            kept = self._kept_of(segment, self.streaming.keeping.features)
            read = self._input(segment, image)
            for _, parts in self._runs.norms(segment, read, coefficients, targets, kept):
                for output, value in parts.items():
                    name = output.removeprefix("norm.")
                    found[name] = found.get(name, 0.0) + float(value)
        return found

    def backward(
        self, image: FloatArray, coefficients: Arrays, targets: Arrays, gradient: FloatArray
    ) -> None:
        """Run the second pass and write the gradient, (1, 3, H, W).

        On the way down, the cotangent of each pooling's output takes the place of the output.
        """
        keeping = self.streaming.keeping
        for segment in reversed(self._runs.segments):
            first = segment.index == 0
            read = self._input(segment, image)
            scatter = Scatter(gradient[0] if first else read, self._runs.strips[segment.index])
            for strip, found in self._runs.backward(
                segment,
                read,
                coefficients,
                targets,
                self._kept_of(segment, keeping.features),
                self._kept_of(segment, keeping.signs - keeping.features),
                self._outputs.get(segment.index),
            ):
                scatter.add(strip, found["gradient"][0])
            scatter.finish()

    def _input(self, segment: Segment, image: FloatArray) -> FloatArray:
        """Return what a segment reads, (C, h, w)."""
        return image[0] if segment.index == 0 else self._outputs[segment.index - 1]

    def _output(self, segment: Segment) -> FloatArray:
        """Return the array for a segment's output, (C, h, w)."""
        if segment.index not in self._outputs:
            last = segment.output
            shape = (last.out_channels, *self._sizes[last.name])
            self._outputs[segment.index] = np.empty(shape, self.dtype)
        return self._outputs[segment.index]

    def _kept_of(self, segment: Segment, names: Collection[str]) -> dict[str, Stored]:
        """Return those of a segment's activations that the forward pass has kept."""
        return {name: self._kept[name] for name in terms_in(segment, names)}

    def _store(self, name: str) -> Stored:
        """Return where a layer's activation is kept."""
        if name not in self._kept:
            kind = Features if name in self.streaming.keeping.features else Signs
            channels = self.network.encoder.channels(name)
            self._kept[name] = kind(channels, *self._sizes[name], self.dtype)
        return self._kept[name]


def _add_up(sums: dict[str, Matrix], found: Arrays, prefix: str) -> None:
    """Add the outputs called ``<prefix><layer>`` to the sums of their layers, in float64."""
    for name, value in found.items():
        if name.startswith(prefix):
            term = name.removeprefix(prefix)
            if term in sums:
                sums[term] += value
            else:
                sums[term] = value.astype(np.float64)
