"""Time until the loss that 500 evaluations of neural-style's recipe reach in PyTorch.

    python benchmarks/time_to_loss.py --torch-python PATH --torch-curve FILE --save

On one side neural-style's recipe: L-BFGS from noise, in PyTorch and float32. On the other the
default preset. Both minimise the same objective (content 5, style 100, total variation 1e-3) with
the same weights and pictures, and use every core. The loss to reach is the lowest of PyTorch's
500 evaluations; images of Impasto's run are judged afterwards, outside the clock, in float32 on
ONNX Runtime, whatever precision the run itself had.

PyTorch needs many minutes a pair. With ``--torch-curve`` its losses and seconds are kept in a file
and taken from it the next time; ``--retime N`` times N evaluations anew, for another machine or
another hour, and keeps the losses. ``--torch-saved`` takes PyTorch's side from the saved
result.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from machine_description import describe
from performance_tables import time_to_loss_table
from problem import EXAMPLES, Problem, painting_problem
from saving import add_save_option, save, saved

from impasto import Iterate, Options, stylize
from impasto.engine.backends import open_backend
from impasto.engine.backends.base import FloatArray
from impasto.export.gradient import build_gradient_graph

HERE = Path(__file__).parent
SEED = 1
STYLE_WEIGHT = 100.0
"""That of neural-style; the content's 5 and the total variation's 1e-3 are the default anyway."""

MARGIN = 1.1
"""An image is judged in float32 if the run's own loss is at most so many times the loss to reach;
the two losses must be closer than that, or the first image to reach it could be missed."""
JUDGED_EVERY = 10
"""Beside those, every so many iterations are judged, for the curve."""


class Judge:
    """The loss of images in float32, whatever a run computed in.

    Parameters
    ----------
    problem : Problem
    """

    def __init__(self, problem: Problem) -> None:
        network = problem.network
        model = build_gradient_graph(
            network.encoder, network.content_layers, network.style_layers, size=problem.size
        )
        self._graph = open_backend("onnxruntime", "f32").compile(model, ["loss"])
        self._graph.bind({**problem.targets, **problem.weights})

    def __call__(self, image: FloatArray) -> float:
        """Return the loss of an image of shape (1, 3, H, W)."""
        return float(self._graph.run({"image": image})["loss"])


def torch_run(problem: Problem, torch_python: str, evaluations: int) -> dict[str, Any]:
    """Return PyTorch's ``losses`` and ``seconds``, evaluation by evaluation."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problem.npz"
        problem.write(path)
        command = [torch_python, str(HERE / "torch_lbfgs.py"), str(path)]
        command += [f"--evaluations={evaluations}"]
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return told


def torch_curve(pair: tuple[str, str], asked: argparse.Namespace) -> dict[str, Any]:
    """Return PyTorch's run on a pair, from the file if it is there."""
    options = replace(_options(asked), init="noise", seed=SEED)
    kept: dict[str, Any] = {}
    if asked.torch_curve and asked.torch_curve.exists():
        kept = json.loads(asked.torch_curve.read_text())
    key = f"{'+'.join(pair)} {asked.size}px {asked.evaluations} evaluations"
    if key not in kept:
        problem = painting_problem(pair, options)
        kept[key] = torch_run(problem, asked.torch_python, asked.evaluations)
        kept[key]["machine"] = describe()
        # What both sides minimise is the same, or the comparison says nothing.
        error = abs(Judge(problem)(problem.image) / kept[key]["losses"][0] - 1)
        if error > 1e-4:
            sys.exit(f"PyTorch's first loss differs from Impasto's by {error:.1e}: not comparable.")
        if asked.torch_curve:
            asked.torch_curve.write_text(json.dumps(kept) + "\n")
    curve: dict[str, Any] = kept[key]
    if asked.retime:
        told = torch_run(painting_problem(pair, options), asked.torch_python, asked.retime)
        steps = np.diff(told["seconds"], prepend=0.0)
        each = float(statistics.median(steps))
        curve["seconds"] = [each * (n + 1) for n in range(len(curve["losses"]))]
        curve["retimed"] = asked.retime
    return curve


def our_run(pair: tuple[str, str], target: float, asked: argparse.Namespace) -> dict[str, Any]:
    """Return how the default preset comes down, and where it reaches `target`."""
    steps: list[tuple[Iterate, FloatArray]] = []

    def watch(step: Iterate) -> None:
        # A copy: the next step overwrites the image, which is what gets judged.
        steps.append((step, step.image.transpose(2, 0, 1)[np.newaxis].copy()))

    options = _options(asked)
    if asked.iterations:
        options = replace(options, iterations=asked.iterations)
    photo, painting = (EXAMPLES / f"{name}.jpg" for name in pair)
    result = stylize(photo, [painting], options, callback=watch)
    problem = painting_problem(pair, options)
    judge, curve = Judge(problem), []
    reached: dict[str, float] | None = None
    for step, image in steps:
        if image.shape[2:] != problem.size:
            continue  # of a coarser scale
        is_near = reached is None and step.loss <= MARGIN * target
        if not (is_near or step.iteration % JUDGED_EVERY == 0 or step.iteration == 1):
            continue
        point = {
            "seconds": step.seconds,
            "evaluations": step.evaluations,
            "loss": step.loss,
            "f32_loss": judge(image),
        }
        if not 1 / MARGIN < point["f32_loss"] / step.loss < MARGIN:
            sys.exit(f"A loss of {step.loss:g} is {point['f32_loss']:g} in float32: misjudged.")
        curve.append(point)
        if reached is None and point["f32_loss"] <= target:
            reached = point
    return {
        "backend": result.backend,
        "precision": result.precision,
        "phases": dict(result.seconds),
        "evaluations": result.evaluations,
        "reached": reached,
        "curve": curve,
    }


def torch_side(pair: tuple[str, str], asked: argparse.Namespace) -> tuple[float, dict[str, Any]]:
    """Return the loss to reach, and what is told of PyTorch's run."""
    theirs = torch_curve(pair, asked)
    losses, seconds = theirs["losses"], theirs["seconds"]
    shown = [0, *range(JUDGED_EVERY - 1, len(losses), JUDGED_EVERY)]
    return min(losses), {
        "version": theirs["version"],
        "evaluations": len(losses),
        "seconds": seconds[-1],
        "last_loss": losses[-1],
        "retimed": theirs.get("retimed", 0),
        "machine": theirs["machine"],
        "curve": [{"seconds": seconds[n], "f32_loss": losses[n]} for n in shown],
    }


def saved_torch_side(
    pair: tuple[str, str], result: dict[str, Any], asked: argparse.Namespace
) -> tuple[float, dict[str, Any]]:
    """Return what `torch_side` did when `result` was saved, its seconds timed anew if asked for."""
    found = [row for row in result["pairs"] if tuple(row["pair"]) == pair]
    if not found or result["size"] != asked.size:
        sys.exit(f"No run of PyTorch on {'+'.join(pair)} at {asked.size} pixels is saved.")
    target, theirs = found[0]["target_loss"], found[0]["torch"]
    if asked.retime:
        problem = painting_problem(pair, replace(_options(asked), init="noise", seed=SEED))
        told = torch_run(problem, asked.torch_python, asked.retime)
        seconds = float(statistics.median(np.diff(told["seconds"], prepend=0.0)))
        factor = seconds * theirs["evaluations"] / theirs["seconds"]
        for point in theirs["curve"]:
            point["seconds"] *= factor
        theirs |= {"seconds": theirs["seconds"] * factor, "retimed": asked.retime}
    return target, theirs


def compare(
    pair: tuple[str, str], asked: argparse.Namespace, before: dict[str, Any] | None
) -> dict[str, Any]:
    """Return the row of one pair; `before` is the saved result that it takes PyTorch's side of."""
    if before is None:
        target, theirs = torch_side(pair, asked)
    else:
        target, theirs = saved_torch_side(pair, before, asked)
    return {
        "pair": pair,
        "target_loss": target,
        "torch": theirs,
        "ours": our_run(pair, target, asked),
    }


def _options(asked: argparse.Namespace) -> Options:
    return Options(size=asked.size, style_weight=STYLE_WEIGHT)


def _pair(text: str) -> tuple[str, str]:
    photo, _, painting = text.partition("+")
    for name in (photo, painting):
        if not (EXAMPLES / f"{name}.jpg").is_file():
            raise argparse.ArgumentTypeError(f"examples/{name}.jpg is not there; give PHOTO+STYLE")
    return photo, painting


def main() -> None:
    """Compare pair by pair and print a table; with ``--save`` write the result too."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--torch-python", default=sys.executable, help="interpreter with PyTorch")
    parser.add_argument(
        "--pairs", nargs="+", type=_pair, default=[("pagoda", "village_street")], metavar="A+B"
    )
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--evaluations", type=int, default=500, help="of PyTorch")
    parser.add_argument("--iterations", type=int, default=0, help="of Impasto; 0 is the preset's")
    parser.add_argument("--torch-curve", type=Path, help="file of PyTorch's runs; is added to")
    parser.add_argument("--retime", type=int, default=0, help="evaluations to time PyTorch anew")
    parser.add_argument("--torch-saved", action="store_true", help="PyTorch's runs as saved")
    add_save_option(parser, "time_to_loss")
    asked = parser.parse_args()
    before = saved(asked, "time_to_loss") if asked.torch_saved else None
    if asked.torch_saved and before is None:
        sys.exit("--torch-saved takes what is saved, and there is nothing: add --save.")
    result: dict[str, Any] = {"machine": describe(), "size": asked.size, "pairs": []}
    for pair in asked.pairs:
        result["pairs"].append(compare(pair, asked, before))
        save(asked, "time_to_loss", result)
    print(time_to_loss_table(result))


if __name__ == "__main__":
    main()
