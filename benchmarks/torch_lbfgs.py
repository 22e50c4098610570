"""Minimise an objective as neural-style does, with PyTorch; see time_to_loss.py.

    TORCH_PYTHON benchmarks/torch_lbfgs.py PROBLEM --evaluations 500

Prints one line of JSON: the loss of every evaluation, and the seconds from the start to its end.
The settings are those of neural-style's PyTorch port: L-BFGS without a line search, step length 1,
100 pairs, no tolerances, one evaluation an iteration.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import torch
from torch_objective import TorchObjective


def main() -> None:
    """Minimise from the problem's image."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("problem", type=Path)
    parser.add_argument("--evaluations", type=int, default=500)
    asked = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    objective = TorchObjective(asked.problem)
    variable = objective.image.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [variable],
        lr=1,
        max_iter=asked.evaluations,
        history_size=100,
        tolerance_change=-1,
        tolerance_grad=-1,
    )
    losses: list[float] = []
    seconds: list[float] = []
    began = time.perf_counter()

    def closure() -> float:
        loss, variable.grad = objective(variable)
        losses.append(loss)
        seconds.append(time.perf_counter() - began)
        if len(losses) % 25 == 0:
            print(f"{len(losses)}: {loss:.6g} after {seconds[-1]:.0f} s", file=sys.stderr)
        return loss

    optimizer.step(closure)
    print(
        json.dumps({"losses": losses, "seconds": seconds, "version": f"torch {torch.__version__}"})
    )


if __name__ == "__main__":
    main()
