"""A run's pictures to files, as its options want them: depth, quality, alpha, and what is told."""

from __future__ import annotations

from pathlib import Path

from impasto.engine.depth import DeepArray
from impasto.engine.options import Options
from impasto.engine.output_formats import Metadata, holds_alpha
from impasto.engine.outputs import check_output_depth, save_image
from impasto.engine.provenance import provenance_of, provenance_of_step
from impasto.engine.result import Iterate, StylizeResult
from impasto.engine.srgb import ByteArray, Cutout

__all__ = ["check_output_options", "save_result", "save_step"]


def check_output_options(path: str | Path, options: Options) -> None:
    """Refuse an output path whose format cannot hold what the options ask for.

    Raises
    ------
    OutputPathError
        If so, or if the suffix is none of `impasto.engine.outputs.OUTPUT_SUFFIXES`.
    """
    if options.bit_depth == 16:
        check_output_depth(path)


def save_result(result: StylizeResult, path: str | Path) -> None:
    """Write the picture of a run: the whole file appears at once, or nothing changes on disk.

    Parameters
    ----------
    result : StylizeResult
        Its `Options.bit_depth`, `Options.quality` and `Options.no_metadata` say how. Where it is
        transparent in parts and the format cannot be, it is laid on white.
    path : str or Path
        See :func:`impasto.save_image`. An existing file is replaced.

    Raises
    ------
    OutputPathError
        If the suffix is unknown, or the format has 8 bits and `Options.bit_depth` is 16.
    ImpastoError
        If the file cannot be written.

    Notes
    -----
    The file says how the picture was made (:func:`impasto.engine.provenance.provenance_of`), with
    the names of files and not their folders; ``impasto show`` prints it.
    """
    pixels = result.image if result.deep is None else result.deep
    _save(pixels, result.alpha, path, result.options, provenance_of(result))


def save_step(iterate: Iterate, options: Options, path: str | Path) -> None:
    """Write the picture of a step, with 8 bits; everything else is as in :func:`save_result`."""
    told = provenance_of_step(iterate, options)
    _save(iterate.picture(), iterate.alpha, path, options, told)


def _save(
    pixels: ByteArray | DeepArray,
    alpha: ByteArray | None,
    path: str | Path,
    options: Options,
    told: Metadata,
) -> None:
    if alpha is not None and pixels.dtype == "uint8" and not holds_alpha(Path(path).suffix.lower()):
        pixels, alpha = Cutout(pixels.astype("uint8", copy=False), alpha).on_white(), None
    metadata = None if options.no_metadata else told
    save_image(pixels, path, alpha=alpha, metadata=metadata, quality=options.quality)
