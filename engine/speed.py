"""How fast this machine evaluates: measured once on a small picture, and remembered.

Only for predictions of time; no result depends on it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from pathlib import Path

import numpy as np

from impasto.engine.backends.base import FloatArray
from impasto.engine.compilation import Candidate, compile_gradient
from impasto.engine.machine import processor_name
from impasto.engine.network import Network
from impasto.engine.verify import probe_image
from impasto.engine.workload import feature_sizes, whole_work

__all__ = ["multiplications_per_second"]

logger = logging.getLogger(__name__)

PROBE = (256, 256)
RUNS = 3


def multiplications_per_second(
    candidate: Candidate, network: Network, threads: int, cache: Path | None
) -> float:
    """Return how many multiplications of an untiled evaluation are done in a second.

    Parameters
    ----------
    candidate : Candidate
    network : Network
    threads : int
        What the backend was given; part of what a remembered number is filed under.
    cache : Path, optional
        Directory to remember numbers in; None neither reads nor writes.
    """
    key = hashlib.sha256(
        repr(
            (
                candidate.backend.fingerprint,
                candidate.lowering,
                processor_name(),
                threads,
                network.encoder.name,
                network.content_layers,
                network.style_layers,
            )
        ).encode()
    ).hexdigest()[:32]
    remembered = _recall(cache, key)
    if remembered is not None:
        return remembered
    rate = whole_work(network, PROBE) / _seconds(candidate, network)
    _remember(cache, key, rate)
    return rate


def _seconds(candidate: Candidate, network: Network) -> float:
    """Return the fastest of a few evaluations, which other work on the machine disturbs least."""
    graph = compile_gradient(candidate, network, PROBE)
    one = np.array(1, np.float32)
    sizes = feature_sizes(network, PROBE)
    inputs: dict[str, FloatArray] = {"tv_weight": one}
    for name in network.content_layers:
        shape = (1, network.encoder.channels(name), *sizes[name])
        inputs |= {f"content.{name}": np.zeros(shape, np.float32), f"content_weight.{name}": one}
    for name in network.style_layers:
        shape2 = (network.encoder.channels(name),) * 2
        inputs |= {f"style.{name}": np.zeros(shape2, np.float32), f"style_weight.{name}": one}
    graph.bind(inputs)
    image = probe_image(PROBE)
    graph.run({"image": image})
    seconds = []
    for _ in range(RUNS):
        began = time.perf_counter()
        graph.run({"image": image})
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def _recall(cache: Path | None, key: str) -> float | None:
    if cache is None:
        return None
    try:
        rate = json.loads((cache / f"{key}.json").read_text())["multiplications_per_second"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None  # absent or damaged: measure again
    return float(rate) if isinstance(rate, float) and 1e6 < rate < 1e18 else None


def _remember(cache: Path | None, key: str, rate: float) -> None:
    if cache is None:
        return
    try:
        cache.mkdir(parents=True, exist_ok=True)
        temporary = cache / f"{key}.{os.getpid()}.tmp"
        temporary.write_text(json.dumps({"multiplications_per_second": rate}))
        temporary.replace(cache / f"{key}.json")
    except OSError as error:
        logger.info("The speed is not remembered: %s", error)
