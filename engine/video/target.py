"""Where a painted video goes: a directory of frames, or a file to be encoded when all are done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from impasto.engine.images import OUTPUT_SUFFIXES, check_output_size
from impasto.engine.outputs import check_output_file
from impasto.errors import OutputPathError

__all__ = ["ANIMATION_SUFFIXES", "MOVIE_SUFFIXES", "check_target", "frame_name", "is_file_target"]

MOVIE_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm")
"""Suffixes of what PyAV encodes."""

ANIMATION_SUFFIXES = (".gif", ".webp", ".apng")
"""Suffixes of what Pillow encodes."""


def is_file_target(path: Path) -> bool:
    """Return whether a video is to be written to one file, by the path.

    Raises
    ------
    OutputPathError
        If the suffix is none of a video's.
    """
    if path.is_dir() or not path.suffix:
        return False
    if path.suffix.lower() not in (*MOVIE_SUFFIXES, *ANIMATION_SUFFIXES):
        raise OutputPathError(
            f"Output {path} has the suffix {path.suffix!r}; use one of "
            f"{' '.join((*MOVIE_SUFFIXES, *ANIMATION_SUFFIXES))}, or a name without a suffix for a "
            "directory of frames."
        )
    return True


def frame_name(name: str) -> str:
    """Return the name a frame is saved under in a directory: its own, if that can be written."""
    path = Path(name)
    return name if path.suffix.lower() in OUTPUT_SUFFIXES else f"{path.stem}.png"


def check_target(
    output: Path,
    source: Path,
    names: Iterable[str],
    size: tuple[int, int],
    *,
    overwrite: bool,
    inputs: Sequence[Path] = (),
) -> None:
    """Refuse an output that could not, or should not, be written.

    Parameters
    ----------
    output, source : Path
    names : iterable of str
        Files that are going to be written, where `output` is a directory.
    size : (height, width)
        Of the frames.
    overwrite : bool
    inputs : sequence of Path
        Other files that are read.

    Raises
    ------
    OutputPathError
    """
    if is_file_target(output):
        check_output_file(output, overwrite, [source, *inputs])
        return
    if output.exists() and not output.is_dir():
        raise OutputPathError(f"Output {output} is no directory.")
    if output.is_dir() and source.is_dir() and output.samefile(source):
        raise OutputPathError(f"Output {output} is the directory of the frames; give another one.")
    height, width = size
    seen: dict[str, str] = {}
    for name in names:
        target = frame_name(name)
        if target in seen:
            raise OutputPathError(
                f"{seen[target]} and {name} would both be saved as {target}; rename one of them."
            )
        seen[target] = name
    for target in seen:
        check_output_size(target, width, height)
        if output.is_dir():
            check_output_file(output / target, overwrite, [source, *inputs])
