"""Amounts of memory and time as people write them."""

from __future__ import annotations

import re

from impasto.errors import OptionError

__all__ = ["bytes_from", "duration_text", "memory_text"]

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def bytes_from(text: str, what: str) -> int:
    """Return the bytes that a text such as ``8G``, ``900M`` or ``1.5GiB`` stands for.

    Parameters
    ----------
    text : str
        A number and a unit: K, M, G and T are powers of 1024, with or without ``B`` or ``iB``.
    what : str
        Where the text is from, for the message.

    Raises
    ------
    OptionError
        If it is no such text.
    """
    pattern = r"([0-9]{1,15}(?:\.[0-9]{1,15})?) ?([KMGT]?)(?:I?B)?"
    found = re.fullmatch(pattern, text.strip().upper())
    if not found or not float(found[1]):
        raise OptionError(f"{what} is {text!r}; it takes an amount such as 8G, 1.5G or 900M.")
    return round(float(found[1]) * _UNITS[found[2]])


def memory_text(amount: float) -> str:
    """Return an amount of memory for a person: ``812 MB``, ``5.9 GB``; 1 GB is 2^30 bytes."""
    if amount >= 2**30:
        return f"{amount / 2**30:.1f} GB"
    return f"{amount / 2**20:.0f} MB"


def duration_text(seconds: float) -> str:
    """Return a duration for a person: ``41 s``, ``12 min``, ``3.5 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
