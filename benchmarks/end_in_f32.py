"""Whether a bfloat16 run comes out lower if it ends in float32.

    python benchmarks/end_in_f32.py --save

A run in bfloat16 is stopped after some evaluations. From that state it goes on in bfloat16, and
from the same state in float32; every image is judged in float32. How many bfloat16 evaluations one
in float32 costs is in the table of `peers.py`: that many times fewer steps have to do as well.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from default_preset import PAIRS
from machine_description import describe
from problem import Problem, painting_problem

from impasto import Options
from impasto.engine.backends import open_backend
from impasto.engine.compilation import Candidate, compile_gradient
from impasto.engine.objective import Objective
from impasto.engine.optimizers import BestSoFar, OptimizerState, Step, make_optimizer

RESULTS = Path(__file__).parent / "results"
STOPS = (200, 600)
IN_BF16 = (25, 50, 100)
IN_F32 = (5, 10, 25)


def objective(problem: Problem, backend: str, precision: str) -> Objective:
    """Return the problem's objective on a backend."""
    opened = open_backend(backend, precision)  # type: ignore[arg-type]
    graph = compile_gradient(Candidate(opened, opened.lowering), problem.network, problem.size)
    return Objective(graph, problem.targets, problem.weights)


def copied(state: OptimizerState) -> OptimizerState:
    """Return a state that outlives its step."""
    arrays, pairs = (
        {name: array.copy() for name, array in kept.items()} for kept in (state.arrays, state.pairs)
    )
    return OptimizerState(dict(state.numbers), arrays, pairs)


def compare(pair: tuple[str, str], size: int) -> dict[str, Any]:
    """Return float32 losses after further steps of either kind, over those at the stops."""
    options = Options(size=size, seed=1, scales="1")
    problem = painting_problem(pair, options)
    exact, fast = objective(problem, "onnxruntime", "f32"), objective(problem, "openvino", "bf16")
    optimizer = make_optimizer(options)
    search = BestSoFar(fast, problem.image)
    states: dict[int, tuple[OptimizerState, np.ndarray[Any, Any]]] = {}
    later: dict[tuple[int, int], float] = {}

    def keep(step: Step) -> None:
        if step.iteration in STOPS:
            states[step.iteration] = copied(step.state()), search.x.copy()
        for stop in STOPS:
            if step.iteration - stop in IN_BF16:
                later[stop, step.iteration - stop] = exact(search.x)[0]

    optimizer.minimize(search, iterations=max(STOPS) + max(IN_BF16), on_step=keep)
    found: dict[str, Any] = {}
    for stop, (state, best) in states.items():
        loss = exact(best)[0]
        polished = BestSoFar(exact, best, loss=loss)
        in_f32: dict[int, float] = {}

        def note(step: Step, stop: int = stop, into: dict[int, float] = in_f32) -> None:
            into[step.iteration - stop] = polished.loss  # noqa: B023  (called before the next one)

        optimizer.minimize(polished, iterations=stop + max(IN_F32), on_step=note, resume=state)
        found[str(stop)] = {
            "bf16": {steps: round(later[stop, steps] / loss, 4) for steps in IN_BF16},
            "f32": {steps: round(in_f32[steps] / loss, 4) for steps in IN_F32},
        }
    return found


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--save", action="store_true", help="write results/end_in_f32.json")
    arguments = parser.parse_args()
    results = {}
    for pair in PAIRS[::2]:
        results["+".join(pair)] = compare(pair, arguments.size)
        print("+".join(pair), results["+".join(pair)], flush=True)
    if arguments.save:
        report = {"machine": describe(), "size": arguments.size, "results": results}
        (RESULTS / "end_in_f32.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
