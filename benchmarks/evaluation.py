"""Time one evaluation (loss and gradient) of VGG-19 by backend, precision and lowering.

Every configuration runs in a process of its own, so that its peak memory is its own; rounds are
interleaved, so that a noisy minute hits all of them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine_description import describe

from impasto.engine.backends import available_backends, open_backend
from impasto.engine.compilation import Candidate, compile_gradient
from impasto.engine.machine import peak_rss_bytes
from impasto.engine.network import network_for
from impasto.engine.options import Options
from impasto.engine.verify import probe_image
from impasto.models import load_model

RESULTS = Path(__file__).parent / "results"


def measure(backend: str, precision: str, lowering: str, size: int, runs: int) -> dict[str, Any]:
    """Measure one configuration in this process."""
    chosen = open_backend(backend, precision)  # type: ignore[arg-type]
    network = network_for(load_model("vgg19"), Options())
    began = time.perf_counter()
    graph = compile_gradient(Candidate(chosen, lowering), network, (size, size))
    compiled = time.perf_counter() - began
    h = size // 8
    one = np.array(1, np.float32)
    graph.bind({"content.relu4_2": np.zeros((1, 512, h, h), np.float32), "tv_weight": one})
    graph.bind({"content_weight.relu4_2": one})
    for name in network.style_layers:
        channels = network.encoder.channels(name)
        graph.bind({f"style.{name}": np.zeros((channels, channels), np.float32)})
        graph.bind({f"style_weight.{name}": one})
    image = probe_image((size, size))
    graph.run({"image": image})
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        graph.run({"image": image})
        seconds.append(time.perf_counter() - began)
    return {"compile": compiled, "seconds": seconds, "peak_rss_bytes": peak_rss_bytes()}


def configurations() -> list[tuple[str, str, str]]:
    """Return (backend, precision, lowering) of everything this machine runs."""
    found = [
        (info.name, precision, "portable")
        for info in available_backends()
        for precision in info.precisions
    ]
    return [("onnxruntime", "f32", "nchwc"), *found]


def main() -> None:
    """Run the benchmark and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=3, help="evaluations a round")
    parser.add_argument("--save", action="store_true", help="write results/evaluation_SIZE.json")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        backend, precision, lowering = arguments.one
        measured = measure(backend, precision, lowering, arguments.size, arguments.runs)
        print(json.dumps(measured))
        return
    results: dict[str, list[dict[str, Any]]] = {" ".join(c): [] for c in configurations()}
    for _ in range(arguments.rounds):
        for key, runs in results.items():
            command = [sys.executable, __file__, "--one", *key.split()]
            command += ["--size", str(arguments.size), "--runs", str(arguments.runs)]
            ran = subprocess.run(command, capture_output=True, text=True, check=True)
            runs.append(json.loads(ran.stdout))
    rows = {key: summary(measured) for key, measured in results.items()}
    print(f"VGG-19, {arguments.size}x{arguments.size}, loss and gradient")
    print(f"{'configuration':32} {'median s':>9} {'min':>7} {'max':>7} {'compile s':>10} {'MB':>6}")
    for key, row in rows.items():
        print(
            f"{key:32} {row['median']:9.3f} {row['min']:7.3f} {row['max']:7.3f} "
            f"{row['compile']:10.2f} {row['peak_rss_mb']:6.0f}"
        )
    if arguments.save:
        RESULTS.mkdir(exist_ok=True)
        report = {"machine": describe(), "size": arguments.size, "rows": rows}
        path = RESULTS / f"evaluation_{arguments.size}.json"
        path.write_text(json.dumps(report, indent=1) + "\n")


def summary(measured: list[dict[str, Any]]) -> dict[str, float]:
    """Return the median and spread over all rounds."""
    seconds = [value for entry in measured for value in entry["seconds"]]
    return {
        "median": round(statistics.median(seconds), 4),
        "min": round(min(seconds), 4),
        "max": round(max(seconds), 4),
        "compile": round(statistics.median(entry["compile"] for entry in measured), 3),
        "peak_rss_mb": round(max(entry["peak_rss_bytes"] for entry in measured) / 1e6),
    }


if __name__ == "__main__":
    main()
