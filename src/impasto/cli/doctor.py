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
from impasto.errors import BackendUnavailableError

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
    from impasto.engine import machine
    from impasto.engine.backends import available_backends
    from impasto.models.weights.cache import cache_directory

    installed = installed_runtimes()
    conflict = runtime_conflict(installed)
    return {
        "impasto": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": machine.processor_name(),
        "threads": machine.available_cores(),
        "memory": {
            "total_bytes": machine.total_memory(),
            "available_bytes": machine.available_memory(),
        },
        "cache": str(cache_directory()),
        "installed": installed,
        "backends": [asdict(backend) for backend in available_backends()],
        "auto": _automatic_choice(),
        "problems": [conflict] if conflict else [],
    }


def _automatic_choice() -> dict[str, Any]:
    from impasto.engine.backends import choose

    try:
        backend, precision, reason = choose()
    except BackendUnavailableError as error:
        return {"backend": None, "precision": None, "reason": str(error)}
    return {"backend": backend, "precision": precision, "reason": reason}


def _page(facts: dict[str, Any]) -> str:
    """Return the findings as text for a person."""
    memory, auto = facts["memory"], facts["auto"]
    choice = f"{auto['backend']} in {auto['precision']}" if auto["backend"] else "nothing"
    return "\n".join(
        (
            f"Impasto    {facts['impasto']}, Python {facts['python']}, {facts['system']}",
            f"Processor  {facts['processor']}; {facts['threads']} threads",
            f"Memory     {_gigabytes(memory['available_bytes'])} available of "
            f"{_gigabytes(memory['total_bytes'])}, within the container's limits",
            f"Weights    {facts['cache']}",
            "",
            "Backends",
            *map(_backend_line, facts["backends"]),
            "",
            f"--backend auto chooses {choice}: {auto['reason'].rstrip('.')}.",
        )
    )


def _backend_line(backend: dict[str, Any]) -> str:
    if backend["available"]:
        state = f"{backend['version']}, {', '.join(backend['precisions'])}: {backend['detail']}"
    else:
        state = f"not available. {backend['detail']}"
    return f"  {backend['name']:<12} {state}"


def _gigabytes(count: int | None) -> str:
    return "an unknown amount" if count is None else f"{count / 1e9:.1f} GB"
