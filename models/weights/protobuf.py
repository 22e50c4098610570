"""Reads Protocol Buffers' wire format, without a schema and without trusting a length.

A message is a sequence of fields. Each is a key, a varint of ``number << 3 | wire type``, and a
value: a varint (wire type 0: base-128 digits of seven bits, lowest first, the eighth bit set on all
but the last), eight bytes (1), a length as a varint and as many bytes (2), or four bytes (5).
Strings, messages inside messages and *packed* arrays of numbers are all of wire type 2.

A varint has at most ten bytes, and no value reaches beyond the message it is in. Values are views
of the file, so that what nobody asks for is never loaded. Groups (wire types 3 and 4, given up
before any file read here was written) are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["FIXED32", "FIXED64", "LENGTH", "VARINT", "Field", "ProtobufError", "fields", "varint"]

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5

_MAX_VARINT_BYTES = 10
_MAX_FIELD_NUMBER = 2**29 - 1
_FIXED_BYTES = {FIXED64: 8, FIXED32: 4}
_NO_BYTES = memoryview(b"")


class ProtobufError(ValueError):
    """Bytes that are no message, and where."""


class Field(NamedTuple):
    """One field of a message.

    Parameters
    ----------
    number : int
        Which field.
    wire : int
        Wire type: `VARINT`, `FIXED64`, `LENGTH` or `FIXED32`.
    integer : int
        Value of a varint, in [0, 2⁶⁴); 0 for the others.
    data : memoryview
        Bytes of the value; empty for a varint.
    """

    number: int
    wire: int
    integer: int
    data: memoryview


def fields(message: memoryview) -> Iterator[Field]:
    """Yield the fields of a message in order.

    Raises
    ------
    ProtobufError
        If a value reaches beyond the message, or is of no known wire type.
    """
    position = 0
    while position < len(message):
        begin = position
        key, position = varint(message, position)
        number, wire = key >> 3, key & 7
        if not 1 <= number <= _MAX_FIELD_NUMBER:
            raise ProtobufError(f"field number {number} at byte {begin} of a message")
        if wire == VARINT:
            integer, position = varint(message, position)
            yield Field(number, wire, integer, _NO_BYTES)
            continue
        if wire == LENGTH:
            size, position = varint(message, position)
        elif wire in _FIXED_BYTES:
            size = _FIXED_BYTES[wire]
        else:
            raise ProtobufError(f"field {number} has wire type {wire}, expected 0, 1, 2 or 5")
        if size > len(message) - position:
            raise ProtobufError(
                f"field {number} has {size} bytes, but its message only "
                f"{len(message) - position} more"
            )
        yield Field(number, wire, 0, message[position : position + size])
        position += size


def varint(message: memoryview, position: int) -> tuple[int, int]:
    """Return the varint at `position`, in [0, 2⁶⁴), and the position after it.

    Raises
    ------
    ProtobufError
        If it is cut off, or longer than 64 bits.
    """
    value = 0
    for index, byte in enumerate(message[position : position + _MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if value >= 2**64:
                break
            return value, position + index + 1
    raise ProtobufError(f"the integer at byte {position} of a message is cut off or too long")
