"""How fast this machine evaluates: measured once on a small picture, and remembered.

Only for predictions of time; no result depends on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from impasto.engine.backends.base import FloatArray
from impasto.engine.compilation import Candidate, compile_gradient
from impasto.engine.machine import processor_name
from impasto.engine.network import Network
from impasto.engine.remembered import key_of, recall, remember
from impasto.engine.verify import probe_image
from impasto.engine.workload import whole_work
from impasto.export.guides import UNGUIDED

__all__ = ["bytes_per_second", "multiplications_per_second"]

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
    network = replace(network, guides=UNGUIDED)  # guides do not make a machine faster or slower
    key = key_of(
        candidate.backend.fingerprint,
        candidate.lowering,
        processor_name(),
        repr((threads, network.encoder.name, network.content_layers, network.style_layers)),
    )
    return _measured_once(
        cache, key, lambda: whole_work(network, PROBE) / _seconds(candidate, network)
    )


def bytes_per_second(cache: Path | None) -> float:
    """Return how many bytes NumPy reads and writes in a second, adding up large float32 arrays.

    Parameters
    ----------
    cache : Path, optional
        As for :func:`multiplications_per_second`.
    """
    return _measured_once(cache, key_of("bytes", processor_name()), _moved_bytes_per_second)


def _measured_once(cache: Path | None, key: str, measure: Callable[[], float]) -> float:
    remembered = (recall(cache, key) or {}).get("per_second")
    if isinstance(remembered, float) and 1e6 < remembered < 1e18:
        return remembered
    rate = measure()
    remember(cache, key, {"per_second": rate})
    return rate


def _moved_bytes_per_second() -> float:
    total, part = np.zeros(1 << 24, np.float32), np.zeros(1 << 24, np.float32)
    return 3 * total.nbytes / _fastest(lambda: np.add(total, part, out=total))


def _fastest(work: Callable[[], object]) -> float:
    """Return the seconds of the fastest of a few runs, which other work disturbs least."""
    work()
    seconds = []
    for _ in range(RUNS):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def _seconds(candidate: Candidate, network: Network) -> float:
    """Return the seconds of one evaluation."""
    graph = compile_gradient(candidate, network, PROBE)
    one = np.array(1, np.float32)
    sizes = network.feature_sizes(PROBE)
    inputs: dict[str, FloatArray] = {"tv_weight": one}
    for name in network.content_layers:
        shape = (1, network.encoder.channels(name), *sizes[name])
        inputs |= {f"content.{name}": np.zeros(shape, np.float32), f"content_weight.{name}": one}
    for name in network.style_layers:
        shape2 = (network.encoder.channels(name),) * 2
        inputs |= {f"style.{name}": np.zeros(shape2, np.float32), f"style_weight.{name}": one}
    graph.bind(inputs)
    image = probe_image(PROBE)
    return _fastest(lambda: graph.run({"image": image}))
