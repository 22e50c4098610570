"""Time what a cache of compiled graphs would save, beside what comes before the first evaluation.

    python benchmarks/compiled_cache.py

For VGG-19's gradient graph: building it, compiling it, and compiling it from what the runtime
itself can keep on disk (OpenVINO's CACHE_DIR, ONNX Runtime's optimised model), with the size of
those files and the first evaluation. Impasto keeps none of them; the figures say why.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import openvino

from impasto.engine.backends import open_backend
from impasto.engine.network import Network, network_for
from impasto.engine.options import Options
from impasto.export.gradient import light_gradient_graph
from impasto.export.light import LightModel
from impasto.models import load_model


def seconds_of(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def graph_of(network: Network, side: int, lowering: str) -> LightModel:
    """Return the gradient graph at a square size."""
    layers = (network.content_layers, network.style_layers)
    return light_gradient_graph(network.encoder, *layers, size=(side, side), lowered_for=lowering)


def kept_by_openvino(model: bytes, folder: Path) -> Callable[[], object]:
    """Return how OpenVINO compiles from its cache in `folder`, which this fills."""
    core = openvino.Core()
    core.set_property({"CACHE_DIR": str(folder)})
    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}

    def compiled() -> object:
        return core.compile_model(core.read_model(model), "CPU", settings)

    compiled()
    return compiled


def kept_by_onnxruntime(model: bytes, folder: Path) -> Callable[[], object]:
    """Return how ONNX Runtime opens the optimised model in `folder`, which this writes."""
    path = folder / "optimised.onnx"
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    plain = onnxruntime.SessionOptions()
    plain.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    plain.log_severity_level = 3

    def opened() -> object:
        return onnxruntime.InferenceSession(str(path), plain, providers=["CPUExecutionProvider"])

    return opened


KEEPERS = {"openvino": kept_by_openvino, "onnxruntime": kept_by_onnxruntime}


def measure(name: str, network: Network, side: int, rounds: int) -> str:
    """Return what one runtime takes, in words."""
    backend = open_backend(name, "f32")
    light = graph_of(network, side, backend.lowering)
    with tempfile.TemporaryDirectory() as folder:
        from_cache = KEEPERS[name](light.whole().SerializeToString(), Path(folder))
        work: dict[str, Callable[[], object]] = {
            "building the graph": partial(graph_of, network, side, backend.lowering),
            "compiling": partial(backend.compile, light),
            "compiling from what was kept": from_cache,
        }
        found = {
            what: statistics.median(seconds_of(call) for _ in range(rounds))
            for what, call in work.items()
        }
        kept = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    rng = np.random.default_rng(1)
    shapes = {
        value.name: [each.dim_value for each in value.type.tensor_type.shape.dim]
        for value in light.model.graph.input
    }
    feeds = {key: np.asarray(rng.uniform(0, 1, shape), np.float32) for key, shape in shapes.items()}
    found["the first evaluation"] = seconds_of(partial(backend.compile(light).run, feeds))
    told = "; ".join(f"{what} {seconds:.2f} s" for what, seconds in found.items())
    return f"{name} f32, {side} pixels: {told}; kept {kept / 1e6:.0f} MB"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=512, help="side of the picture, in pixels")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    network = network_for(load_model("vgg19"), Options())
    for name in KEEPERS:
        print(measure(name, network, asked.size, asked.rounds), flush=True)


if __name__ == "__main__":
    main()
