"""Import the runtimes without letting them report their use.

Impasto sends nothing to anyone, and so must not start somebody else's reporting. Both runtimes
report by default, from the moment they are imported: ONNX Runtime 1.29 and newer to Microsoft
(`Privacy.md` in its package), OpenVINO to Google Analytics. Both also write an identifier into the
user's home directory, and where the network drops packets OpenVINO's report delays the end of the
process by the time limit of its connection.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import cast

__all__ = ["telemetry_off"]

_REPORTER = "openvino_telemetry"


@contextmanager
def telemetry_off() -> Iterator[None]:
    """Switch the runtimes' reporting off for imports inside the block.

    ONNX Runtime reads ``ORT_DISABLE_TELEMETRY`` once, when it is loaded; a value that is already
    set is left alone. OpenVINO has no switch short of a file in the home directory, but runs
    without its reporting package, which is therefore hidden from it. A runtime that the embedding
    program imported earlier is not touched: its settings are that program's.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    if _REPORTER in sys.modules:
        yield
        return
    # None makes an import of the package fail, as if it were not installed.
    sys.modules[_REPORTER] = cast(ModuleType, None)
    try:
        yield
    finally:
        del sys.modules[_REPORTER]
