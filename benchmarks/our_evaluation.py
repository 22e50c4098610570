"""Time one evaluation with Impasto, in a process of its own; see peers.py.

    python benchmarks/our_evaluation.py PROBLEM BACKEND-PRECISION --seconds 2 --gradient OUT.npy

Prints one line of JSON, with the same keys as torch_evaluation.py.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from gpu import gpu_memory_in_use
from problem import read_problem

from impasto.engine.backends import open_backend
from impasto.engine.compilation import Candidate, compile_gradient
from impasto.engine.machine import peak_rss_bytes
from impasto.engine.objective import Objective

MOST_RUNS = 50


def main() -> None:
    """Measure one configuration."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("problem", type=Path)
    parser.add_argument("configuration", help="such as openvino-bf16, or cuda-f32-autotune")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long to repeat")
    parser.add_argument("--gradient", type=Path, help="where to save the gradient")
    asked = parser.parse_args()
    problem = read_problem(asked.problem)
    name, precision, *words = asked.configuration.split("-")
    before = gpu_memory_in_use() if name == "cuda" else 0
    backend = open_backend(name, precision, autotune="autotune" in words)
    began = time.perf_counter()
    graph = compile_gradient(Candidate(backend, backend.lowering), problem.network, problem.size)
    objective = Objective(graph, problem.targets, problem.weights)
    loss, gradient = objective(problem.image)  # the warm-up
    first = time.perf_counter() - began
    if asked.gradient:
        np.save(asked.gradient, gradient)
    seconds: list[float] = []
    while not seconds or (sum(seconds) < asked.seconds and len(seconds) < MOST_RUNS):
        began = time.perf_counter()
        objective(problem.image)
        seconds.append(time.perf_counter() - began)
    print(
        json.dumps(
            {
                "loss": loss,
                "first_s": first,
                "seconds": seconds,
                "peak_rss_bytes": peak_rss_bytes(),
                "gpu_bytes": gpu_memory_in_use() - before if name == "cuda" else 0,
                "version": backend.fingerprint,
            }
        )
    )


if __name__ == "__main__":
    main()
