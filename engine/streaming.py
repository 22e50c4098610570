"""The objective of a run in bounded memory: whole-image loss and gradient, strip by strip.

`StreamedNetwork` runs the two passes of `impasto.export.strip_graphs` and owns what lies between
them; `StreamedObjective` adds targets and weights and looks to the outside like
`impasto.engine.objective.Objective`. Both give the numbers of the whole graph up to rounding.

What is kept between the passes is the output of every pooling: 120 bytes a pixel for VGG-19. The
rest is computed again in the backward pass, except for what `Keeping` names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from impasto.engine.backends.base import Backend, FloatArray
from impasto.engine.network import Network
from impasto.engine.parts import Part, Parts, run_in_order
from impasto.engine.stored import Features, Signs, Stored
from impasto.export.encoder import feature_size
from impasto.export.strip_graphs import build_strip_backward, build_strip_forward
from impasto.export.strips import Segment, Strip, segments_of, strips_of

__all__ = ["Keeping", "StreamedNetwork", "StreamedObjective", "Streaming"]

Arrays = Mapping[str, FloatArray]
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Keeping:
    """Which activations wait for the backward pass instead of being computed again.

    Parameters
    ----------
    features : frozenset of str
        ReLUs kept as float32.
    signs : frozenset of str
        ReLUs of which one bit an entry is kept, whether a cotangent passes: enough where the
        layer is not one of a loss.
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
class _Forward:
    """What the forward pass leaves: sums over the image, and feature maps for the way back."""

    grams: dict[str, Matrix] = field(default_factory=dict)
    squares: dict[str, float] = field(default_factory=dict)
    variation: float = 0.0
    outputs: list[FloatArray] = field(default_factory=list)
    kept: dict[str, Stored] = field(default_factory=dict)


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
    executor : Executor, optional
        Runs parts at the same time; its threads each compile their own graphs.
    in_flight : int
        Parts handed to the executor at a time.
    """

    def __init__(
        self,
        network: Network,
        backend: Backend,
        lowering: str,
        size: tuple[int, int],
        streaming: Streaming,
        executor: Executor | None = None,
        in_flight: int = 2,
    ) -> None:
        self.network = network
        self.size = size
        self.streaming = streaming
        self._lowering = lowering
        self._executor, self._in_flight = executor, in_flight
        self._parts = Parts(backend)
        self.segments = segments_of(network.encoder.layers)
        self._sizes = _sizes_by_layer(network, size)
        inputs = [size, *(self._sizes[segment.output.name] for segment in self.segments)]
        self._widths = [width for _, width in inputs]
        self._strips = [
            strips_of(segment, height, rows)
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
        height, width = self._sizes[layer]
        return self.network.encoder.channels(layer) * height * width

    # -- targets ---------------------------------------------------------------------------------

    def features_and_grams(
        self, image: FloatArray, features: Collection[str], grams: Collection[str]
    ) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
        """Return feature maps, (1, C, h, w), and normalised Gram matrices of an image."""
        maps: dict[str, FloatArray] = {
            name: np.empty((1, self.network.encoder.channels(name), *self._sizes[name]), np.float32)
            for name in features
        }
        sums: dict[str, Matrix] = {}
        wanted = {*features, *grams}
        value = image[0]
        for segment, strips, outputs in self._forward_segments(image):
            here = _in(segment, wanted)
            wanted -= set(here)
            more = bool(wanted)
            for strip, found in self._run_forward(
                segment,
                strips,
                value,
                features=_in(segment, features),
                grams=_in(segment, grams),
                output=more,
            ):
                for name in _in(segment, features):
                    maps[name][0, :, strip[name].owned.slice] = found[f"features.{name}"][0]
                _add_up(sums, found, "gram.")
                if more:
                    outputs[:, strip.written.slice] = found["output"][0]
            if not more:
                break
            value = outputs
        normalised = {n: (sums[n] / self.elements(n)).astype(np.float32) for n in grams}
        return maps, normalised

    # -- the two passes --------------------------------------------------------------------------

    def forward(self, image: FloatArray, targets: Arrays) -> _Forward:
        """Run the first pass: Gram matrices, content sums, and what the second pass needs."""
        keeping, network = self.streaming.keeping, self.network
        found = _Forward()
        value = image[0]
        for segment, strips, outputs in self._forward_segments(image):
            last = segment is self.segments[-1]
            kept = _in(segment, keeping.features)
            signs = _in(segment, keeping.signs)
            contents = _in(segment, network.content_layers)
            for name in (*kept, *signs):
                kind = Features if name in kept else Signs
                channels = network.encoder.channels(name)
                found.kept[name] = kind(channels, *self._sizes[name])
            for strip, result in self._run_forward(
                segment,
                strips,
                value,
                targets=targets,
                features=kept,
                signs=signs,
                contents=contents,
                grams=_in(segment, network.style_layers),
                output=not last,
                total_variation=segment.index == 0,
            ):
                _add_up(found.grams, result, "gram.")
                for name in contents:
                    square = float(result[f"content_loss.{name}"])
                    found.squares[name] = found.squares.get(name, 0.0) + square
                found.variation += float(result.get("tv_loss", 0.0))
                for name in (*kept, *signs):
                    kind_name = "features" if name in kept else "signs"
                    found.kept[name].write(strip[name].owned, result[f"{kind_name}.{name}"])
                if not last:
                    outputs[:, strip.written.slice] = result["output"][0]
            if not last:
                found.outputs.append(outputs)
                value = outputs
        return found

    def backward(
        self,
        image: FloatArray,
        forward: _Forward,
        coefficients: Arrays,
        targets: Arrays,
        gradient: FloatArray,
    ) -> None:
        """Run the second pass; write the gradient, (1, 3, H, W). Empties `forward` as it goes."""
        cotangent: FloatArray | None = None
        for segment, strips in zip(reversed(self.segments), self._strips[::-1], strict=True):
            read = forward.outputs.pop() if segment.index else image[0]
            out = gradient[0] if segment.index == 0 else np.empty_like(read)
            covered = 0
            for strip, result in self._run_backward(
                segment, strips, read, forward, cotangent, coefficients, targets
            ):
                part = result["gradient"][0]
                # Rows that strips above have reached are added to; the others are new.
                shared = max(0, covered - strip.read.start)
                out[:, strip.read.start : covered] += part[:, :shared]
                out[:, max(covered, strip.read.start) : strip.read.stop] = part[:, shared:]
                covered = strip.read.stop
            # Rows that no window reads have no gradient.
            out[:, covered:] = 0
            cotangent = out
            for layer in segment.layers:
                forward.kept.pop(layer.name, None)

    # -- one segment -----------------------------------------------------------------------------

    def _forward_segments(
        self, image: FloatArray
    ) -> Iterator[tuple[Segment, tuple[Strip, ...], FloatArray]]:
        """Yield each segment with its strips and an empty array for its output."""
        if image.shape[2:] != self.size:
            raise ValueError(f"The image is {image.shape[2:]}, not {self.size}.")
        for segment, strips in zip(self.segments, self._strips, strict=True):
            last = segment is self.segments[-1]
            channels = 0 if last else segment.output.out_channels
            yield (
                segment,
                strips,
                np.empty((channels, *self._sizes[segment.output.name]), np.float32),
            )

    def _run_forward(
        self,
        segment: Segment,
        strips: tuple[Strip, ...],
        value: FloatArray,
        *,
        targets: Arrays | None = None,
        features: tuple[str, ...] = (),
        grams: tuple[str, ...] = (),
        contents: tuple[str, ...] = (),
        signs: tuple[str, ...] = (),
        output: bool,
        total_variation: bool = False,
    ) -> Iterator[tuple[Strip, Arrays]]:
        width = self._widths[segment.index]
        asked = (features, grams, contents, signs, output, total_variation)

        def work(strip: Strip) -> dict[str, FloatArray]:
            part = self._parts.get(
                ("forward", segment.index, strip.shape, *asked),
                lambda: build_strip_forward(
                    self.network.encoder, segment, strip, width,
                    features=features, grams=grams, contents=contents, signs=signs,
                    output=output, total_variation=total_variation,
                ),
            )  # fmt: skip
            np.copyto(part.inputs["input"][0], value[:, strip.read.slice])
            _read_targets(part, strip, contents, targets or {})
            return part.run()

        return run_in_order(self._executor, self._in_flight, work, strips)

    def _run_backward(
        self,
        segment: Segment,
        strips: tuple[Strip, ...],
        value: FloatArray,
        forward: _Forward,
        cotangent: FloatArray | None,
        coefficients: Arrays,
        targets: Arrays,
    ) -> Iterator[tuple[Strip, Arrays]]:
        width = self._widths[segment.index]
        styles = _in(segment, self.network.style_layers)
        contents = _in(segment, self.network.content_layers)
        kept = _in(segment, forward.kept)

        def work(strip: Strip) -> dict[str, FloatArray]:
            part = self._parts.get(
                ("backward", segment.index, strip.shape),
                lambda: build_strip_backward(
                    self.network.encoder, segment, strip, width,
                    styles=styles, contents=contents, kept=kept,
                    cotangent=cotangent is not None, total_variation=segment.index == 0,
                    lowered_for=self._lowering,
                ),
            )  # fmt: skip
            inputs = part.inputs
            if "input" in inputs:
                np.copyto(inputs["input"][0], value[:, strip.read.slice])
            if cotangent is not None:
                np.copyto(inputs["cotangent"][0], cotangent[:, strip.written.slice])
            for name in kept:
                if f"kept.{name}" in inputs:
                    forward.kept[name].read(strip[name].rows, inputs[f"kept.{name}"])
            _read_targets(part, strip, contents, targets)
            for name, number in coefficients.items():
                if name in inputs:
                    np.copyto(inputs[name], number)
            return part.run()

        return run_in_order(self._executor, self._in_flight, work, strips)


class StreamedObjective:
    """The objective of `impasto.engine.objective.Objective`, in bounded memory.

    Parameters
    ----------
    streamed : StreamedNetwork
    targets : mapping of str to ndarray
        ``content.<layer>`` and ``style.<layer>``.
    weights : mapping of str to ndarray
        ``content_weight.<layer>``, ``style_weight.<layer>`` and ``tv_weight`` scalars.

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
        self._gradient: FloatArray = np.empty((1, 3, *streamed.size), np.float32)
        self.evaluations = 0
        self.losses: dict[str, float] = {}

    def __call__(self, image: FloatArray) -> tuple[float, FloatArray]:
        """Return the loss and its gradient at `image`, of shape (1, 3, H, W).

        The gradient array belongs to the objective: the next call overwrites it.
        """
        forward = self._streamed.forward(image, self._targets)
        losses, coefficients = self._losses_and_coefficients(forward)
        self._streamed.backward(image, forward, coefficients, self._targets, self._gradient)
        self.evaluations += 1
        self.losses = losses
        return sum(losses.values()), self._gradient

    def _losses_and_coefficients(
        self, forward: _Forward
    ) -> tuple[dict[str, float], dict[str, FloatArray]]:
        """Return the weighted terms, and S and c of `impasto.export.strip_graphs`; in float64."""
        losses: dict[str, float] = {}
        coefficients: dict[str, FloatArray] = {}
        network, weights = self._streamed.network, self._weights
        for name in network.content_layers:
            per_element = weights[f"content_weight.{name}"] / self._streamed.elements(name)
            losses[f"content_loss.{name}"] = per_element * forward.squares[name]
            coefficients[f"content_coefficient.{name}"] = np.array(2 * per_element, np.float32)
        for name in network.style_layers:
            elements = self._streamed.elements(name)
            difference = forward.grams[name] / elements - self._targets[f"style.{name}"]
            per_element = weights[f"style_weight.{name}"] / difference.size
            losses[f"style_loss.{name}"] = per_element * float(np.sum(difference**2))
            matrix = 4 * per_element / elements * difference
            coefficients[f"style_coefficient.{name}"] = matrix.astype(np.float32)
        losses["tv_loss"] = weights["tv_weight"] * forward.variation
        coefficients["tv_weight"] = np.array(weights["tv_weight"], np.float32)
        return losses, coefficients


def _sizes_by_layer(network: Network, size: tuple[int, int]) -> dict[str, tuple[int, int]]:
    sizes = {}
    height, width = size
    for layer in network.encoder.layers:
        height, width = feature_size([layer], height, width)
        sizes[layer.name] = height, width
    return sizes


def _in(segment: Segment, names: Collection[str]) -> tuple[str, ...]:
    """Return those of `names` that are layers of the segment, in its order."""
    return tuple(layer.name for layer in segment.layers if layer.name in names)


def _add_up(sums: dict[str, Matrix], found: Arrays, prefix: str) -> None:
    """Add the outputs called ``<prefix><layer>`` to the sums of their layers, in float64."""
    for name, value in found.items():
        if name.startswith(prefix):
            layer = name.removeprefix(prefix)
            if layer in sums:
                sums[layer] += value
            else:
                sums[layer] = value.astype(np.float64)


def _read_targets(part: Part, strip: Strip, contents: Collection[str], targets: Arrays) -> None:
    for name in contents:
        rows = targets[f"content.{name}"][:, :, strip[name].owned.slice]
        np.copyto(part.inputs[f"content.{name}"], rows)
