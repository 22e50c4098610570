"""Every error Impasto raises on purpose, and the exit code the command line gives it.

::

    ImpastoError                 1   something failed while working
    ├── UsageError               2   what was asked cannot be done as asked
    │   ├── OptionError          2   an option's value, or two options together
    │   ├── UnknownNameError     2   a name that is not in a closed list (layer, model, preset…)
    │   ├── ImageFileError       2   a picture that is missing, unreadable or not a picture
    │   ├── OutputPathError      2   an output that exists, or that cannot be written
    │   ├── WeightsError         2   a weights file that is missing, damaged or of another network
    │   ├── CheckpointError      2   a checkpoint that is damaged, or of another version or run
    │   ├── BackendUnavailableError 2  a runtime, device or precision this machine does not have
    │   ├── MissingExtraError    2   a library that only an extra of the package installs
    │   └── VideoFileError       2   a video that is missing, unreadable, too large or no video
    ├── CheckpointWriteError     1   a checkpoint that could not be saved: disk full
    ├── DownloadError            1   a download that failed or gave the wrong bytes
    ├── DifferentiationError     1   a graph that has no gradient graph
    ├── BackendError             1   a runtime that failed or returned wrong numbers
    └── OptimizationError        1   an optimisation with no usable picture

A batch, some of whose pictures failed, ends with 3; see `impasto.cli.entry`.

Messages say, in one or a few short sentences: what was asked, what was found, what is possible,
what to do. They never need a traceback to be understood.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BackendError",
    "BackendUnavailableError",
    "CheckpointError",
    "CheckpointWriteError",
    "DifferentiationError",
    "DownloadError",
    "ImageFileError",
    "ImpastoError",
    "MissingExtraError",
    "OptimizationError",
    "OptionError",
    "OutputPathError",
    "UnknownNameError",
    "UsageError",
    "VideoFileError",
    "WeightsError",
]


class ImpastoError(Exception):
    """Base of every error raised on purpose; `exit_code` is what the command line returns."""

    exit_code = 1


class UsageError(ImpastoError):
    """What was asked cannot be done as asked; nothing was computed."""

    exit_code = 2


class OptionError(UsageError):
    """An option's value is out of range, or options contradict each other."""


class UnknownNameError(UsageError):
    """A name that is not in a closed list, with the list and the nearest name.

    Parameters
    ----------
    kind : str
        What was named, in the singular: ``"layer"``, ``"model"``.
    name : str
        The name that was given.
    known : iterable of str
        Every name that would have been accepted, in the order to show them.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, tuple(known)
        near = difflib.get_close_matches(name, self.known, n=2, cutoff=0.6)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        super().__init__(f"Unknown {kind} {name!r}.{hint} Known: {', '.join(self.known)}.")


class ImageFileError(UsageError):
    """A picture file that is missing, unreadable, empty, truncated or not a picture."""


class OutputPathError(UsageError):
    """An output path that exists already, has no directory, or has an unknown suffix."""


class WeightsError(UsageError):
    """A weights file that is missing, damaged, hostile, or of another network."""


class CheckpointError(UsageError):
    """A checkpoint that is missing, damaged, hostile, of another version or of another run."""


class BackendUnavailableError(UsageError):
    """A runtime, device or precision that this machine does not have."""


class MissingExtraError(UsageError):
    """A library that an extra installs is not there, or does not load.

    Parameters
    ----------
    needed : str
        What is needed, and what for.
    extra : str
        Name of the extra.
    error : ImportError
    """

    def __init__(self, needed: str, extra: str, error: ImportError) -> None:
        super().__init__(
            f"This needs {needed}, which did not load ({error}). "
            f"Install it with: pip install 'impasto[{extra}]'."
        )


class VideoFileError(UsageError):
    """A video or a directory of frames that is missing, unreadable, too large or no video."""


class CheckpointWriteError(ImpastoError):
    """A checkpoint that could not be saved or removed; one that was saved before is still there."""


class DownloadError(ImpastoError):
    """A download that failed, was cut, or gave bytes with another hash."""


class DifferentiationError(ImpastoError):
    """A graph that cannot be differentiated: a missing rule, or no path to the image."""


class BackendError(ImpastoError):
    """A runtime that failed to compile or run a graph, or whose numbers are wrong."""


class OptimizationError(ImpastoError):
    """An optimisation that ended without a usable picture."""
