"""The driver: from a video and paintings to a painted video, frame by frame."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from impasto.engine.images import fit, save_image
from impasto.engine.inputs import Image, Picture
from impasto.engine.options import INITS, Options
from impasto.engine.output_formats import Metadata
from impasto.engine.parts import Workers
from impasto.engine.result import Iterate, Status
from impasto.engine.resumption import digests_of
from impasto.engine.video.flow import check_flow
from impasto.engine.video.opening import check_writer, encode, open_source
from impasto.engine.video.options import VideoOptions
from impasto.engine.video.painter import Before, FramePainter, PaintedFrame
from impasto.engine.video.report import FrameReport, VideoResult
from impasto.engine.video.source import Frame, Source
from impasto.engine.video.state import VideoState
from impasto.engine.video.target import check_target, frame_name, is_file_target
from impasto.errors import OutputPathError, VideoFileError

__all__ = ["FrameStep", "VideoCallback", "state_directory", "stylize_video"]

UNRELATED = ("print_every", "save_every", "checkpoint", "memory", "threads", "max_pixels")
"""Options that may change between a run and the one that goes on with it."""


@dataclass(frozen=True)
class FrameStep:
    """State after one optimizer step, given to callbacks.

    Parameters
    ----------
    frame, frames : int
        Which frame of those to be painted, from 1, and how many they are.
    iterate : Iterate
        The step.
    """

    frame: int
    frames: int
    iterate: Iterate


VideoCallback = Callable[[FrameStep], bool | None]
"""Called after every step; returning ``False`` ends the run: the frame under way is lost, those
done stay."""


def stylize_video(
    source: Path | str,
    styles: Sequence[Picture],
    output: Path | str,
    options: Options | None = None,
    video: VideoOptions | None = None,
    *,
    overwrite: bool = False,
    callback: VideoCallback | None = None,
    on_frame: Callable[[FrameReport], None] | None = None,
    workers: Workers | None = None,
    metadata: Metadata | None = None,
) -> VideoResult:
    """Paint a video in the style of paintings, each frame begun from the one before.

    Parameters
    ----------
    source : path
        A directory of pictures, one a frame, in natural order and of one size; an animated GIF,
        WebP or PNG; or a video file (mp4, mov, mkv, webm, avi).
    styles : sequence of ndarray or path
        As for :func:`~impasto.engine.stylize.stylize`.
    output : path
        A directory: made if it is not there, frames keep their names. Or a .mp4, .mov, .mkv,
        .webm, .gif, .webp or .apng file, which is written when all frames are done.
    options : Options, optional
        Of the first frame, and of the first one of every scene; the others have
        `video.next_iterations` steps at one scale.
    video : VideoOptions, optional
    overwrite : bool
        Whether files may be replaced, and what an earlier run has left is forgotten.
    callback : callable, optional
        Given a :class:`FrameStep` after every optimizer step.
    on_frame : callable, optional
        Given the :class:`~impasto.engine.video.report.FrameReport` of every frame that is done.
    workers : Workers, optional
    metadata : mapping of str to str, optional
        For the frames' files.

    Returns
    -------
    VideoResult
        Unfinished if it was cancelled, by the callback or Ctrl-C.

    Raises
    ------
    UsageError
        If something cannot be used, or the memory does not suffice; nothing has been computed.
    ImpastoError
        If a runtime fails, or a frame cannot be written; frames done stay.

    Notes
    -----
    Ruder et al. (2016), sections 4.1 and 4.2: a frame begins from the painted frame before, moved
    by the optical flow of the content, and a loss holds it there where the flow can be trusted.
    Unlike there, the content takes the place of what the frame before does not show, and a frame
    of another scene is begun like the first one. Long-term consistency and several passes
    (sections 4.3 and 4.4) are not implemented.

    What a frame is given of the one before is 8-bit pictures, in files: a run that was stopped and
    called again goes on at the next frame, and, on ONNX Runtime in float32 on the same machine,
    to the same files bit for bit. `OUTPUT.video` holds what that takes until all is done.
    """
    began = time.perf_counter()
    options, video, output = options or Options(), video or VideoOptions(), Path(output)
    check_flow()
    check_writer(output)
    run = _Run(open_source(Path(source), video, options.max_pixels), output, options, video)
    first = run.first_frame()
    painter = FramePainter(first, styles, _settled_seed(options, output, overwrite), video, workers)
    asked = run.asked(painter)
    with VideoState(state_directory(output), asked, anew=overwrite) as state:
        done = len(state.reports)
        run.check_output(state, first, overwrite, styles)
        state.settle(painter.settle(state.settled or None))
        with suppress(KeyboardInterrupt):
            for frame, painted in run.painted(painter, state, callback):
                run.save(frame, painted, metadata or {}, state)
                if on_frame is not None:
                    on_frame(state.reports[-1])
        result = VideoResult(
            output=output,
            frames=tuple(state.reports),
            frames_wanted=len(run.numbers),
            resumed_from=done,
            size=(first.shape[1], first.shape[0]),
            model=options.model,
            backend=painter.candidate.backend.name,
            precision=painter.candidate.backend.precision,
            seconds=time.perf_counter() - began,
            options=painter.prepared.options,
            video=video,
        )
        if result.finished:
            if is_file_target(output):
                encode(state.frames, result, run.source, metadata or {})
            state.finish()
    return replace(result, seconds=time.perf_counter() - began)


def state_directory(output: Path) -> Path:
    """Return where a run keeps what it needs to go on."""
    if output.name in ("", ".."):  # of "." and the like
        output = Path(os.path.abspath(output))
        if not output.name:
            raise OutputPathError(f"Output {output} is no place for frames; give a directory.")
    return output.with_name(output.name + ".video")


class _Run:
    """What is to be painted, and how far it is."""

    def __init__(self, source: Source, output: Path, options: Options, video: VideoOptions) -> None:
        self.source = source
        self._output = output
        self._options = options
        self._video = video
        chosen = video.slice_of(source.path, source.count)
        self.numbers = range(chosen.start + 1, chosen.stop + 1)

    def first_frame(self) -> Image:
        """Return the first frame at the size to paint."""
        for frame in self.source.frames(self.numbers.start):
            return self._fitted(frame)
        raise VideoFileError(f"{self.source.path} ends before frame {self.numbers.start}.")

    def asked(self, painter: FramePainter) -> dict[str, Any]:
        """Return what has to stay the same for a run to go on."""
        options = painter.prepared.options.to_dict()
        video = self._video.to_dict()
        return {
            "options": {name: options[name] for name in options if name not in UNRELATED},
            "video": {name: video[name] for name in video if name not in ("max_frames", "frames")},
            "source": str(self.source.path.resolve()),
            "pictures": digests_of(painter.prepared.inputs),
        }

    def check_output(
        self, state: VideoState, first: Image, overwrite: bool, styles: Sequence[Picture]
    ) -> None:
        """Refuse an output that could not, or should not, be written."""
        # The frame after the last one done may be there: its file is written before it is noted.
        known = len(state.reports) + bool(state.settled)
        names = map(self.source.name_of, self.numbers[known:])
        height, width, _ = first.shape
        files = [style for style in styles if isinstance(style, str | os.PathLike)]
        if self._options.init not in INITS:
            files.append(self._options.init)
        check_target(
            self._output,
            self.source.path,
            names,
            (height, width),
            overwrite=overwrite,
            inputs=[Path(file) for file in files],
        )

    def painted(
        self, painter: FramePainter, state: VideoState, callback: VideoCallback | None
    ) -> Iterator[tuple[Frame, PaintedFrame]]:
        """Paint what is left to do; end early if that is called off."""
        before: Before | None = None
        done = len(state.reports)
        if done == len(self.numbers):
            return
        for frame in self.source.frames(self.numbers.start + max(0, done - 1)):
            if frame.number >= self.numbers.stop:
                return
            content = self._fitted(frame)
            if frame.number < self.numbers.start + done:
                before = Before(content, state.carried(self._options.max_pixels, content.shape))
                continue
            index = frame.number - self.numbers.start + 1
            painted = painter.paint(content, before, self._watched(callback, index))
            if painted.result.status is Status.CANCELLED:
                return
            yield frame, painted
            before = Before(content, painted.painted)
        if len(state.reports) < len(self.numbers):
            # Damaged at its end, or its head counts frames that are not there.
            self.numbers = self.numbers[: len(state.reports)]

    def save(
        self, frame: Frame, painted: PaintedFrame, metadata: Metadata, state: VideoState
    ) -> None:
        """Write a frame, and note that it is done."""
        directory, name = self._output, frame_name(frame.name)
        if is_file_target(self._output):
            directory, name = state.frames, f"{frame.number:06}.png"
        directory.mkdir(exist_ok=True)
        save_image(painted.result.image, directory / name, metadata=metadata)
        state.commit(_report(frame, name, painted), painted.painted)

    def _fitted(self, frame: Frame) -> Image:
        return fit(frame.picture, self._options.size)

    def _watched(
        self, callback: VideoCallback | None, index: int
    ) -> Callable[[Iterate], bool | None] | None:
        if callback is None:
            return None
        return lambda iterate: callback(FrameStep(index, len(self.numbers), iterate))


def _settled_seed(options: Options, output: Path, overwrite: bool) -> Options:
    """Take the seed that an earlier run has drawn, if it is to go on and none is given."""
    if options.seed >= 0 or overwrite:
        return options
    return replace(options, seed=VideoState.recorded_seed(state_directory(output)))


def _report(frame: Frame, name: str, painted: PaintedFrame) -> FrameReport:
    result = painted.result
    return FrameReport(
        number=frame.number,
        name=name,
        status=result.status.name.lower(),
        iterations=result.iterations,
        loss=_finite(result.loss),
        cut=painted.is_cut,
        consistent=None if painted.motion is None else painted.motion.share,
        flicker=_finite(painted.flicker),
        content_flicker=_finite(painted.content_flicker),
        time=None if frame.time is None else str(frame.time),
    )


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
