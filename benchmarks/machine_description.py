"""What a result has to say about where it was measured."""

from __future__ import annotations

import subprocess
from typing import Any

from impasto.engine.machine_report import describe_machine

__all__ = ["describe"]


def describe() -> dict[str, Any]:
    """Return processor, memory, versions and commit."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return {**describe_machine(), "commit": commit.stdout.strip()}
