"""Time one evaluation against PyTorch: the same objective, machine, cores and numbers.

    python benchmarks/peers.py --torch-python PATH --save
    python benchmarks/peers.py --torch-python PATH --gpu --save gpu

One evaluation is the loss and its gradient with respect to the image. Every configuration runs in
a process of its own, so that its peak memory is its own, warms up with one evaluation, and uses
every core. The configurations of one network and size take turns, round by round, so that a noisy
minute hits all of them.

With ``--gpu`` both sides compute on the GPU. PyTorch's image and gradient stay there; Impasto's
come from the processor's memory and go back to it, as its optimizers need them.

Before anything is timed, the two implementations have to agree in float32. At every size, what
each configuration computes is compared with ONNX Runtime, and told in the result.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from machine_description import describe
from performance_tables import agreement_line, peers_table
from problem import Problem, square_problem
from saving import add_origins, add_save_option, save, saved

from impasto.engine.backends import available_backends
from impasto.engine.machine import processor_flags

HERE = Path(__file__).parent
MODELS = ("vgg19", "nin")
SIZES = (256, 512, 784, 1024)
TORCH = ("torch-f32", "torch-f32-nhwc", "torch-bf16", "torch-bf16-nhwc")
ON_GPU = (
    "torch-f32-cuda",
    "torch-f32-cuda-autotune",
    "torch-tf32-cuda-autotune",
    "torch-bf16-nhwc-cuda-autotune",
    "cuda-f32",
    "cuda-f32-autotune",
)
REFERENCE = "onnxruntime-f32"

CHECKED_SIDE = 64
TOLERANCE = 1e-4
SEEDS = (4, 5, 6)
"""Pictures to agree on: one is enough. Where two cells of a pooling's window, or a feature map and
0, are closer together than rounding, two right implementations may differ in a whole region."""


class Peers:
    """Runs configurations in processes of their own.

    Parameters
    ----------
    torch_python : str
        Interpreter with PyTorch.
    folder : path
        For problems and gradients.
    """

    def __init__(self, torch_python: str, folder: Path) -> None:
        self._torch_python = torch_python
        self._folder = folder

    def evaluate(self, problem: Path, configuration: str, seconds: float) -> dict[str, Any]:
        """Return what a process tells of one configuration, and its ``gradient``."""
        gradient = self._folder / "gradient.npy"
        is_torch = configuration.startswith("torch")
        script = HERE / ("torch_evaluation.py" if is_torch else "our_evaluation.py")
        command = [self._torch_python if is_torch else sys.executable, str(script)]
        command += [str(problem), configuration, f"--seconds={seconds}", f"--gradient={gradient}"]
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        told: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
        return {**told, "gradient": np.load(gradient)}

    def written(self, problem: Problem) -> Path:
        """Write the problem for the processes; the one before is replaced."""
        path = self._folder / "problem.npz"
        problem.write(path)
        return path

    def check(self, model: str) -> dict[str, float]:
        """Return how far PyTorch is from Impasto, both in float32; end if they do not agree."""
        for seed in SEEDS:
            path = self.written(square_problem(model, CHECKED_SIDE, seed))
            ours, theirs = (self.evaluate(path, name, 0) for name in (REFERENCE, TORCH[0]))
            found = agreement(theirs, ours)
            print(f"{model}: PyTorch differs from Impasto by {found}", file=sys.stderr)
            if max(found["loss_error"], found["gradient_error"]) <= TOLERANCE:
                return found
        sys.exit(f"PyTorch and Impasto disagree on {model}: nothing is timed.")


def agreement(found: dict[str, Any], reference: dict[str, Any]) -> dict[str, float]:
    """Return how far a loss and a gradient are from the reference's.

    Returns
    -------
    dict of str to float
        ``loss_error`` and ``gradient_error`` are relative, the latter of Euclidean norms;
        ``typical_error`` is the median error of the gradient's entries, relative to their root
        mean square; ``cosine`` is that of the gradients.
    """
    ours, theirs = (np.float64(each["gradient"]).ravel() for each in (found, reference))
    norm = float(np.linalg.norm(theirs))
    return {
        "loss_error": abs(found["loss"] - reference["loss"]) / abs(reference["loss"]),
        "gradient_error": float(np.linalg.norm(ours - theirs)) / norm,
        "typical_error": float(np.median(np.abs(ours - theirs))) / norm * ours.size**0.5,
        "cosine": float(ours @ theirs) / norm / float(np.linalg.norm(ours)),
    }


def measure(peers: Peers, model: str, size: int, asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Return one row for every configuration of a network at a size."""
    path = peers.written(square_problem(model, size))
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in asked.configurations}
    if asked.gpu:
        found[REFERENCE] = [peers.evaluate(path, REFERENCE, 0)]
    timed = [name for name in found if not (asked.gpu and name == REFERENCE)]
    for _ in range(asked.rounds):
        for name in timed:
            print(f"{model} {size} {name}", file=sys.stderr, flush=True)
            found[name].append(peers.evaluate(path, name, asked.seconds))
    return [
        {"model": model, "size": size, "configuration": name}
        | summary(found[name])
        | (agreement(found[name][0], found[REFERENCE][0]) if REFERENCE in found else {})
        for name in timed
    ]


def summary(told: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of one configuration over all rounds."""
    seconds = [value for each in told for value in each["seconds"]]
    return {
        "version": told[0]["version"],
        "median_s": statistics.median(seconds),
        "seconds": seconds,
        "first_s": [each["first_s"] for each in told],
        "peak_rss_bytes": max(each["peak_rss_bytes"] for each in told),
        "gpu_bytes": max(each["gpu_bytes"] for each in told),
    }


def keep_others(result: dict[str, Any], before: dict[str, Any], asked: argparse.Namespace) -> None:
    """Put what was measured before into `result`, but for what is to be measured now."""
    now = {(model, size) for model in asked.models for size in asked.sizes}
    result["agreement"].update(before["agreement"])
    result["rows"] += [row for row in before["rows"] if (row["model"], row["size"]) not in now]


def in_order(row: dict[str, Any]) -> tuple[int, int]:
    """Return where a row stands: by network and size, and as measured among its own."""
    return MODELS.index(row["model"]), row["size"]


def configurations() -> list[str]:
    """Return PyTorch's configurations, and those of ours that this machine runs.

    Where the processor has no bfloat16, PyTorch emulates it, and takes many times as long as in
    float32: that is nobody's choice, and not measured.
    """
    ours = [
        f"{info.name}-{precision}"
        for info in available_backends()
        if info.name != "cuda"
        for precision in info.precisions
    ]
    theirs = [name for name in TORCH if "bf16" not in name or has_bf16()]
    return [*theirs, *sorted(ours)]


def has_bf16() -> bool:
    """Return whether the processor computes in bfloat16."""
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(processor_flags())


def main() -> None:
    """Measure, print a table; with ``--save`` write the result, model by model and size by size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--torch-python", default=sys.executable, help="interpreter with PyTorch")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--configurations", nargs="+", metavar="NAME")
    parser.add_argument("--gpu", action="store_true", help="compare on the GPU")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument(
        "--seconds", type=float, default=1.0, help="how long a process repeats; at least once"
    )
    parser.add_argument(
        "--add",
        action="store_true",
        help="keep what is saved of other networks and sizes, if it is of the same machine",
    )
    add_save_option(parser, "peers")
    asked = parser.parse_args()
    asked.configurations = asked.configurations or (ON_GPU if asked.gpu else configurations())
    result: dict[str, Any] = {"machine": describe(gpu=asked.gpu), "agreement": {}, "rows": []}
    if asked.add:
        keep_others(result, add_origins(result, saved(asked, "peers")), asked)
    with tempfile.TemporaryDirectory() as folder:
        peers = Peers(asked.torch_python, Path(folder))
        for model in asked.models:
            if any(name.startswith("torch") for name in asked.configurations):
                result["agreement"][model] = peers.check(model)
            for size in asked.sizes:
                result["rows"] += measure(peers, model, size, asked)
                result["rows"].sort(key=in_order)
                save(asked, "peers", result)
    print(peers_table(result), agreement_line(result), sep="\n\n")


if __name__ == "__main__":
    main()
