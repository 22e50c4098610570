"""What a picture's file tells of its making, written and read.

The texts ``Software`` and ``Impasto``, the latter a JSON object::

    {"impasto": "0.1.0", "content": "photo.jpg", "canvas": null, "styles": ["wave.jpg"],
     "model": "vgg19", "backend": "openvino", "precision": "bf16", "loss": 412345.6,
     "iterations": 200, "versions": {"numpy": "2.3.1", "openvino": "2025.4.0"},
     "options": {"size": 512, ...}}

Files are told by their names, without folders. Nothing is told of the machine or the time, so that
the same run gives the same file. What is read comes from a file, and is an attack until it has been
read here: bounded, and of no other types than these.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from impasto import __version__
from impasto.engine.canvas import Canvas
from impasto.engine.machine_report import installed_versions
from impasto.engine.option_files import with_files
from impasto.engine.options import MAX_PIXELS, Options, current_names
from impasto.engine.output_formats import Metadata
from impasto.engine.picture_files import picture_texts
from impasto.engine.reproduction import command_line
from impasto.engine.result import Iterate, StylizeResult
from impasto.errors import UsageError

__all__ = [
    "Provenance",
    "metadata_of",
    "provenance_of",
    "provenance_of_step",
    "read_provenance",
]

MOST_CHARACTERS = 2**20
"""Longest text that is read; settings take about 2000."""


@dataclass(frozen=True)
class Provenance:
    """What a picture's file tells.

    Parameters
    ----------
    format : str
        Of the file, such as ``PNG``.
    size : tuple of int
        (height, width) in pixels.
    software : str
        Which program made it; empty if that is not told.
    settings : mapping
        As in the module's description; empty if Impasto has written none. Entries are as they were
        found, and may be of any JSON type.
    """

    format: str
    size: tuple[int, int]
    software: str
    settings: Mapping[str, Any]

    def command(self, output: str | Path) -> tuple[str, ...] | None:
        """Return the command that paints it again, with files by their names.

        Parameters
        ----------
        output : str or Path
            The picture to be written.

        Returns
        -------
        tuple of str, or None
            None if the settings do not say it: none are told, a picture was an array, or they are
            those of another version.
        """
        told, styles = self.settings, self.settings.get("styles")
        known = {item.name for item in fields(Options)}
        options = told.get("options")
        if not isinstance(options, dict) or not isinstance(styles, list) or not styles:
            return None
        if not all(isinstance(style, str) and style for style in styles):
            return None
        values = current_names(options)
        if not set(values) <= known:
            return None
        try:
            subject = _subject(told)
            return command_line(subject, styles, Options(**values), output)
        except (UsageError, ValueError, TypeError):
            return None


def metadata_of(options: Options, told: Mapping[str, Any] | None = None) -> Metadata:
    """Return what a picture's file tells of options, and whatever else is `told`."""
    shared = replace(with_files(options, lambda path: Path(path.name)), checkpoint="auto")
    described = {
        "impasto": __version__,
        **(told or {}),
        "versions": installed_versions(),
        "options": shared.to_dict(),
    }
    return {"Software": f"Impasto {__version__}", "Impasto": json.dumps(described)}


def provenance_of(result: StylizeResult) -> Metadata:
    """Return what the file of a finished picture tells."""
    canvas = result.content if isinstance(result.content, Canvas) else None
    content = result.content if isinstance(result.content, Path) else None
    return metadata_of(
        result.options,
        {
            "content": content and content.name,
            "canvas": canvas and canvas.to_dict(),
            "styles": [style and style.name for style in result.styles],
            "model": result.model,
            "backend": result.backend,
            "precision": result.precision,
            "loss": _finite(result.loss),
            "iterations": result.iterations,
        },
    )


def provenance_of_step(iterate: Iterate, options: Options) -> Metadata:
    """Return what the file of a picture on the way tells."""
    told = {"loss": _finite(iterate.loss), "iterations": iterate.iteration}
    return metadata_of(options, told)


def read_provenance(path: str | Path, max_pixels: int = MAX_PIXELS) -> Provenance:
    """Read what a picture's file tells of its making, without decoding the picture.

    Raises
    ------
    ImageFileError
        If it is no picture, as :func:`~impasto.engine.picture_files.load_image`.
    """
    header = picture_texts(path, max_pixels)
    texts = dict(header.texts)
    if "Impasto" not in texts:
        # EXIF and TIFF have one description for all of them.
        texts |= {k: v for k, v in _object(texts.get("description", "")).items() if type(v) is str}
    return Provenance(
        header.format,
        header.size,
        texts.get("Software", "")[:200],
        _object(texts.get("Impasto", "")),
    )


def _object(text: str) -> dict[str, Any]:
    """Parse a JSON object; empty if it is none."""
    if len(text) > MOST_CHARACTERS:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _subject(told: Mapping[str, Any]) -> str | Canvas:
    """Return the content or canvas of settings; ValueError if there is neither."""
    content, canvas = told.get("content"), told.get("canvas")
    if isinstance(canvas, dict):
        return Canvas.from_dict(canvas)
    if not isinstance(content, str) or not content:
        raise ValueError("no content")
    return content


def _finite(loss: float) -> float | None:
    return loss if math.isfinite(loss) else None  # JSON has no infinity
