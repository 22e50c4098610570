"""The options of a video, beside those of every picture."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from impasto.engine.options import option
from impasto.errors import OptionError, UnknownNameError

__all__ = ["VIDEO", "NextInit", "VideoOptions"]

NextInit = Literal["warped", "previous", "content"]

VIDEO = "Video"


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """Options of a video; those of its frames are `Options`. Checked when the object is made.

    Each field's help text is in its `metadata`, as those of `Options`.

    Raises
    ------
    OptionError
        If a value is out of range.
    UnknownNameError
        If a choice is not one of its list.
    """

    temporal_weight: float = option(10000.0, "Weight of the temporal loss; 0 is none.", group=VIDEO)
    next_iterations: int = option(
        60, "Optimizer steps of every frame but the first, which has --iterations.", group=VIDEO
    )
    next_init: NextInit = option(
        "warped",
        "What every next frame begins from: the previous one moved by the optical flow, the "
        "previous one as it is, or the content.",
        choices=get_args(NextInit),
        group=VIDEO,
    )
    start: int = option(1, "First frame to paint, counted from 1.", group=VIDEO)
    frames: int = option(0, "Frames to paint; 0 is all there are.", group=VIDEO)
    max_frames: int = option(
        3000, "Most frames accepted; longer videos need --frames.", group=VIDEO
    )
    fps: float = option(
        25.0, "Frames a second of what is written from a directory of frames.", group=VIDEO
    )

    def __post_init__(self) -> None:
        for item in fields(self):
            value, choices = getattr(self, item.name), item.metadata["choices"]
            if choices and value not in choices:
                raise UnknownNameError(_flag(item.name), str(value), choices)
            kind: Any = float | int if isinstance(item.default, float) else type(item.default)
            if not isinstance(value, kind) or isinstance(value, bool):
                raise OptionError(
                    f"{_flag(item.name)} is {value!r}, a {type(value).__name__}; it takes a value "
                    f"such as {item.default!r}."
                )
        for name, (low, high) in {
            "temporal_weight": (0.0, 1e30),
            "next_iterations": (1, 10**9),
            "start": (1, 10**9),
            "frames": (0, 10**9),
            "max_frames": (1, 10**9),
            "fps": (0.01, 1000.0),
        }.items():
            value = getattr(self, name)
            if not low <= value <= high:  # NaN is not, either
                raise OptionError(
                    f"{_flag(name)} is {value}; it takes a number from {low:g} to {high:g}."
                )

    def slice_of(self, path: Path, count: int) -> slice:
        """Return which of `count` frames are to be painted, counted from 0.

        Parameters
        ----------
        path : Path
            Of the video, for messages.
        count : int
            How many frames there are, or one more than is accepted.

        Raises
        ------
        OptionError
            If there are none, or more than `max_frames`.
        """
        first = self.start - 1
        chosen = min(self.frames or count, count - first)
        if chosen < 1:
            raise OptionError(f"--start is {self.start}, and {path} has {count} frames.")
        if chosen > self.max_frames:
            raise OptionError(
                f"{path}: more than {self.max_frames:,} frames would be painted. Choose some with "
                "--start and --frames, or accept more with --max-frames."
            )
        return slice(first, first + chosen)

    def to_dict(self) -> dict[str, Any]:
        """Return the options as plain JSON values."""
        return asdict(self)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
