"""What a result has to say about where it was measured."""

from __future__ import annotations

import subprocess
from typing import Any

from gpu import gpu_name

from impasto.engine.machine_report import describe_machine

__all__ = ["describe"]


def describe(*, gpu: bool = False) -> dict[str, Any]:
    """Return processor, memory, versions and commit; with `gpu`, which one it is too."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    told = {**describe_machine(), "commit": commit.stdout.strip()}
    return told | ({"gpu": gpu_name()} if gpu else {})
