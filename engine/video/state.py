"""What a stopped video goes on from: a directory with what is done and the last painted frame.

::

    OUT.video/
        state.json           what was asked, what computes it, and a report of each frame done
        carried-000012.png   frame 12 as the next one begins from it: 8 bits, without loss
        frames/000012.png    the frames to be encoded, where OUT is a file

`state.json` is written last and replaced whole: a frame is done once it stands there. Whatever is
read is an attack until it is parsed.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from impasto.engine.checkpoint.lock import DirectoryLock
from impasto.engine.images import ByteArray, load_image, save_image
from impasto.engine.video.report import FrameReport
from impasto.errors import CheckpointError, CheckpointWriteError, ImageFileError

__all__ = ["VideoState"]

VERSION = 1
STATE = "state.json"
LARGEST_STATE = 1 << 26
"""Bytes. A frame takes 250."""


class VideoState:
    """The directory of one run, locked while it is open; to be used in a ``with`` block.

    Parameters
    ----------
    directory : Path
        Made if it is not there.
    run : mapping
        What was asked, as JSON values: a run goes on only if it is the same.
    anew : bool
        Whether to forget what an earlier run has left.

    Attributes
    ----------
    settled : dict
        What computes the frames; empty before that is known.
    reports : list of FrameReport
        Of the frames done.
    run : dict
        What was asked when the run began.

    Raises
    ------
    CheckpointError
        If the directory is damaged, in use, or of another run.
    """

    def __init__(self, directory: Path, run: Mapping[str, Any], *, anew: bool) -> None:
        self.directory = directory
        self.run = json.loads(json.dumps(run))
        self.settled: dict[str, Any] = {}
        self.reports: list[FrameReport] = []
        try:
            directory.mkdir(exist_ok=True)
        except OSError as error:
            raise CheckpointError(
                f"{directory} cannot be made ({error.strerror}); the frames done are noted there."
            ) from None
        self._lock = DirectoryLock(directory / "lock")
        try:
            if anew:
                (directory / STATE).unlink(missing_ok=True)
            elif (directory / STATE).exists():
                self._read()
        except BaseException:
            self._lock.release()
            raise

    @staticmethod
    def recorded_seed(directory: Path) -> int:
        """Return the seed that the run in a directory has drawn; -1 if there is none."""
        path = directory / STATE
        if not path.exists():
            return -1
        options = _parsed(path)["run"].get("options")
        seed = options.get("seed") if isinstance(options, dict) else None
        return seed if type(seed) is int and 0 <= seed < 2**63 else -1

    @property
    def frames(self) -> Path:
        """The directory of the frames to be encoded."""
        return self.directory / "frames"

    def carried(self, max_pixels: int, shape: tuple[int, ...]) -> ByteArray:
        """Return the last painted frame, as the next one begins from it.

        Raises
        ------
        CheckpointError
            If it is not there, or of another shape.
        """
        path = self._carried(self.reports[-1].number)
        try:
            picture = load_image(path, max_pixels)
        except ImageFileError as error:
            raise CheckpointError(f"The last painted frame is damaged: {error}") from None
        if picture.shape != shape:
            raise CheckpointError(f"{path} has another size than the video's frames.")
        return picture

    def commit(self, report: FrameReport, painted: ByteArray) -> None:
        """Note that a frame is done; its own file has been written."""
        before = [each.number for each in self.reports[-1:]]
        save_image(painted, self._carried(report.number))
        self.reports.append(report)
        self._write()
        for number in before:
            self._carried(number).unlink(missing_ok=True)

    def settle(self, settled: Mapping[str, Any]) -> None:
        """Note what computes the frames."""
        self.settled = dict(settled)
        self._write()

    def finish(self) -> None:
        """Remove the directory: the video is done."""
        with contextlib.suppress(OSError):
            self._lock.remove()
            shutil.rmtree(self.directory)

    def __enter__(self) -> VideoState:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()
        if not self.reports and not self.settled:
            self.finish()  # nothing worth keeping

    def _carried(self, number: int) -> Path:
        return self.directory / f"carried-{number:06}.png"

    def _write(self) -> None:
        told = {
            "version": VERSION,
            "run": self.run,
            "settled": self.settled,
            "frames": [asdict(report) for report in self.reports],
        }
        target = self.directory / STATE
        draft = target.with_name(f".{secrets.token_hex(8)}.json")
        try:
            draft.write_text(json.dumps(told), "utf-8")
            draft.replace(target)
        except OSError as error:
            raise CheckpointWriteError(
                f"{target} could not be written: {error.strerror or error}. Make room and run the "
                "same command again: it goes on."
            ) from error
        finally:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)

    def _read(self) -> None:
        told = _parsed(self.directory / STATE)
        _check_same(told["run"], self.run, self.directory)
        self.run, self.settled = told["run"], told["settled"]
        self.reports = [FrameReport.from_dict(each) for each in told["frames"]]
        numbers = [report.number for report in self.reports]
        first = numbers[0] if numbers else 1
        if numbers != list(range(first, first + len(numbers))) or first < 1:
            raise CheckpointError(f"{self.directory}: the frames done are not in order; {_WAY_OUT}")


_WAY_OUT = "it is damaged. --overwrite starts again."


def _parsed(path: Path) -> dict[str, Any]:
    try:
        if os.path.getsize(path) > LARGEST_STATE:
            raise CheckpointError(f"{path} is larger than any video's; {_WAY_OUT}")
        told = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); {_WAY_OUT}") from None
    if not isinstance(told, dict) or told.get("version") != VERSION:
        raise CheckpointError(f"{path} is of another version of Impasto, or {_WAY_OUT}")
    kinds = {"run": dict, "settled": dict, "frames": list}
    if any(not isinstance(told.get(name), kind) for name, kind in kinds.items()):
        raise CheckpointError(f"{path}: {_WAY_OUT}")
    return told


def _check_same(recorded: Mapping[str, Any], asked: Mapping[str, Any], directory: Path) -> None:
    """Refuse to go on with a run that was asked for something else."""
    differences = _differences(recorded, asked)
    if differences:
        raise CheckpointError(
            f"{directory} is of a video begun with other settings: {'; '.join(differences)}. Give "
            "the same ones to go on, or --overwrite to start again."
        )


def _differences(recorded: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    found = []
    for name in sorted({*recorded, *asked}):
        old, new = recorded.get(name), asked.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(old, new)
        elif old != new:
            found.append(f"{name} was {old!r:.60}, is {new!r:.60}")
    return found
