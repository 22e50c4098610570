"""Coarse to fine: the sizes a picture is painted at, one after the other.

What is large in the style is decided where it is small in pixels: at 4096 pixels the receptive
field of relu5_1 covers a thirteenth of the picture, at 512 more than half. So a large picture is
begun small, and each scale begins from the enlarged result of the one before. It also needs fewer
iterations there: what is left to do is detail.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from impasto.errors import OptionError

__all__ = ["Scale", "scale_sizes", "scales_for", "total_iterations"]

SINGLE = 512
"""Longest side up to which ``auto`` paints at one scale: what the presets were chosen at."""

STEP = 2
"""From one scale to the next."""

SMALLEST = 32
LEAST_ITERATIONS = 5


@dataclass(frozen=True)
class Scale:
    """One size of the picture.

    Parameters
    ----------
    longest_side : int
        Of the picture, in pixels.
    iterations : int
        Optimizer steps at this size.
    before : int
        Steps at the smaller sizes.
    """

    longest_side: int
    iterations: int
    before: int


def scale_sizes(text: str, size: int) -> tuple[int, ...]:
    """Return the longest sides that ``--scales`` means, the last of them `size`.

    Parameters
    ----------
    text : str
        ``auto``: halved from `size` down to 512 or just below, one scale if it is not more. A
        number N below 16: N sizes, each half the next. Sizes separated by commas, in growing
        order; `size` itself is added if it is missing.
    size : int
        Longest side of the picture.

    Raises
    ------
    OptionError
        If the text is none of these, or a size is too small or larger than `size`.
    """
    words = [word.strip() for word in text.split(",")]
    if words == ["auto"]:
        sizes = [size]
        while sizes[0] > SINGLE:
            sizes.insert(0, -(-sizes[0] // STEP))
        return tuple(sizes)
    if not all(re.fullmatch("[0-9]{1,8}", word) for word in words):
        raise OptionError(
            f"--scales is {text!r}; it takes auto, a number of scales such as 3, or sizes such as "
            "256,512,1024."
        )
    numbers = [int(word) for word in words]
    if len(numbers) == 1 and numbers[0] < 16:
        numbers = [max(1, round(size / STEP**k)) for k in reversed(range(numbers[0]))]
        if not numbers:
            raise OptionError("--scales is 0; a picture needs one scale at least.")
    elif numbers[-1] < size:
        numbers.append(size)
    if sorted(set(numbers)) != numbers or numbers[-1] > size:
        raise OptionError(
            f"--scales is {text!r}, but --size is {size}; give sizes in growing order up to --size."
        )
    if len(numbers) > 1 and numbers[0] < SMALLEST:
        raise OptionError(
            f"--scales is {text!r} with --size {size}: its first scale would be {numbers[0]} "
            f"pixels long; {SMALLEST} is the least."
        )
    return tuple(numbers)


def scales_for(text: str, size: int, iterations: int) -> tuple[Scale, ...]:
    """Return the scales of a run.

    The first has `iterations` steps and each later one half as many as the one before, 5 at least
    (or `iterations`, if those are fewer).
    """
    found: list[Scale] = []
    done = 0
    for index, side in enumerate(scale_sizes(text, size)):
        steps = max(min(LEAST_ITERATIONS, iterations), round(iterations / 2**index))
        found.append(Scale(side, steps, done))
        done += steps
    return tuple(found)


def total_iterations(scales: Sequence[Scale]) -> int:
    """Return the steps of all scales together."""
    return sum(scale.iterations for scale in scales)
