"""Measure what the machine can do, and how much of it an evaluation uses.

    python benchmarks/roofline.py --save

The peaks are the fastest of many runs of the work that networks are made of: a product of two
4096x4096 matrices, by NumPy's BLAS and by each runtime, and four 3x3 convolutions of 512 channels
at 64x64 cells in a row, by each runtime. An evaluation (the loss and its gradient) counts 2
operations for every multiplication of its convolutions, forward and backward, and of its Gram
matrices; a lowering that needs fewer of them (Winograd) is therefore credited with those it saves.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from machine_description import describe
from onnx import TensorProto, helper, numpy_helper
from peers import MODELS, Peers, configurations
from performance_tables import roofline_table
from problem import square_problem
from saving import add_save_option, save

from impasto.engine.backends import open_backend
from impasto.engine.network import Network
from impasto.engine.workload import whole_work

SIDE = 4096
CHANNELS, CELLS, DEPTH = 512, 64, 4
PRODUCT, CONVOLUTION = "product", "convolution"
SHAPES = {
    PRODUCT: f"{SIDE}x{SIDE} by {SIDE}x{SIDE}",
    CONVOLUTION: f"{DEPTH} in a row, {CHANNELS} to {CHANNELS} channels at {CELLS}x{CELLS}",
}
FLOP = {PRODUCT: 2.0 * SIDE**3, CONVOLUTION: 2.0 * DEPTH * (9 * CHANNELS**2) * CELLS**2}


def evaluation_flop(network: Network, size: tuple[int, int]) -> float:
    """Return the operations of one evaluation in one piece, 2 for each multiplication.

    The Gram matrix of a (C, h w) feature map takes C^2 h w multiplications, its gradient as many.
    """
    sizes = network.feature_sizes(size)
    grams = sum(
        2.0 * network.encoder.channels(name) ** 2 * math.prod(sizes[name])
        for name in network.style_layers
    )
    return 2 * (whole_work(network, size) + grams)


def peak_model(work: str) -> onnx.ModelProto:
    """Return the graph of a peak: input ``image``, output ``result``."""
    generator = np.random.default_rng(1)
    weights: dict[str, np.ndarray[Any, np.dtype[np.float32]]]
    if work == PRODUCT:
        shape: tuple[int, ...] = (SIDE, SIDE)
        weights = {"w": generator.standard_normal(shape, np.float32)}
        nodes = [helper.make_node("MatMul", ["image", "w"], ["result"])]
    else:
        shape = (1, CHANNELS, CELLS, CELLS)
        kernel = (CHANNELS, CHANNELS, 3, 3)
        values = ["image", *(f"value{n}" for n in range(1, DEPTH)), "result"]
        weights = {
            f"w{n}": generator.standard_normal(kernel, np.float32) / np.float32(3 * CHANNELS**0.5)
            for n in range(DEPTH)
        }
        nodes = [
            helper.make_node("Conv", [values[n], f"w{n}"], [values[n + 1]], pads=[1, 1, 1, 1])
            for n in range(DEPTH)
        ]
    graph = helper.make_graph(
        nodes,
        work,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def measure_peak(work: str, configuration: str, seconds: float) -> list[float]:
    """Return the GFLOP/s of every run, in this process."""
    name, precision = configuration.split("-")
    generator = np.random.default_rng(2)
    run: Callable[[], object]
    if name == "numpy":
        left, right = (generator.standard_normal((SIDE, SIDE), np.float32) for _ in range(2))
        result = np.empty_like(left)

        def run() -> object:
            return np.matmul(left, right, out=result)
    else:
        model = peak_model(work)
        graph = open_backend(name, precision).compile(model)  # type: ignore[arg-type]
        dimensions = model.graph.input[0].type.tensor_type.shape.dim
        image = generator.standard_normal([each.dim_value for each in dimensions], np.float32)

        def run() -> object:
            return graph.run({"image": image})

    run()
    rates: list[float] = []
    ends = time.perf_counter() + seconds
    while not rates or time.perf_counter() < ends:
        began = time.perf_counter()
        run()
        rates.append(FLOP[work] / (time.perf_counter() - began) / 1e9)
    return rates


def peaks(ours: list[str], rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Return the rows of all peaks, each measured in processes of its own."""
    cases = [(PRODUCT, "numpy-f32"), *((work, name) for work in SHAPES for name in ours)]
    rows: list[dict[str, Any]] = [
        {"work": work, "shape": SHAPES[work], "configuration": name, "gflops": []}
        for work, name in cases
    ]
    for _ in range(rounds):
        for row in rows:
            command = [sys.executable, __file__, "--one", row["work"], row["configuration"]]
            ran = subprocess.run(
                [*command, f"--seconds={seconds}"], stdout=subprocess.PIPE, text=True, check=True
            )
            row["gflops"] += json.loads(ran.stdout)
    return rows


def evaluations(names: list[str], asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row for every network, size and configuration."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        peers = Peers(asked.torch_python, Path(folder))
        for model in asked.models:
            for size in asked.sizes:
                problem = square_problem(model, size)
                path = peers.written(problem)
                seconds: dict[str, list[float]] = {name: [] for name in names}
                for _ in range(asked.rounds):
                    for name in names:
                        seconds[name] += peers.evaluate(path, name, asked.seconds)["seconds"]
                rows += [
                    {
                        "model": model,
                        "size": size,
                        "configuration": name,
                        "gflop": evaluation_flop(problem.network, problem.size) / 1e9,
                        "median_s": statistics.median(values),
                        "seconds": values,
                    }
                    for name, values in seconds.items()
                ]
    return rows


def main() -> None:
    """Measure and print; with ``--save`` write the result too."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--sizes", nargs="+", type=int, default=(512,))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long a process repeats")
    parser.add_argument("--torch-python", default="", help="also measure PyTorch's evaluations")
    add_save_option(parser, "roofline")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        work, configuration = asked.one
        print(json.dumps(measure_peak(work, configuration, asked.seconds)))
        return
    names = configurations()
    ours = [name for name in names if not name.startswith("torch")]
    result = {
        "machine": describe(),
        "peaks": peaks(ours, asked.rounds, asked.seconds),
        "evaluations": evaluations(names if asked.torch_python else ours, asked),
    }
    print(roofline_table(result))
    save(asked, "roofline", result)


if __name__ == "__main__":
    main()
