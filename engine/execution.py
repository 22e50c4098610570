"""How one scale is computed: in one piece or in strips, with how much optimizer history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from impasto.engine.backends.base import FloatArray
from impasto.engine.compilation import Candidate, compile_gradient
from impasto.engine.network import Network
from impasto.engine.objective import Objective, Targets, blended, targets_of
from impasto.engine.parts import Workers
from impasto.engine.streamed_objective import StreamedObjective
from impasto.engine.streaming import Keeping, StreamedNetwork, Streaming
from impasto.errors import CheckpointError
from impasto.export.gradient import build_feature_graph
from impasto.export.strips import segments_of

__all__ = ["Execution", "open_objective", "targets_for"]

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
    if execution.streaming is None:
        return Objective(compile_gradient(chosen, network, size), targets, weights)
    streamed = StreamedNetwork(
        network, chosen.backend, chosen.lowering, size, execution.streaming, workers
    )
    return StreamedObjective(streamed, targets, weights)


def targets_for(
    execution: Execution,
    chosen: Candidate,
    network: Network,
    content: FloatArray,
    styles: Sequence[FloatArray],
    blend_weights: Sequence[float],
    workers: Workers | None = None,
) -> dict[str, FloatArray]:
    """Return the targets of one scale; see `impasto.engine.objective.targets_of`.

    Whatever they are computed with is dropped before the gradient graph is made.
    """
    streaming = execution.streaming
    if streaming is None:
        model = build_feature_graph(network.encoder, network.content_layers, network.style_layers)
        graph = chosen.backend.compile(model)
        return targets_of(graph, network, content, styles, blend_weights)

    def streamed(image: FloatArray) -> StreamedNetwork:
        height, width = image.shape[2:]
        return StreamedNetwork(
            network, chosen.backend, chosen.lowering, (height, width), streaming, workers
        )

    maps, _ = streamed(content).features_and_grams(content, network.content_layers, ())
    targets = {f"content.{name}": value for name, value in maps.items()}
    grams = [
        streamed(style).features_and_grams(style, (), network.style_layers)[1] for style in styles
    ]
    return {**targets, **blended(grams, network.style_layers, blend_weights)}
