"""Measure one evaluation, whole and in strips, against the size: seconds, and peak memory.

Every configuration runs in a process of its own, so that its peak memory is its own; rounds are
interleaved, so that a noisy minute hits all of them.

    python benchmarks/any_size.py --backend onnxruntime --precision f32 \
        1024x1024:whole 4096x4096:strips --save

A case is ``WIDTHxHEIGHT:whole`` or ``WIDTHxHEIGHT:strips[:ROWS[:KEEPING]]``, where ROWS is the
most rows of a segment's input in a strip and KEEPING ``none``, ``deep1``, ``deep2``, ``deep3``,
``signs`` or ``both``.
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

from impasto.engine.backends import open_backend
from impasto.engine.compilation import Candidate, compile_gradient
from impasto.engine.keepings import keepings
from impasto.engine.machine import peak_rss_bytes
from impasto.engine.network import Network, network_for
from impasto.engine.objective import Objective, weights_for
from impasto.engine.options import Options
from impasto.engine.presets import preset_options
from impasto.engine.streamed_objective import StreamedObjective
from impasto.engine.streaming import Keeping, StreamedNetwork, Streaming
from impasto.engine.verify import probe_image
from impasto.export.encoder import Encoder, feature_size
from impasto.export.strips import segments_of
from impasto.models import load_model, model_spec
from impasto.models.weights.random_weights import random_weights

RESULTS = Path(__file__).parent / "results"


def measure(model: str, backend: str, precision: str, case: str, runs: int) -> dict[str, Any]:
    """Measure one case in this process."""
    size, mode, *rest = case.split(":")
    width, height = map(int, size.split("x"))
    chosen = open_backend(backend, precision)  # type: ignore[arg-type]
    network, options = _network(model)
    base = peak_rss_bytes()
    image = probe_image((height, width))
    targets = _targets(network, (height, width))
    weights = weights_for(network, options, (height, width))
    candidate = Candidate(chosen, chosen.lowering)
    objective: Objective | StreamedObjective
    if mode == "whole":
        graph = compile_gradient(candidate, network, (height, width))
        objective = Objective(graph, targets, weights)
    else:
        rows = int(rest[0]) if rest else 64
        keeping = _keeping(network, rest[1] if len(rest) > 1 else "none")
        count = len(segments_of(network.encoder.layers))
        streaming = Streaming((rows,) * count, keeping)
        streamed = StreamedNetwork(network, chosen, candidate.lowering, (height, width), streaming)
        objective = StreamedObjective(streamed, targets, weights)
    began = time.perf_counter()
    objective(image)
    first = time.perf_counter() - began
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        objective(image)
        seconds.append(time.perf_counter() - began)
    return {
        "first": first,
        "seconds": seconds or [first],
        "base_rss_bytes": base,
        "peak_rss_bytes": peak_rss_bytes(),
    }


def _network(model: str) -> tuple[Network, Options]:
    if model != "nin":
        options = preset_options("default", {"model": model})
        return network_for(load_model(model), options), options
    # NIN's weights are not in the package; time and memory do not depend on them.
    options, spec = preset_options("nin", {}), model_spec("nin")
    layers = options.content_layers
    chain = spec.architecture.truncated(layers)
    arrays = random_weights(spec.architecture, seed=1)
    encoder = Encoder("nin", chain.layers, arrays, spec.preprocessing)
    return Network(encoder, layers, options.style_layers), options


def _targets(network: Network, size: tuple[int, int]) -> dict[str, Any]:
    names, layers = [layer.name for layer in network.encoder.layers], network.encoder.layers
    targets = {}
    for name in network.content_layers:
        spatial = feature_size(layers[: names.index(name) + 1], *size)
        shape = (1, network.encoder.channels(name), *spatial)
        targets[f"content.{name}"] = np.ones(shape, np.float32)
    for name in network.style_layers:
        targets[f"style.{name}"] = np.zeros((network.encoder.channels(name),) * 2, np.float32)
    return targets


def _keeping(network: Network, name: str) -> Keeping:
    """Return one of those that the plan chooses from: ``none``, ``deep1``… ``signs``, ``both``."""
    known = list(keepings(network, "f32"))
    deep = sum(1 for each in known if each.features and not each.signs)
    names = ["none", *(f"deep{n + 1}" for n in range(deep)), "signs", "both"]
    return dict(zip(names, known, strict=False))[name]


def main() -> None:
    """Run the cases and print a table; with ``--save`` write the result too."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="+")
    parser.add_argument("--model", default="vgg19")
    parser.add_argument("--backend", default="onnxruntime")
    parser.add_argument("--precision", default="f32")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--save", metavar="NAME", help="write results/NAME.json")
    parser.add_argument("--child", action="store_true")
    asked = parser.parse_args()
    network = (asked.model, asked.backend, asked.precision)
    if asked.child:
        print(json.dumps(measure(*network, asked.cases[0], asked.runs)))
        return
    options = [
        f"--{n}={v}" for n, v in zip(("model", "backend", "precision"), network, strict=True)
    ]
    found: dict[str, list[dict[str, Any]]] = {case: [] for case in asked.cases}
    for _ in range(asked.rounds):
        for case in asked.cases:
            command = [sys.executable, __file__, case, "--child", f"--runs={asked.runs}", *options]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[case].append(json.loads(done.stdout.splitlines()[-1]))
    rows = []
    print(
        f"{'case':34}",
        *(f"{head:>8}" for head in ("s", "s/Mpx", "first s", "base MB", "peak MB", "B/px")),
    )
    for case, results in found.items():
        width, height = map(int, case.split(":")[0].split("x"))
        seconds = [second for result in results for second in result["seconds"]]
        row = {
            "case": case,
            "pixels": width * height,
            "median_s": statistics.median(seconds),
            "seconds": seconds,
            "first_s": [result["first"] for result in results],
            "base_rss_bytes": max(result["base_rss_bytes"] for result in results),
            "peak_rss_bytes": max(result["peak_rss_bytes"] for result in results),
        }
        rows.append(row)
        print(
            f"{case:34} {row['median_s']:8.2f} {row['median_s'] / row['pixels'] * 1e6:8.3f} "
            f"{row['first_s'][0]:8.2f} {row['base_rss_bytes'] / 2**20:8.0f} "
            f"{row['peak_rss_bytes'] / 2**20:8.0f} "
            f"{(row['peak_rss_bytes'] - row['base_rss_bytes']) / row['pixels']:8.0f}",
            flush=True,
        )
    if asked.save:
        RESULTS.mkdir(exist_ok=True)
        result = {
            "machine": describe(),
            "model": asked.model,
            "backend": asked.backend,
            "precision": asked.precision,
            "cases": rows,
        }
        (RESULTS / f"{asked.save}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
