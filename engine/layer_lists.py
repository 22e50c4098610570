"""Lists of layers as they are typed: with weights, and for single style pictures."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from impasto.errors import OptionError

__all__ = ["layer_weights", "layers_by_style"]


def layer_weights(entries: Sequence[str], flag: str) -> dict[str, float]:
    """Return the weight of each layer of a list such as ``relu1_1, relu4_1=0.5``.

    Parameters
    ----------
    entries : sequence of str
        Names, or ``name=weight``; without one the weight is 1.
    flag : str
        Where they were given, for messages.

    Raises
    ------
    OptionError
        If a weight is not a number from 0 to 1e30, or a layer has two.
    """
    weights: dict[str, float] = {}
    for entry in entries:
        name, equals, text = (part.strip() for part in entry.partition("="))
        weight = _number(text) if equals else 1.0
        if not name or not 0 <= weight <= 1e30:  # NaN is not, either
            raise OptionError(
                f"{flag} has an entry {entry!r:.60}; it takes a layer, or a layer and what to "
                "multiply its weight by, such as relu4_1=0.5: a number from 0 to 1e30."
            )
        if weights.setdefault(name, weight) != weight:
            raise OptionError(f"{flag} gives {name} two weights; give one.")
    return weights


def layers_by_style(entries: Sequence[str]) -> Mapping[int, tuple[str, ...]]:
    """Return the layers of those styles that do not count at all of them.

    Parameters
    ----------
    entries : sequence of str
        Such as ``2=relu1_1,relu2_1``: the second style picture counts at these two layers only.

    Returns
    -------
    mapping of int to tuple of str
        By the style's number, from 1.

    Raises
    ------
    OptionError
        If an entry is not of that form, or a style has two.
    """
    found: dict[int, tuple[str, ...]] = {}
    for entry in entries:
        number, _, names = entry.partition("=")
        layers = tuple(name.strip() for name in names.split(",") if name.strip())
        if not re.fullmatch(" *[0-9]{1,6} *", number) or int(number) < 1 or not layers:
            raise OptionError(
                f"--layers-of is {entry!r:.60}; it takes the number of a style picture and its "
                "layers, such as 2=relu1_1,relu2_1."
            )
        if int(number) in found:
            raise OptionError(
                f"--layers-of is given twice for style picture {int(number)}; name all its layers "
                "in one, such as 2=relu1_1,relu2_1."
            )
        found[int(number)] = layers
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
