"""Frames of one video, painted one after the other; what they share is made once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from impasto.engine.autosave import Autosave
from impasto.engine.backends import open_backend
from impasto.engine.compilation import Candidate
from impasto.engine.execution import Execution, KeptGradient, OpenObjective, open_objective
from impasto.engine.first_image import recolored
from impasto.engine.images import from_network, to_network
from impasto.engine.inputs import Image, Picture
from impasto.engine.network import Network
from impasto.engine.objective import Targets, TermedObjective
from impasto.engine.options import Options
from impasto.engine.painting import Painting, Stopwatch
from impasto.engine.parts import Workers
from impasto.engine.plan import MARGIN, Plan, plan_run
from impasto.engine.preparation import Prepared, prepare
from impasto.engine.progress import Progress
from impasto.engine.result import Callback, FloatArray, Status, StylizeResult
from impasto.engine.stylize import verified_run
from impasto.engine.video.flicker import flicker_between
from impasto.engine.video.motion import Motion, motion_between
from impasto.engine.video.options import VideoOptions
from impasto.engine.video.temporal import TemporalObjective
from impasto.engine.video.warping import warp
from impasto.errors import CheckpointError
from impasto.export.lowerings import LOWERINGS

__all__ = ["Before", "FramePainter", "PaintedFrame"]

FLOAT = 4


@dataclass(frozen=True)
class Before:
    """What a frame is given of the one before: all of it fits into 8 bits, and so into files.

    Parameters
    ----------
    content : ndarray of shape (H, W, 3)
        uint8 RGB.
    painted : ndarray of shape (H, W, 3)
        uint8 RGB, before it was given back the content's colours.
    """

    content: Image
    painted: Image


@dataclass(frozen=True)
class PaintedFrame:
    """A frame.

    Parameters
    ----------
    result : StylizeResult
        Its `image` is the frame as it is to be seen.
    painted : ndarray of shape (H, W, 3)
        uint8 RGB, what the next frame begins from: without the content's colours.
    motion : Motion, optional
        Since the frame before, if there is one.
    flicker : float
        Of the painted frame against the one before; not a number where nothing is consistent,
        at the first frame, and at a cut.
    content_flicker : float
        The same of the content.
    """

    result: StylizeResult
    painted: Image
    motion: Motion | None
    flicker: float
    content_flicker: float

    @property
    def is_cut(self) -> bool:
        """Whether a new scene begins here."""
        return self.motion is not None and self.motion.is_cut


class FramePainter:
    """Paints frames of one size in one style.

    The model, the verified backend, the plans and the compiled gradient are those of the first
    frame; only the content's targets are computed for each.

    Parameters
    ----------
    first : ndarray of shape (H, W, 3)
        The video's first frame, at the size to paint. Also of a run that goes on: what is made
        from it has to be the same.
    styles : sequence of pictures
    options : Options
        Those of the first frame, and of the first one after a cut.
    video : VideoOptions
    workers : Workers, optional

    Attributes
    ----------
    prepared : Prepared
        The first frame's run; before :meth:`settle`, planned for the backend that is tried first.

    Raises
    ------
    UsageError
        As `impasto.engine.stylize.stylize`.
    """

    def __init__(
        self,
        first: Image,
        styles: Sequence[Picture],
        options: Options,
        video: VideoOptions,
        workers: Workers | None = None,
    ) -> None:
        self.prepared = prepare(first, styles, options, workers)
        self._video = video
        self._workers = workers

    def settle(self, settled: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Choose what computes the frames; to be called before the first one is painted.

        Parameters
        ----------
        settled : mapping, optional
            What this returned in the run to go on with.

        Returns
        -------
        dict
            As JSON values, what a later run needs to compute the same numbers.

        Raises
        ------
        CheckpointError
            If `settled` is damaged.
        """
        # A frame in between begins at its full size, and where `_start` says.
        between = replace(
            self.prepared.options,
            scales="1",
            iterations=self._video.next_iterations,
            init="content",
        )
        self.prepared, self._next, self._chosen = _settle(self.prepared, between, settled)
        # The next frame's targets are computed while the gradient is there.
        plan = self._next.plan.scales[-1].memory
        room = plan.base + plan.gradient + max(plan.optimizer, plan.targets)
        budget = self._next.plan.budget
        self._gradient = KeptGradient() if not budget or room <= MARGIN * budget else None
        return {
            "backend": self._chosen.backend.name,
            "precision": self._chosen.backend.precision,
            "lowering": self._chosen.lowering,
            "first": [item.execution.to_dict() for item in self.prepared.plan.scales],
            "next": [item.execution.to_dict() for item in self._next.plan.scales],
        }

    @property
    def candidate(self) -> Candidate:
        """What computes the gradient, once that is settled."""
        return self._chosen

    def paint(
        self, content: Image, before: Before | None = None, callback: Callback | None = None
    ) -> PaintedFrame:
        """Paint a frame.

        Parameters
        ----------
        content : ndarray of shape (H, W, 3)
            uint8 RGB, of the first frame's size.
        before : Before, optional
            The frame before; none makes this one the first.
        callback : callable, optional
            As for `impasto.engine.stylize.stylize`.
        """
        motion = None if before is None else motion_between(before.content, content)
        if before is None or motion is None or motion.is_cut:
            result, painted = self._run(
                self.prepared, content, Progress(), self._gradient, callback
            )
            return PaintedFrame(result, painted, motion, np.nan, np.nan)
        warped = _as_image(warp(before.painted, motion.backward))
        start = self._start(content, before, motion, warped)
        opening = self._with_temporal_loss(warped, motion)
        progress = Progress(best=start)
        result, painted = self._run(self._next, content, progress, opening, callback)
        seen_before = self._rendered(before)
        return PaintedFrame(
            result,
            painted,
            motion,
            flicker_between(seen_before, result.image, motion),
            flicker_between(before.content, content, motion),
        )

    def _run(
        self,
        prepared: Prepared,
        content: Image,
        progress: Progress,
        opening: OpenObjective | None,
        callback: Callback | None,
    ) -> tuple[StylizeResult, Image]:
        painting = self._painting(prepared, content, opening, callback)
        result = painting.run(progress)
        if painting.painted is None or result.status is Status.CANCELLED:
            return result, result.image  # not at its full size, perhaps; nobody goes on from it
        return result, from_network(painting.painted)

    def _painting(
        self,
        prepared: Prepared,
        content: Image,
        opening: OpenObjective | None,
        callback: Callback | None,
    ) -> Painting:
        inputs = replace(prepared.inputs, photo=content)
        return Painting(
            replace(prepared, content=content, inputs=inputs),
            self._chosen,
            {},
            callback,
            Autosave(None),
            Stopwatch(),
            self._workers,
            opening,
        )

    def _start(
        self, content: Image, before: Before, motion: Motion, warped: FloatArray
    ) -> FloatArray:
        """Return the image a next frame begins from, of shape (1, 3, H, W)."""
        if self._video.next_init == "previous":
            return to_network(before.painted)
        own = self._own_start(content)
        return own if self._video.next_init == "content" else np.where(motion.visible, warped, own)

    def _own_start(self, content: Image) -> FloatArray:
        """Return a frame as one begins from it: in the styles' colours if the first one is."""
        options = self.prepared.options
        if options.init != "recolored":
            return to_network(content)
        inputs = replace(self.prepared.inputs, photo=content)
        return to_network(recolored(inputs, content.shape[:2], options))

    def _with_temporal_loss(self, warped: FloatArray, motion: Motion) -> OpenObjective | None:
        weight = self._video.temporal_weight
        if weight == 0:
            return self._gradient
        open_plain: OpenObjective = self._gradient or open_objective

        def opening(
            execution: Execution,
            chosen: Candidate,
            network: Network,
            size: tuple[int, int],
            targets: Targets,
            weights: Mapping[str, FloatArray],
            workers: Workers | None = None,
        ) -> TermedObjective:
            plain = open_plain(execution, chosen, network, size, targets, weights, workers)
            return TemporalObjective(plain, warped, motion.consistent, weight)

        return opening

    def _rendered(self, before: Before) -> Image:
        """Return the frame before as it was seen."""
        painting = self._painting(self._next, before.content, None, None)
        return painting.render(to_network(before.painted), before.content)


def _as_image(picture: FloatArray) -> FloatArray:
    """Return a float32 picture of shape (H, W, 3) as the network takes it, (1, 3, H, W)."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1))[np.newaxis]


def _settle(
    first: Prepared, between: Options, settled: Mapping[str, Any] | None
) -> tuple[Prepared, Prepared, Candidate]:
    """Return the runs of the first and of a next frame, and what computes both."""
    if settled is not None:
        return _settled_again(first, between, settled)
    while True:
        following = _following(first, between)
        scales = (*first.plan.scales, *following.plan.scales)
        both = replace(first, plan=Plan(scales, first.plan.budget))
        checked, chosen = verified_run(both)  # in every form that either of them has
        if checked is both:
            return first, following, chosen
        first = first.replanned(checked.request.backend)


def _following(prepared: Prepared, between: Options) -> Prepared:
    height, width, _ = prepared.inputs.content.shape
    # ω and c of the temporal loss, and the frame before: content and painted.
    more = height * width * (3 * FLOAT + 1 + 6)
    request = replace(prepared.request, options=between, base=prepared.request.base + more)
    return replace(prepared, options=between, request=request, plan=plan_run(request))


def _settled_again(
    first: Prepared, between: Options, settled: Mapping[str, Any]
) -> tuple[Prepared, Prepared, Candidate]:
    lowering, precision = settled.get("lowering"), settled.get("precision")
    if lowering not in LOWERINGS or precision not in ("f32", "bf16"):
        raise CheckpointError(f"The run's backend is damaged: {dict(settled)!r:.200}.")
    options = first.options
    backend = open_backend(
        str(settled.get("backend")),
        precision,
        options.threads,
        options.device,
        options.cudnn_autotune,
    )
    again = (
        _planned_again(first, settled.get("first")),
        _planned_again(_following(first, between), settled.get("next")),
    )
    return *again, Candidate(backend, str(lowering))


def _planned_again(prepared: Prepared, told: object) -> Prepared:
    """Cut as before, whatever memory is free today: other strips round otherwise."""
    scales = prepared.plan.scales
    if not isinstance(told, list) or len(told) != len(scales):
        raise CheckpointError("The run's executions are damaged.")
    found = tuple(
        replace(plan, execution=Execution.from_dict(each, prepared.network))
        for plan, each in zip(scales, told, strict=True)
    )
    return replace(prepared, plan=Plan(found, prepared.plan.budget))
