"""Known traps: requests that can be met, and whose picture will disappoint.

Each has made people of other programs ask what went wrong. A run is never stopped for one: a
sentence says what is odd, and what to do about it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from impasto.engine.inputs import Picture, style_longest_sides
from impasto.engine.network import Network
from impasto.engine.options import Options
from impasto.engine.presets import PRESETS

__all__ = ["traps"]

Size = tuple[int, int]

MOST_ENLARGED = 2.0
"""Times a style picture is enlarged before its strokes count as blurred."""

WEIGHTS_APART = 1e4
"""Factor between the ratio of the weights and that of the preset for the model."""

NOISE_ITERATIONS = 100
LEAST_STEP = 0.1
"""Of Adam, in levels of 0-255."""

MOST_VARIATION = 1e-4
"""Weight of the total variation where gradients and weights are normalised. The default of 1e-3
blurs a photo at 256 pixels until nothing is left."""

LEAST_CELLS = 8
"""On the longest side of the deepest style layer's feature map."""


def traps(
    content: object,
    styles: Sequence[Picture],
    style_sizes: Sequence[Size],
    content_size: Size,
    network: Network,
    options: Options,
) -> tuple[str, ...]:
    """Return a sentence for each trap that a run is about to fall into.

    Parameters
    ----------
    content : picture or Canvas
    styles : sequence of picture
    style_sizes : sequence of (height, width)
        Of the style pictures as they were given.
    content_size : (height, width)
        Of the output.
    network : Network
    options : Options
    """
    return (
        *_same_picture(content, styles),
        *_enlarged_styles(styles, style_sizes, options),
        *_odd_weights(content, options),
        *_short_noise(options),
        *_tiny_steps(options),
        *_strong_variation(options),
        *_few_cells(content_size, network),
    )


def _same_picture(content: object, styles: Sequence[Picture]) -> Iterator[str]:
    for number, style in enumerate(styles, 1):
        if _is_same(content, style):
            yield (
                f"{_named(style, number)} and the content are the same picture, so that there is "
                "nothing to change. Was another one meant?"
            )


def _enlarged_styles(
    styles: Sequence[Picture], sizes: Sequence[Size], options: Options
) -> Iterator[str]:
    """Strokes of a small picture become soft shapes, and the output has no others to take."""
    wanted = style_longest_sides(options, options.size, len(styles))
    for number, (style, (height, width), side) in enumerate(
        zip(styles, sizes, wanted, strict=True), 1
    ):
        times = side / max(height, width)
        if times > MOST_ENLARGED:
            scale = side / options.size / times
            yield (
                f"{_named(style, number)} has {width}x{height} pixels and is enlarged {times:.1f} "
                "times, which blurs its strokes. Give a larger picture of it, or --style-scale "
                f"{scale:.2g}, or a smaller --size."
            )


def _odd_weights(content: object, options: Options) -> Iterator[str]:
    """Other programs divide their losses by other numbers: their weights mean nothing here."""
    ours = next(
        (changes for changes in PRESETS.values() if changes.get("model") == options.model), {}
    )
    usual = Options(**ours)
    if (
        not options.content_layers
        or not options.style_layers
        or options.style_statistic != usual.style_statistic
        or min(options.content_weight, options.style_weight) <= 0
    ):
        return
    expected = usual.style_weight / usual.content_weight
    times = options.style_weight / options.content_weight / expected
    if 1 / WEIGHTS_APART <= times <= WEIGHTS_APART:
        return
    lost = "content" if times > 1 else "style"
    yield (
        f"--style-weight {options.style_weight:g} with --content-weight "
        f"{options.content_weight:g} lets the {lost} hardly count; usual for "
        f"{options.model} are {usual.style_weight:g} and {usual.content_weight:g}. "
        "Weights of other programs are in other units."
    )


def _short_noise(options: Options) -> Iterator[str]:
    if options.init == "noise" and options.iterations < NOISE_ITERATIONS:
        # A texture has no content to begin from.
        otherwise = ", or --init recolored" if options.content_layers else ""
        yield (
            f"From noise, {options.iterations} iterations leave much of it. Give --iterations 500 "
            f"or more{otherwise}."
        )


def _tiny_steps(options: Options) -> Iterator[str]:
    if options.optimizer == "adam" and 0 < options.learning_rate < LEAST_STEP:
        yield (
            f"--learning-rate {options.learning_rate:g} moves a pixel by no more than that much of "
            "255 in an iteration. Rates of programs whose pixels are 0 to 1 have to be multiplied "
            "by 255; 10 is usual here."
        )


def _strong_variation(options: Options) -> Iterator[str]:
    """Both divide what the total variation is weighed against, and not the total variation."""
    both = options.normalize_gradients and options.normalize_weights
    if both and options.tv_weight > MOST_VARIATION:
        yield (
            f"With --normalize-gradients and --normalize-weights, --tv-weight "
            f"{options.tv_weight:g} outweighs all else and blurs the picture. Give --tv-weight "
            f"{MOST_VARIATION / 10:g}."
        )


def _few_cells(size: Size, network: Network) -> Iterator[str]:
    """Of a few cells, the statistics of a layer say next to nothing."""
    if not network.style_layers:
        return
    deepest = network.style_layers[-1]
    cells = max(network.feature_sizes(size)[deepest])
    if cells < LEAST_CELLS:
        times = LEAST_CELLS / cells
        yield (
            f"At {size[1]}x{size[0]} pixels {deepest} sees {cells} places in a row, too few to "
            f"judge a style by. Give --size {_round_up(max(size) * times)} or more, or only "
            "shallower --style-layers."
        )


def _round_up(size: float) -> int:
    return int(-(-size // 16) * 16)


def _named(style: Picture, number: int) -> str:
    if isinstance(style, np.ndarray):
        return f"Style picture {number}"
    return f"The style picture {os.fspath(style)}"


def _is_same(one: object, other: Picture) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one is other or np.array_equal(one, other)
    if isinstance(one, str | os.PathLike) and isinstance(other, str | os.PathLike):
        first, second = Path(one), Path(other)
        return first.exists() and second.exists() and first.samefile(second)
    return False
