"""``impasto doctor``: what this machine has, and what ``auto`` would choose."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Collection
from dataclasses import asdict
from typing import Annotated, Any

import typer

from impasto import __version__
from impasto.cli.messages import Debug, say

__all__ = ["doctor", "installed_runtimes", "runtime_conflict"]

_RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "openvino")


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: Debug = False,
) -> None:
    """Say what this machine has, and what `auto` would choose."""
    facts = _facts()
    print(json.dumps(facts) if as_json else _page(facts))
    for problem in facts["problems"]:
        say(problem)


def installed_runtimes() -> dict[str, str]:
    """Return the versions of the runtime distributions that are installed, by name."""
    found = {}
    for name in _RUNTIMES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def runtime_conflict(installed: Collection[str]) -> str | None:
    """Return what to do if both distributions of ONNX Runtime are installed.

    They write to the same folder: whichever was installed last wins, file by file.
    """
    if not {"onnxruntime", "onnxruntime-gpu"} <= set(installed):
        return None
    return (
        "onnxruntime and onnxruntime-gpu are both installed; they share a folder, and only chance "
        "says which one runs. Remove both (pip uninstall onnxruntime onnxruntime-gpu), then "
        "install one: onnxruntime-gpu for --backend cuda, otherwise onnxruntime."
    )


def _facts() -> dict[str, Any]:
    """Return all findings as plain JSON values."""
    from impasto.engine.backends import available_backends
    from impasto.engine.machine import processor_name
    from impasto.models.weights.cache import cache_directory

    installed = installed_runtimes()
    conflict = runtime_conflict(installed)
    return {
        "impasto": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": processor_name(),
        "cache": str(cache_directory()),
        "installed": installed,
        "backends": [asdict(backend) for backend in available_backends()],
        "problems": [conflict] if conflict else [],
    }


def _page(facts: dict[str, Any]) -> str:
    """Return the findings as lines for a person."""
    lines = [
        ("Impasto", f"{facts['impasto']}, Python {facts['python']}, {facts['system']}"),
        ("Processor", facts["processor"]),
        ("Cache", facts["cache"]),
        *((each["name"], each["detail"]) for each in facts["backends"]),
    ]
    return "\n".join(f"{name:<12} {text}" for name, text in lines)
