"""Which values options may have: what `impasto.engine.options.Options` refuses, in whose words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING

from impasto.engine.amounts import bytes_from
from impasto.engine.layer_lists import layer_weights, layers_by_style
from impasto.engine.scales import scale_sizes
from impasto.errors import OptionError, UnknownNameError

if TYPE_CHECKING:
    from impasto.engine.options import Options

__all__ = ["MAX_SIZE", "check_options"]

MAX_SIZE = 131072
"""Longest side accepted, in pixels; what fits into memory is another question."""


def check_options(options: Options) -> None:
    """Refuse values of a wrong type, out of range, or that contradict each other.

    Lists are made tuples in `options` itself, which is being made.

    Raises
    ------
    OptionError
        If a value is out of range.
    UnknownNameError
        If a choice is not one of its list.
    """
    _check_types(options)
    for item in fields(options):
        value, choices = getattr(options, item.name), item.metadata["choices"]
        if choices and value not in choices:
            raise UnknownNameError(_flag(item.name), str(value), choices)
    _check_numbers(options)
    _check_file(options)
    _check_layers(options)
    if not options.content_layers and not options.style_layers:
        raise OptionError("No content layers and no style layers: there is nothing to paint.")
    scale_sizes(options.scales, options.size)
    _check_execution(options)


def _check_types(options: Options) -> None:
    """Refuse values of another type than the default's; make lists tuples."""
    for item in fields(options):
        value, default = getattr(options, item.name), item.default
        kind: type | UnionType = type(default)
        if isinstance(default, tuple) and isinstance(value, list):
            value = tuple(value)
            object.__setattr__(options, item.name, value)
        elif default is None:
            kind = Path | str | NoneType
        elif item.name == "style_scale":
            if isinstance(value, list | tuple) and value:
                value = tuple(value) if len(value) > 1 else value[0]
                object.__setattr__(options, item.name, value)
            kind = float | int | tuple if value != () else float | int
        elif kind is float:
            kind = float | int
        if not isinstance(value, kind) or isinstance(value, bool) != isinstance(default, bool):
            raise OptionError(
                f"{_flag(item.name)} is {value!r}, a {type(value).__name__}; it takes a value "
                f"such as {default!r}."
            )
        if isinstance(value, tuple):
            _check_entries(item.name, value)


def _check_entries(name: str, values: tuple[object, ...]) -> None:
    """Refuse entries of a tuple that are of another type."""
    numbers = name in ("style_blend_weights", "style_scale")
    kind, what = (float | int, "numbers") if numbers else (str, "names")
    odd = [value for value in values if not isinstance(value, kind) or isinstance(value, bool)]
    if odd:
        raise OptionError(f"{_flag(name)} has an entry {odd[0]!r:.60}; it takes {what}.")
    if name in ("mask", "style_mask") and not all(values):
        raise OptionError(f"{_flag(name)} is empty; give a picture file, or all.")


def _check_numbers(options: Options) -> None:
    bounds: Mapping[str, tuple[float, float]] = {
        "size": (16, MAX_SIZE),
        "iterations": (1, 10**9),
        "history": (0, 1000),
        "threads": (0, 4096),
        "max_pixels": (1, 10**12),
        "device": (0, 1023),
        "save_every": (0, 10**9),
        "print_every": (0, 10**9),
        "quality": (0, 100),
        "seed": (-1, 2**63 - 1),
        "content_weight": (0, 1e30),
        "style_weight": (0, 1e30),
        "tv_weight": (0, 1e30),
        "average": (0, 0.9999),
        "learning_rate": (0, 1e6),
        "style_scale": (0.01, 100),
    }
    for name, (low, high) in bounds.items():
        given = getattr(options, name)
        for value in given if isinstance(given, tuple) else (given,):
            if not low <= value <= high:  # NaN is not, either
                raise OptionError(
                    f"{_flag(name)} is {value}; it takes a number from {low:g} to {high:g}."
                )
    if options.size * options.largest_style_scale > MAX_SIZE:
        raise OptionError(
            f"--size {options.size} times --style-scale {options.largest_style_scale:g} is more "
            f"than {MAX_SIZE} pixels."
        )
    blend = options.style_blend_weights
    if any(not 0 <= w < math.inf for w in blend) or (blend and sum(blend) <= 0):
        raise OptionError(
            f"--style-blend-weights is {','.join(map(str, blend))}; the weights must be "
            "finite, not negative, and not all zero."
        )


def _check_file(options: Options) -> None:
    if options.bit_depth not in (8, 16):
        raise OptionError(f"--bit-depth is {options.bit_depth}; it takes 8 or 16.")


def _check_layers(options: Options) -> None:
    layer_weights(options.content_layers, "--content-layers")
    styled = layer_weights(options.style_layers, "--style-layers")
    for number, layers in layers_by_style(options.layers_of).items():
        for name in layers:
            if name not in styled:
                raise OptionError(
                    f"--layers-of {number} names {name}, which is none of --style-layers "
                    f"{','.join(styled)}. Add it there, or leave it out here."
                )


def _check_execution(options: Options) -> None:
    if options.memory:
        bytes_from(options.memory, "--memory")
    if options.tile not in ("auto", "whole") and not (
        re.fullmatch("[0-9]{1,8}", options.tile) and 1 <= int(options.tile) <= MAX_SIZE
    ):
        raise OptionError(
            f"--tile is {options.tile!r}; it takes auto, whole, or rows of pixels from 1 to "
            f"{MAX_SIZE}."
        )
    if not options.checkpoint:
        raise OptionError("--checkpoint is empty; give auto, off, or a directory.")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
