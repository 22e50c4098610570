"""Time wide convolutions directly and by Winograd, and whole gradients with either.

    python benchmarks/winograd.py --save

Layers: those of VGG-19, forward and backward, alone or three in a row where in and out are equally
wide, as the lowering meets them. The table `impasto.export.lowerings.WINOGRAD` follows from them.
Gradients: the lowering a runtime has without Winograd against the same with it; peak memory in
processes of their own.

What is compared is interleaved in one process, round by round, so that a noisy minute hits both.
`--processor-time` counts the processor seconds of one thread instead of elapsed ones of all: ratios
that hold on a machine that others use, though not the ones a user meets.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from machine_description import describe

from impasto.engine.backends import available_backends, open_backend
from impasto.engine.backends.base import CompiledGraph, FloatArray
from impasto.engine.compilation import Candidate, compile_gradient
from impasto.engine.machine import peak_rss_bytes
from impasto.engine.network import network_for
from impasto.engine.options import Options
from impasto.engine.verify import probe_image
from impasto.export.graph import GraphBuilder
from impasto.export.lowerings.channels_last import convolve_by_winograd
from impasto.export.lowerings.winograd import Worthwhile
from impasto.models import load_model

RESULTS = Path(__file__).parent / "results"
PLAIN = {"onnxruntime": "nchwc", "openvino": "nhwc"}
IN_A_ROW = 3

# Name, channels read, channels made, and how many times smaller than the picture.
LAYERS = (
    ("conv2_2", 128, 128, 2),
    ("conv3_1", 128, 256, 4),
    ("conv3_2", 256, 256, 4),
    ("conv4_1", 256, 512, 8),
    ("conv4_2", 512, 512, 8),
    ("conv5_1", 512, 512, 16),
)


@dataclass(frozen=True)
class Convolution:
    """One convolution, of a layer or of its backward pass."""

    layer: str
    direction: str
    channels: int
    channels_out: int
    side: int

    @property
    def count(self) -> int:
        """How many there are one after the other."""
        return IN_A_ROW if self.channels == self.channels_out else 1

    def graph(self, by_winograd: bool) -> Any:
        """Return the model: forward with bias and ReLU, backward without."""
        rng = np.random.default_rng(0)
        graph = GraphBuilder()
        value = graph.input("x", (1, self.channels, self.side, self.side))
        for index in range(self.count):
            shape = (self.channels_out, self.channels, 3, 3)
            weight = rng.normal(0, (4.5 * self.channels) ** -0.5, shape).astype(np.float32)
            constants = [graph.constant(weight)]
            if self.direction == "forward":
                bias = rng.normal(0, 0.1, self.channels_out).astype(np.float32)
                constants.append(graph.constant(bias))
            value = graph.op("Conv", value, *constants, pads=[1] * 4, name=f"convolution{index}")
            if self.direction == "forward":
                value = graph.op("Relu", value)
        if by_winograd:
            convolve_by_winograd(graph, (Worthwhile(channels=1, tiles=1),))
        graph.output(value, "y", (1, self.channels_out, self.side, self.side))
        return graph.build("convolution")


def convolutions(sizes: list[int]) -> Iterator[tuple[int, Convolution]]:
    """Yield the picture's size and a convolution, both ways where they differ."""
    for size in sizes:
        for name, channels, channels_out, times in LAYERS:
            yield size, Convolution(name, "forward", channels, channels_out, size // times)
            yield size, Convolution(name, "backward", channels_out, channels, size // times)


@dataclass(frozen=True)
class Clock:
    """What is measured, and on how many threads."""

    read: Callable[[], float]
    threads: int


def interleaved(
    graphs: Mapping[str, CompiledGraph],
    values: Mapping[str, FloatArray],
    rounds: int,
    clock: Clock,
) -> dict[str, list[float]]:
    """Return the seconds of `rounds` runs of each graph, taken in turns after a warm-up."""
    found: dict[str, list[float]] = {name: [] for name in graphs}
    for number in range(rounds + 1):
        for name, graph in graphs.items():
            began = clock.read()
            graph.run(values)
            if number:
                found[name].append(clock.read() - began)
    return found


def time_layer(convolution: Convolution, backend: str, rounds: int, clock: Clock) -> dict[str, Any]:
    """Compare both ways of one convolution."""
    runtime = open_backend(backend, "f32", clock.threads)
    graphs = {
        name: runtime.compile(convolution.graph(name == "winograd"))
        for name in ("direct", "winograd")
    }
    shape = (1, convolution.channels, convolution.side, convolution.side)
    noise = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    values = {"x": np.maximum(noise, 0)}
    results = {name: graph.run(values)["y"].copy() for name, graph in graphs.items()}
    difference = np.linalg.norm(results["winograd"] - results["direct"])
    times = interleaved(graphs, values, rounds, clock)
    each = {name: statistics.median(times[name]) / convolution.count for name in graphs}
    return {
        "layer": convolution.layer,
        "direction": convolution.direction,
        "channels": [convolution.channels, convolution.channels_out],
        "side": convolution.side,
        "backend": backend,
        "direct_ms": round(each["direct"] * 1e3, 2),
        "winograd_ms": round(each["winograd"] * 1e3, 2),
        "ratio": round(each["direct"] / each["winograd"], 3),
        "difference": float(f"{difference / np.linalg.norm(results['direct']):.2g}"),
    }


def gradient_graph(
    backend: str, lowering: str, size: int, threads: int
) -> tuple[CompiledGraph, dict[str, FloatArray]]:
    """Return VGG-19's gradient graph and a picture to run it on."""
    network = network_for(load_model("vgg19"), Options())
    chosen = Candidate(open_backend(backend, "f32", threads), lowering)
    graph = compile_gradient(chosen, network, (size, size))
    one = np.array(1, np.float32)
    sizes = network.feature_sizes((size, size))
    for name in network.content_layers:
        shape = (1, network.encoder.channels(name), *sizes[name])
        graph.bind({f"content.{name}": np.zeros(shape, np.float32), f"content_weight.{name}": one})
    for name in network.style_layers:
        gram = np.zeros((network.encoder.channels(name),) * 2, np.float32)
        graph.bind({f"style.{name}": gram, f"style_weight.{name}": one})
    graph.bind({"tv_weight": one})
    return graph, {"image": probe_image((size, size))}


def time_gradient(backend: str, size: int, rounds: int, clock: Clock) -> dict[str, Any]:
    """Compare whole gradients, and their peak memory."""
    plain = PLAIN[backend]
    lowerings = (plain, f"{plain}-winograd")
    made = {name: gradient_graph(backend, name, size, clock.threads) for name in lowerings}
    graphs = {name: graph for name, (graph, _) in made.items()}
    values = made[plain][1]
    first, second = (
        graphs[name].run(values)["gradient"].ravel().astype(np.float64) for name in lowerings
    )
    cosine = first @ second / (np.linalg.norm(first) * np.linalg.norm(second))
    times = interleaved(graphs, values, rounds, clock)
    medians = {name: statistics.median(times[name]) for name in lowerings}
    return {
        "backend": backend,
        "size": size,
        "cosine": round(float(cosine), 8),
        "ratio": round(medians[plain] / medians[lowerings[1]], 3),
        "seconds": {
            name: {
                "median": round(medians[name], 4),
                "min": round(min(times[name]), 4),
                "max": round(max(times[name]), 4),
            }
            for name in lowerings
        },
        "peak_rss_mb": {name: peak_mb(backend, name, size, clock.threads) for name in lowerings},
    }


def peak_mb(backend: str, lowering: str, size: int, threads: int) -> int:
    """Return the peak memory of three evaluations in a process of their own."""
    command = [sys.executable, __file__, "--peak", backend, lowering, str(size), str(threads)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return round(int(ran.stdout) / 1e6)


def print_peak(backend: str, lowering: str, size: int, threads: int) -> None:
    """Run what `peak_mb` starts."""
    graph, values = gradient_graph(backend, lowering, size, threads)
    for _ in range(3):
        graph.run(values)
    print(peak_rss_bytes())


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[512, 1024], help="for layers")
    parser.add_argument("--gradients", type=int, nargs="*", default=[256, 512, 784])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--processor-time", action="store_true", help="seconds of one thread")
    parser.add_argument("--save", action="store_true", help="write results/winograd.json")
    parser.add_argument("--peak", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.peak:
        print_peak(asked.peak[0], asked.peak[1], int(asked.peak[2]), int(asked.peak[3]))
        return
    clock = Clock(time.process_time, 1) if asked.processor_time else Clock(time.perf_counter, 0)
    backends = [info.name for info in available_backends() if info.available and info.name in PLAIN]
    print(f"{'layer':8} {'size':>5} {'direction':9} {'channels':>9} {'backend':12} "
          f"{'direct ms':>9} {'winograd ms':>11} {'ratio':>6} {'difference':>10}")  # fmt: skip
    layers = []
    for size, convolution in convolutions(asked.sizes):
        for backend in backends:
            row = {"size": size} | time_layer(convolution, backend, asked.rounds, clock)
            layers.append(row)
            print(f"{row['layer']:8} {size:5} {row['direction']:9} "
                  f"{row['channels'][0]:>4}→{row['channels'][1]:<4} {backend:12} "
                  f"{row['direct_ms']:9.1f} {row['winograd_ms']:11.1f} {row['ratio']:6.2f} "
                  f"{row['difference']:10.1e}", flush=True)  # fmt: skip
    gradients = []
    for size in asked.gradients:
        for backend in backends:
            row = time_gradient(backend, size, asked.rounds, clock)
            gradients.append(row)
            for name, seconds in row["seconds"].items():
                print(f"{backend} f32, {name}, {size} px: {seconds['median']:.3f} s, "
                      f"peak {row['peak_rss_mb'][name]} MB", flush=True)  # fmt: skip
            print(f"    {row['ratio']:.2f} times as fast, cosine {row['cosine']:.8f}", flush=True)
    if asked.save:
        RESULTS.mkdir(exist_ok=True)
        report = {
            "machine": describe(),
            "clock": "processor, one thread" if asked.processor_time else "elapsed, all cores",
            "layers": layers,
            "gradients": gradients,
        }
        (RESULTS / "winograd.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
