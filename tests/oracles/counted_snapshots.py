"""Snapshots that show whether they are whole: everything in one is made from the same count.

Also what happens to the process that saves them: see :func:`at_line`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np

from impasto.engine.checkpoint import Snapshot

__all__ = ["at_line", "count_of", "snapshot_of"]

SHAPES = {"x": (3, 300, 300), "best": (7,)}
HISTORY = 2


def snapshot_of(count: int) -> Snapshot:
    """Return the snapshot of this count, with the pairs of the last few."""
    arrays = {name: np.full(shape, count, np.float32) for name, shape in SHAPES.items()}
    pairs = {
        f"s{number}": np.full(500 + number % 5, number, np.float32)
        for number in range(max(0, count - HISTORY + 1), count + 1)
    }
    return Snapshot({"count": count}, arrays, pairs)


def count_of(snapshot: Snapshot) -> int:
    """Return the count a snapshot was made from, or raise if it is not all of one."""
    count = snapshot.header["count"]
    assert isinstance(count, int)
    whole = snapshot_of(count)
    for found, expected in ((snapshot.arrays, whole.arrays), (snapshot.pairs, whole.pairs)):
        assert found.keys() == expected.keys(), count
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array, err_msg=f"{name} of {count}")
    return count


@contextmanager
def at_line(number: int, action: Callable[[], object]) -> Iterator[None]:
    """Act before the `number`-th line that runs of the store; 0: before each.

    The lines of the manifest's syntax do not count: they touch no file, and they are many.
    """
    ran = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal ran
        module, function = frame.f_globals.get("__name__", ""), frame.f_code.co_name
        if not module.startswith("impasto.engine.checkpoint"):
            return None
        if module.endswith(".manifest") and function != "write_manifest":
            return None
        if event == "line":
            ran += 1
            if number in (0, ran):
                action()
        return trace

    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(None)
