"""``-``: a picture from standard input, or to standard output.

Both go through a file in a private directory, so that all that is done with files (formats, limits,
alpha, metadata, and keeping a picture that cannot be delivered) is the same.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from impasto.cli.messages import say
from impasto.engine.options import Options
from impasto.errors import (
    ImageFileError,
    ImpastoError,
    OptionError,
    OutputPathError,
    UnknownNameError,
)

__all__ = ["STANDARD", "Outlet", "check_streams", "with_standard_input"]

STANDARD = Path("-")

BYTES_A_PIXEL = 8
SPARE_BYTES = 16 * 2**20
"""Most that is read: 16 bits of four channels a pixel, not compressed, and some metadata."""

CHUNK = 2**20


def check_streams(
    inputs: Sequence[Path], output: Path, options: Options, as_json: bool, suffix: str | None
) -> None:
    """Refuse what does not go together with ``-``, before anything is read.

    Parameters
    ----------
    inputs : sequence of Path
        Content and styles.
    output : Path
    options : Options
    as_json : bool
    suffix : str, optional
        What ``--format`` says.

    Raises
    ------
    UsageError
    """
    count = list(inputs).count(STANDARD)
    if count > 1:
        raise OptionError(
            f"- is given {count} times, and standard input is one picture; give files for the rest."
        )
    if suffix is not None and output != STANDARD:
        raise OptionError("--format is for -o -; elsewhere the suffix of the file says it.")
    if suffix is not None:
        from impasto.engine.output_formats import OUTPUT_SUFFIXES

        if f".{suffix}" not in OUTPUT_SUFFIXES:
            raise UnknownNameError("--format", suffix, [each[1:] for each in OUTPUT_SUFFIXES])
    if (count or output == STANDARD) and options.checkpoint not in ("auto", "off"):
        raise OptionError(
            "A run with - has no checkpoint: what came through standard input cannot be read again "
            "by `impasto resume`, nor what goes to standard output be written. Give files."
        )
    if count and (sys.stdin is None or sys.stdin.isatty()):
        raise OptionError(
            "- reads a picture from standard input, which is a terminal. Send one: impasto paint - "
            "painting.jpg -o out.png < photo.jpg"
        )
    if output != STANDARD:
        return
    if as_json:
        raise OptionError("--json and the picture would both go to standard output; give -o FILE.")
    if options.save_every:
        raise OptionError("--save-every names its pictures after that of -o; give -o FILE.")
    if sys.stdout is None or sys.stdout.isatty():
        raise OutputPathError(
            "-o - writes the picture to standard output, which is a terminal. Send it on: impasto "
            "paint photo.jpg painting.jpg -o - > out.png"
        )


@contextlib.contextmanager
def with_standard_input(pictures: Sequence[Path], max_pixels: int) -> Iterator[list[Path]]:
    """Give ``-`` a file as long as the block runs, and call it standard input in errors.

    Parameters
    ----------
    pictures : sequence of Path
    max_pixels : int
        Most pixels of it; so many bytes are read at most as they may take.

    Yields
    ------
    list of Path
        `pictures`, with the file in the place of ``-``.

    Raises
    ------
    ImageFileError
        If more comes.
    """
    if STANDARD not in pictures:
        yield list(pictures)
        return
    with tempfile.TemporaryDirectory(prefix="impasto-") as directory:
        path = Path(directory) / "standard-input"
        with path.open("xb") as file:
            _copy_input(sys.stdin.buffer, file, BYTES_A_PIXEL * max_pixels + SPARE_BYTES)
        try:
            yield [path if each == STANDARD else each for each in pictures]
        except ImpastoError as error:
            error.args = (str(error).replace(str(path), "standard input"),)
            raise


class Outlet:
    """Where a picture goes: its own file, or one that is copied to standard output.

    Parameters
    ----------
    output : Path
    suffix : str, optional
        Format for standard output, such as ``png``, which is the default.

    Attributes
    ----------
    path : Path
        The file to save the picture in.
    is_standard : bool
        Whether it goes to standard output.
    """

    def __init__(self, output: Path, suffix: str | None = None) -> None:
        self.is_standard = output == STANDARD
        self._directory: Path | None = None
        self.path = output
        if self.is_standard:
            self._directory = Path(tempfile.mkdtemp(prefix="impasto-"))
            self.path = self._directory / f"picture.{suffix or 'png'}"

    def deliver(self) -> None:
        """Copy the picture to standard output, and remove the file.

        Raises
        ------
        ImpastoError
            If nobody reads it any more. The file stays, and the error says where.
        KeyboardInterrupt
            The file stays then, too, and that is said.
        """
        try:
            with self.path.open("rb") as file:
                while part := file.read(CHUNK):
                    _write(part)
        except OSError as error:
            path, self._directory = self.path, None
            raise ImpastoError(
                f"The picture could not be written to standard output ({error.strerror}). It is in "
                f"{path} instead."
            ) from None
        except KeyboardInterrupt:
            path, self._directory = self.path, None
            say(f"the picture was not written to standard output; it is in {path} instead.")
            raise

    def __enter__(self) -> Outlet:
        return self

    def __exit__(self, *_: object) -> None:
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)


def _write(part: bytes) -> None:
    # Not through Python's buffer, which would be flushed once more at the end, and fail again.
    left = memoryview(part)
    while left:
        left = left[os.write(sys.stdout.fileno(), left) :]


def _copy_input(stream: BinaryIO, file: BinaryIO, most: int) -> None:
    read = 0
    while part := stream.read(CHUNK):
        read += len(part)
        if read > most:
            raise ImageFileError(
                f"More than {most / 1e6:.0f} MB came through standard input, which is more than a "
                "picture of --max-pixels takes. Give a smaller picture, or a higher --max-pixels."
            )
        file.write(part)
