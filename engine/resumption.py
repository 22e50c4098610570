"""What a checkpoint's header says of its run: what stays the same, written and read.

`impasto.engine.progress` is the rest of it: how far the run is. A header comes from a file, so it
is an attack until it has been read here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from impasto.engine.canvas import Canvas
from impasto.engine.checkpoint import Snapshot, picture_digest
from impasto.engine.header_values import damaged, typed
from impasto.engine.inputs import Inputs, Subject
from impasto.engine.option_files import with_files
from impasto.engine.options import CONTENT_INITS, Options, current_names
from impasto.engine.preparation import Prepared
from impasto.engine.scales import total_iterations
from impasto.engine.srgb import ByteArray
from impasto.errors import CheckpointError, UsageError

__all__ = [
    "Recorded",
    "check_digests",
    "check_same_run",
    "digests_of",
    "header_of",
    "recorded_in",
]

RUN = 1
"""Version of what is written here; the store has one of its own for its files."""

_NAMES = """
size content_weight style_weight tv_weight content_layers style_layers style_blend_weights
style_scale color init seed iterations scales optimizer learning_rate first_step preconditioner
history model weights pooling pool_rounding backend device cudnn_autotune precision threads
max_pixels memory tile checkpoint save_every print_every
"""
OLDEST = frozenset(_NAMES.split())
"""Options that every checkpoint has. Those that came later were not there to be changed: where one
is absent, the run had its default."""


@dataclass(frozen=True)
class Recorded:
    """What stays the same in a run.

    Parameters
    ----------
    options : Options
    content : str or None
        Path of the content picture; None if it was given as an array, or if there is none.
    canvas : Canvas or None
        Of a texture, which has no content.
    styles : tuple of (str or None)
    digests : mapping
        Of the loaded pictures.
    executions : tuple of mapping
        `Execution.to_dict` of every scale.
    candidate : mapping
        ``backend``, ``precision`` and ``lowering`` in use; empty before they are chosen.
    note : mapping of str to str
        What the caller wanted to find again.
    """

    options: Options
    content: str | None
    canvas: Canvas | None
    styles: tuple[str | None, ...]
    digests: Mapping[str, Any]
    executions: tuple[Mapping[str, Any], ...]
    candidate: Mapping[str, str]
    note: Mapping[str, str]

    @property
    def iterations(self) -> int:
        """Steps over all scales."""
        return total_iterations(self.options.schedule)


def digests_of(inputs: Inputs) -> dict[str, Any]:
    """Return the digests of the pictures of a run."""
    return {
        "content": None if inputs.photo is None else picture_digest(inputs.photo),
        "styles": [picture_digest(style) for style in inputs.styles],
        "init": None if inputs.initial is None else picture_digest(inputs.initial),
        "masks": [_mask_digest(mask) for mask in _masks(inputs)],
    }


def _masks(inputs: Inputs) -> Iterator[ByteArray]:
    """Yield everything that says where something counts, and what is seen where nothing does."""
    yield from inputs.masks.regions.values()
    yield from (each for each in (inputs.masks.content, *inputs.masks.styles) if each is not None)
    if inputs.cutout is not None:
        yield from (inputs.cutout.pixels[..., channel] for channel in range(3))


def _mask_digest(mask: ByteArray) -> str:
    return picture_digest(np.broadcast_to(mask[..., np.newaxis], (*mask.shape, 3)))


def header_of(
    prepared: Prepared, candidate: Mapping[str, str], note: Mapping[str, str]
) -> dict[str, Any]:
    """Return the part of the header that stays the same."""
    return {
        "run": RUN,
        "options": _absolute(prepared.options).to_dict(),
        "content": _path(prepared.content),
        "canvas": _canvas_told(prepared.content),
        "styles": [_path(style) for style in prepared.styles],
        "digests": digests_of(prepared.inputs),
        "executions": [item.execution.to_dict() for item in prepared.plan.scales],
        "candidate": dict(candidate),
        "note": dict(note),
    }


def recorded_in(snapshot: Snapshot) -> Recorded:
    """Return what a snapshot says of its run.

    Raises
    ------
    CheckpointError
        If the header is not one of a run, or of another version of it.
    """
    header = snapshot.header
    if header.get("run") != RUN:
        raise CheckpointError(
            f"The checkpoint's run is of version {header.get('run')!r}; this Impasto reads version "
            f"{RUN}. Resume it with the version that wrote it, or start the run again."
        )
    styles = typed(header, "styles", list)
    if not all(isinstance(path, str | None) for path in (header.get("content"), *styles)):
        raise damaged("content")
    candidate, note = typed(header, "candidate", dict), typed(header, "note", dict)
    if not all(isinstance(value, str) for value in (*candidate.values(), *note.values())):
        raise damaged("note")
    options, canvas = _options(typed(header, "options", dict)), _canvas(header.get("canvas"))
    if canvas and (options.content_layers or options.init in CONTENT_INITS):
        raise damaged("options")
    if canvas and options.size != canvas.longest_side:
        raise damaged("canvas")
    return Recorded(
        options=options,
        content=header.get("content"),
        canvas=canvas,
        styles=tuple(styles),
        digests=typed(header, "digests", dict),
        executions=tuple(typed(header, "executions", list)),
        candidate=candidate,
        note=note,
    )


def check_digests(inputs: Inputs, recorded: Recorded) -> None:
    """Refuse pictures that are not those of the run.

    Raises
    ------
    CheckpointError
        Naming the first that changed.
    """
    found, expected = digests_of(inputs), recorded.digests
    names = {"content": f"The content picture {recorded.content or ''}", "init": "The init picture"}
    for key, what in names.items():
        if found[key] != expected.get(key):
            raise _changed(what)
    if found["masks"] != expected.get("masks", []):  # none in checkpoints from before there were
        raise _changed("A mask, or the transparent part of the content picture,")
    styles = typed(expected, "styles", list)
    if len(styles) != len(recorded.styles):
        raise damaged("styles")
    if len(found["styles"]) != len(styles):
        raise CheckpointError(
            f"{len(found['styles'])} style pictures were given; the run has {len(styles)}. Give "
            "those it was started with, in the same order."
        )
    for path, one, other in zip(recorded.styles, found["styles"], styles, strict=True):
        if one != other:
            raise _changed(f"The style picture {path or ''}")


def check_same_run(
    recorded: Recorded,
    directory: Path,
    content: Path,
    styles: Sequence[Path],
    options: Options,
) -> None:
    """Refuse to go on with a run that would paint something else than what is asked for now.

    Parameters
    ----------
    recorded : Recorded
    directory : Path
        Where it is from.
    content, styles, options
        What is asked for; a seed of -1 is any, and how often something is shown or saved makes no
        difference.

    Raises
    ------
    CheckpointError
        Naming the first thing that differs.
    """
    asked, then = _absolute(options).to_dict(), _absolute(recorded.options).to_dict()
    if options.seed < 0:
        asked["seed"] = then["seed"]
    for name in ("print_every", "save_every", "checkpoint"):
        asked[name] = then[name]
    differing = [f"--{name.replace('_', '-')}" for name in asked if asked[name] != then[name]]
    if recorded.content != _path(content):
        differing.insert(0, "the content picture")
    if recorded.styles != tuple(map(_path, styles)):
        differing.insert(0, "the style pictures")
    if differing:
        raise CheckpointError(
            f"The checkpoint {directory} is of a run that differs in {', '.join(differing[:3])}. "
            f"`impasto resume {directory}` finishes that one; --overwrite starts again."
        )


def _changed(what: str) -> CheckpointError:
    return CheckpointError(
        f"{what.strip()} has changed since the run began; to go on would mix two pictures. Put the "
        "old file back, or start the run again."
    )


def _options(told: Mapping[str, Any]) -> Options:
    names = {item.name for item in fields(Options)}
    values = current_names(told)
    odd = sorted((set(values) - names) | (OLDEST - set(values)))
    if odd:
        raise CheckpointError(
            f"The checkpoint's options are of another version of Impasto (they differ in "
            f"{', '.join(odd[:5])}). Resume it with the version that wrote it."
        )
    if isinstance(values["weights"], str):
        values["weights"] = Path(values["weights"])
    try:
        return Options(**values)
    except UsageError as error:
        raise CheckpointError(f"The checkpoint's options are damaged: {error}") from error


def _absolute(options: Options) -> Options:
    """Return the options with paths that hold in any directory."""
    return with_files(options, Path.absolute)


def _path(picture: Subject) -> str | None:
    if isinstance(picture, np.ndarray | Canvas):
        return None
    return str(Path(picture).absolute())


def _canvas_told(subject: Subject) -> dict[str, int] | None:
    return subject.to_dict() if isinstance(subject, Canvas) else None


def _canvas(told: Any) -> Canvas | None:
    if told is None:
        return None
    try:
        return Canvas.from_dict(told)
    except (AttributeError, TypeError, ValueError, UsageError) as error:
        raise damaged("canvas") from error
