"""Ops through which no gradient flows: piecewise constant ones, and those that return no reals."""

from __future__ import annotations

from impasto.export.registry import PORTABLE

__all__: list[str] = []

PORTABLE.stops("Shape", "Size", "Constant", "ConstantOfShape", "EyeLike")  # sizes and constants
PORTABLE.stops("Floor", "Ceil", "Round", "Sign")  # zero derivative wherever there is one
PORTABLE.stops("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")  # comparisons
PORTABLE.stops("And", "Or", "Xor", "Not", "IsNaN", "IsInf")  # logic
PORTABLE.stops("ArgMax", "ArgMin", "NonZero")  # indices
