"""How one scale is computed: in one piece or in strips, with how much optimizer history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from impasto.engine.backends.base import CompiledGraph, FloatArray
from impasto.engine.compilation import Candidate, compile_gradient
from impasto.engine.network import Network
from impasto.engine.objective import (
    Blend,
    Objective,
    Targets,
    TermedObjective,
    blended,
    contents_of,
    grams_of,
)
from impasto.engine.parts import Workers
from impasto.engine.streamed_objective import StreamedObjective
from impasto.engine.streaming import Keeping, StreamedNetwork, Streaming
from impasto.engine.style_targets import mean_layers
from impasto.engine.target_cache import TargetCache, grams_of_styles
from impasto.errors import CheckpointError
from impasto.export.gradient import light_feature_graph
from impasto.export.strips import segments_of

__all__ = ["Execution", "KeptGradient", "OpenObjective", "open_objective", "targets_for"]

Size = tuple[int, int]


@dataclass(frozen=True)
class Execution:
    """How one scale is computed. The picture is the same, up to rounding.

    Parameters
    ----------
    streaming : Streaming, optional
        How the gradient is cut into strips; None computes it in one piece.
    parts : int
        Parts of one pass; 1 for one piece.
    history : int
        Pairs L-BFGS remembers.
    on_disk : bool
        Whether it remembers them in a file.
    reduced : bool
        Whether those are fewer than the options ask for.
    """

    streaming: Streaming | None
    parts: int
    history: int
    on_disk: bool = False
    reduced: bool = False

    @property
    def mode(self) -> Literal["whole", "tiled"]:
        """``whole`` or ``tiled``."""
        return "whole" if self.streaming is None else "tiled"

    @property
    def is_plain(self) -> bool:
        """Whether it is in one piece, with all pairs asked for in memory."""
        return self.streaming is None and not (self.on_disk or self.reduced)

    @property
    def part_size(self) -> int | None:
        """Most rows of the picture a part owns; None for one piece."""
        return None if self.streaming is None else self.streaming.rows[0]

    @property
    def keeping(self) -> Keeping | None:
        """What a tiled gradient keeps between its passes; None for one piece."""
        return None if self.streaming is None else self.streaming.keeping

    def report(self) -> dict[str, Any]:
        """Return what ``--json`` tells."""
        return {
            "mode": self.mode,
            "parts": self.parts,
            "part_size": self.part_size,
            "history": self.history,
            "history_on_disk": self.on_disk,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values, for :meth:`from_dict`."""
        cut = self.streaming
        return {
            "rows": None if cut is None else list(cut.rows),
            "features": [] if cut is None else sorted(cut.keeping.features),
            "signs": [] if cut is None else sorted(cut.keeping.signs),
            "parts": self.parts,
            "history": self.history,
            "on_disk": self.on_disk,
        }

    @staticmethod
    def from_dict(told: Mapping[str, Any], network: Network) -> Execution:
        """Return what :meth:`to_dict` told.

        Raises
        ------
        CheckpointError
            If it is not that, or of another network.
        """
        relus = {layer.name for layer in network.encoder.layers if layer.kind == "relu"}
        segments = len(segments_of(network.encoder.layers))
        try:
            rows, parts, history = told["rows"], told["parts"], told["history"]
            keeping = Keeping(frozenset(told["features"]), frozenset(told["signs"]))
            numbers = [*(rows or []), parts, history]
            sound = (
                all(type(number) is int and 0 < number < 2**31 for number in numbers)
                and (rows is None or len(rows) == segments)
                and keeping.features | keeping.signs <= relus
                and type(told["on_disk"]) is bool
            )
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"The checkpoint's execution is damaged ({error}).") from error
        if not sound:
            raise CheckpointError(f"The checkpoint's execution is damaged: {dict(told)}.")
        streaming = None if rows is None else Streaming(tuple(rows), keeping)
        return Execution(streaming, parts, history, told["on_disk"])


class OpenObjective(Protocol):
    """What :func:`open_objective` does, in one way or another."""

    def __call__(
        self,
        execution: Execution,
        chosen: Candidate,
        network: Network,
        size: Size,
        targets: Targets,
        weights: Mapping[str, FloatArray],
        workers: Workers | None = None,
    ) -> TermedObjective:
        """Return the objective at images of `size`."""


def open_objective(
    execution: Execution,
    chosen: Candidate,
    network: Network,
    size: Size,
    targets: Targets,
    weights: Mapping[str, FloatArray],
    workers: Workers | None = None,
) -> Objective | StreamedObjective:
    """Return the objective at images of `size`, compiled as far as it is at once."""
    gradient = _gradient(execution, chosen, network, size, workers)
    return _objective(gradient, targets, weights)


class KeptGradient:
    """An :class:`OpenObjective` for many pictures of one size: what is compiled stays.

    It serves one objective at a time; opening the next one spoils the one before.
    """

    def __init__(self) -> None:
        self._kept: CompiledGraph | StreamedNetwork | None = None
        self._kept_for: tuple[Candidate, Network, Size, Streaming | None] | None = None

    def __call__(
        self,
        execution: Execution,
        chosen: Candidate,
        network: Network,
        size: Size,
        targets: Targets,
        weights: Mapping[str, FloatArray],
        workers: Workers | None = None,
    ) -> Objective | StreamedObjective:
        """Return the objective at images of `size`, compiled if the last one was another."""
        if self._kept is None or not self._serves(execution, chosen, network, size):
            self._kept = None  # before the next one takes memory
            self._kept = _gradient(execution, chosen, network, size, workers)
            self._kept_for = chosen, network, size, execution.streaming
        return _objective(self._kept, targets, weights)

    def release(self) -> None:
        """Give back the memory a compiled graph works in, until the next objective is opened."""
        if self._kept is not None and not isinstance(self._kept, StreamedNetwork):
            self._kept.release()

    def _serves(
        self, execution: Execution, chosen: Candidate, network: Network, size: Size
    ) -> bool:
        if self._kept_for is None:
            return False
        same_chosen, same_network, *rest = self._kept_for
        same = chosen is same_chosen and network.computes_as(same_network)
        return same and rest == [size, execution.streaming]


def _gradient(
    execution: Execution,
    chosen: Candidate,
    network: Network,
    size: Size,
    workers: Workers | None,
) -> CompiledGraph | StreamedNetwork:
    if execution.streaming is None:
        return compile_gradient(chosen, network, size)
    return StreamedNetwork(
        network, chosen.backend, chosen.lowering, size, execution.streaming, workers
    )


def _objective(
    gradient: CompiledGraph | StreamedNetwork,
    targets: Targets,
    weights: Mapping[str, FloatArray],
) -> Objective | StreamedObjective:
    if isinstance(gradient, StreamedNetwork):
        return StreamedObjective(gradient, targets, weights)
    return Objective(gradient, targets, weights)


def targets_for(
    execution: Execution,
    chosen: Candidate,
    network: Network,
    content: FloatArray | None,
    styles: Sequence[FloatArray],
    blend_weights: Blend,
    workers: Workers | None = None,
    cache: TargetCache | None = None,
    style_guides: Sequence[Targets] = (),
) -> dict[str, FloatArray]:
    """Return the targets of one scale; see `impasto.engine.objective.targets_of`.

    A network without content layers needs no content. `style_guides` has ``guide.<layer>`` for each
    style, if the network's guides say that styles have some.

    Whatever they are computed with is dropped before the gradient graph is made. The content's
    and the styles' have graphs of their own, so that the content's are the same numbers whether or
    not the styles' are in `cache`.
    """
    streaming = execution.streaming
    if streaming is None:
        compute: _Whole | _InStrips = _Whole(chosen, network)
        form: tuple[object, ...] = ("whole",)
    else:
        compute = _InStrips(chosen, network, streaming, workers)
        form = ("strips", streaming.rows, chosen.lowering)
    targets: dict[str, FloatArray] = {}
    if network.content_layers:
        if content is None:
            raise ValueError(f"There is no content for {', '.join(network.content_layers)}.")
        targets = compute.contents(content)
    if not network.style_layers:
        return targets
    guides = style_guides or [{}] * len(styles)
    grams = grams_of_styles(cache, chosen.backend, network, form, styles, guides, compute.grams)
    return {**targets, **blended(network, grams, blend_weights)}


class _Whole:
    """Computes targets in one piece."""

    def __init__(self, chosen: Candidate, network: Network) -> None:
        self._backend = chosen.backend
        self._network = network
        self._style_graph: CompiledGraph | None = None

    def contents(self, picture: FloatArray) -> dict[str, FloatArray]:
        """Return ``content.<layer>``."""
        network = self._network
        # The model, which holds the weights, is not kept under a name.
        graph = self._backend.compile(light_feature_graph(network.encoder, network.content_layers))
        return contents_of(graph, network, picture)

    def grams(self, picture: FloatArray, guides: Targets) -> dict[str, FloatArray]:
        """Return `style_targets.raw_shapes` of a picture; the first compiles their graph."""
        network = self._network
        if self._style_graph is None:
            self._style_graph = self._backend.compile(
                light_feature_graph(
                    network.encoder,
                    grams=network.style_layers,
                    means=mean_layers(network),
                    guided=network.guides.styles,
                )
            )
        return grams_of(self._style_graph, network, picture, guides)


class _InStrips:
    """Computes targets in strips, as the gradient will be."""

    def __init__(
        self, chosen: Candidate, network: Network, streaming: Streaming, workers: Workers | None
    ) -> None:
        self._chosen = chosen
        self._network = network
        self._streaming = streaming
        self._workers = workers

    def contents(self, picture: FloatArray) -> dict[str, FloatArray]:
        """Return ``content.<layer>``."""
        layers = self._network.content_layers
        maps, _ = self._streamed(picture).features_and_grams(picture, layers, ())
        return {f"content.{name}": value for name, value in maps.items()}

    def grams(self, picture: FloatArray, guides: Targets) -> dict[str, FloatArray]:
        """Return `style_targets.raw_shapes` of a picture."""
        layers, means = self._network.style_layers, mean_layers(self._network)
        return self._streamed(picture).features_and_grams(picture, (), layers, means, guides)[1]

    def _streamed(self, picture: FloatArray) -> StreamedNetwork:
        height, width = picture.shape[2:]
        backend, lowering = self._chosen.backend, self._chosen.lowering
        # A picture that ends at its borders, also where the image is a torus.
        return StreamedNetwork(
            self._network.flat, backend, lowering, (height, width), self._streaming, self._workers
        )
