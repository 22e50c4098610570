"""What is told of a video: of each frame, and of all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from impasto.engine.options import Options
from impasto.engine.video.options import VideoOptions
from impasto.errors import CheckpointError

__all__ = ["FrameReport", "VideoResult"]


@dataclass(frozen=True)
class FrameReport:
    """What is told of a frame.

    Parameters
    ----------
    number : int
        In the video, from 1.
    name : str
        Of the file it was saved as.
    status : str
        Name of its `Status`, in lower case.
    iterations : int
    loss : float or None
        Objective of its best image; None if it is not finite.
    cut : bool
        Whether a new scene begins here.
    consistent : float or None
        Share of its pixels whose motion can be trusted; None at the first frame.
    flicker, content_flicker : float or None
        See `impasto.engine.video.flicker`; None at the first frame and at cuts.
    time : str or None
        When it is shown, in seconds, as a fraction such as ``1001/30000``.
    """

    number: int
    name: str
    status: str
    iterations: int
    loss: float | None
    cut: bool
    consistent: float | None
    flicker: float | None
    content_flicker: float | None
    time: str | None

    @staticmethod
    def from_dict(told: object) -> FrameReport:
        """Return what `dataclasses.asdict` told.

        Raises
        ------
        CheckpointError
            If it is not that.
        """
        kinds: Mapping[str, tuple[type, ...]] = {
            "number": (int,),
            "name": (str,),
            "status": (str,),
            "iterations": (int,),
            "loss": (float, int, type(None)),
            "cut": (bool,),
            "consistent": (float, int, type(None)),
            "flicker": (float, int, type(None)),
            "content_flicker": (float, int, type(None)),
            "time": (str, type(None)),
        }
        sound = (
            isinstance(told, dict)
            and told.keys() == kinds.keys()
            and all(
                isinstance(told[name], kind) and isinstance(told[name], bool) == (kind == (bool,))
                for name, kind in kinds.items()
            )
        )
        if not sound:
            raise CheckpointError(f"What is told of a frame is damaged: {told!r:.200}.")
        assert isinstance(told, dict)
        found = FrameReport(**told)
        try:
            found.shown_at  # noqa: B018
        except (ValueError, ZeroDivisionError) as error:
            raise CheckpointError(f"The time of a frame is damaged: {found.time!r:.80}.") from error
        return found

    @property
    def shown_at(self) -> Fraction | None:
        """When it is shown, in seconds."""
        return None if self.time is None else Fraction(self.time)


@dataclass(frozen=True)
class VideoResult:
    """A painted video, or as much of it as was painted before it was cancelled.

    Parameters
    ----------
    output : Path
        The file or directory.
    frames : tuple of FrameReport
        Of the frames there are, those of an earlier run included.
    frames_wanted : int
        How many there were to be.
    resumed_from : int
        Frames that an earlier run had painted.
    size : (width, height)
    model, backend, precision : str
        What was used, with every ``auto`` resolved.
    seconds : float
        Wall time of this run.
    options : Options
        With the seed that was used.
    video : VideoOptions
    """

    output: Path
    frames: Sequence[FrameReport]
    frames_wanted: int
    resumed_from: int
    size: tuple[int, int]
    model: str
    backend: str
    precision: str
    seconds: float
    options: Options
    video: VideoOptions

    @property
    def finished(self) -> bool:
        """Whether every frame was painted."""
        return len(self.frames) == self.frames_wanted

    @property
    def cuts(self) -> tuple[int, ...]:
        """Numbers of the frames at which a new scene begins."""
        return tuple(frame.number for frame in self.frames if frame.cut)

    @property
    def flicker(self) -> float | None:
        """Mean flicker of the painted frames; None where there are no two to compare."""
        return _mean([frame.flicker for frame in self.frames])

    @property
    def content_flicker(self) -> float | None:
        """Mean flicker of the content's frames."""
        return _mean([frame.content_flicker for frame in self.frames])

    def summary(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        return {
            "output": str(self.output),
            "frames_wanted": self.frames_wanted,
            "frames_done": len(self.frames),
            "resumed_from": self.resumed_from,
            "size": list(self.size),
            "model": self.model,
            "backend": self.backend,
            "precision": self.precision,
            "cuts": list(self.cuts),
            "flicker": self.flicker,
            "content_flicker": self.content_flicker,
            "seconds": round(self.seconds, 4),
            "frames": [asdict(frame) for frame in self.frames],
            "options": self.options.to_dict(),
            "video": self.video.to_dict(),
        }


def _mean(values: Sequence[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return math.fsum(found) / len(found) if found else None
