"""Textures: pictures with the style of others and nothing else.

Gatys, Ecker and Bethge (2015, "Texture Synthesis Using Convolutional Neural Networks",
arXiv:1505.07376) look for an image with a sample's Gram matrices, beginning at noise: the objective
of `impasto.engine.stylize` without its content loss. So a texture is a run like any other whose
content is a `Canvas`, no more than a size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from impasto.engine.canvas import Canvas, canvas_of
from impasto.engine.inputs import Picture
from impasto.engine.options import CONTENT_FREE, CONTENT_INITS, Options
from impasto.engine.parts import Workers
from impasto.engine.result import Callback, StylizeResult
from impasto.engine.stylize import paint
from impasto.errors import OptionError

__all__ = ["texture", "texture_options"]


def texture(
    styles: Sequence[Picture],
    size: int | tuple[int, int] = 512,
    options: Options | None = None,
    *,
    callback: Callback | None = None,
    checkpoint: Path | str | None = None,
    workers: Workers | None = None,
) -> StylizeResult:
    """Make a texture of any size in the style of `styles`, from noise.

    Parameters
    ----------
    styles : sequence of ndarray of shape (H, W, 3), or paths
        One or more samples of any sizes. Several make one blended style.
    size : (width, height), or int
        Of the texture in pixels; one number is a square.
    options : Options, optional
        Of which `size` has no say, nor have those about a content picture: `content_weight`,
        `content_layers` and `color` must be as they are by default, or say that there is
        none. An `init` made of the content means noise.
    callback, checkpoint, workers
        As in :func:`impasto.engine.stylize.stylize`; :func:`impasto.engine.stylize.resume` goes on
        from the checkpoint.

    Returns
    -------
    StylizeResult

    Raises
    ------
    UsageError
        If an input or option cannot be used; nothing has been computed.
    BackendError
        If a runtime fails.

    Notes
    -----
    Gatys, Ecker and Bethge (2015). Different from there: the layers of a style here (``relu1_1`` to
    ``relu5_1``, theirs were ``conv1_1`` and ``pool1`` to ``pool4``); max pooling (``pooling="avg"``
    is theirs); Gram matrices divided by C h w, and a layer's loss by C², as in
    jcjohnson/neural-style, so that a deep layer of many channels weighs less than there; faint
    noise around the styles' mean colour to begin from (theirs was white); with ``tileable``,
    targets that leave out what has seen the border of a style
    (`impasto.engine.guides.inner_cells`); a weak total variation loss (``tv_weight=0`` is theirs);
    coarse to fine above 512 pixels; and the optimizer, a preconditioned L-BFGS.

    Examples
    --------
    >>> import numpy as np
    >>> from impasto import Options, texture
    >>> stripes = np.tile(np.uint8([[[0, 90, 200]], [[250, 200, 0]]]), (16, 32, 1))
    >>> texture([stripes], (48, 32), Options(iterations=1)).image.shape
    (32, 48, 3)
    """
    canvas = canvas_of(size)
    return paint(
        canvas,
        styles,
        texture_options(options or Options(), canvas),
        callback=callback,
        checkpoint=checkpoint,
        workers=workers,
    )


def texture_options(options: Options, canvas: Canvas) -> Options:
    """Return the options of a run on `canvas`: its size, and nothing about a content.

    Raises
    ------
    OptionError
        If the options ask for something of a content picture, or there are no style layers.
    """
    usual = Options()
    for name, without in CONTENT_FREE.items():
        value = getattr(options, name)
        if value not in (without, getattr(usual, name)):
            raise OptionError(
                f"{name} is {value!r}, but a texture has no content picture. Leave it out, or "
                "paint a picture with `stylize` (`impasto paint`)."
            )
    if not options.style_layers:
        raise OptionError("No style layers are given, and a texture is made of nothing else.")
    init = "noise" if options.init in CONTENT_INITS else options.init
    return replace(options, size=canvas.longest_side, init=init, **CONTENT_FREE)
