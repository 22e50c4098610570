"""What the threads of BLAS cost that wait, spinning, for more work after an optimizer's products.

    python benchmarks/spinning_threads.py --sizes 256 512 --save

In turns, an evaluation and an inverse cosine transform are timed after nothing, after the products
of 22 rows (10 pairs of L-BFGS and the free ones) as BLAS shares them among its threads, and after
the same products in tiles (`engine/optimizers/long_rows.py`).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from machine_description import describe
from problem import Problem, square_problem
from saving import add_save_option, save
from scipy.fft import idctn

from impasto.engine.backends import open_backend
from impasto.engine.compilation import Candidate, compile_gradient
from impasto.engine.machine import available_cores
from impasto.engine.objective import Objective
from impasto.engine.optimizers.long_rows import LongRows
from impasto.engine.optimizers.team import Team

ROWS = 22
IDLE_S = 0.05
"""Between rounds: longer than any thread spins."""


def main() -> None:
    """Print a line for each size and kind of products."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", type=int, default=[256, 512])
    parser.add_argument("--rounds", type=int, default=15)
    add_save_option(parser, "spinning_threads")
    asked = parser.parse_args()
    rows = []
    for size in asked.sizes:
        rows += measure(square_problem("vgg19", size), asked.rounds)
        for row in rows[-3:]:
            print(
                f"{size:5} px after {row['after']:17} products {row['products_ms']:5.1f} ms, "
                f"inverse transform {row['transform_ms']:5.1f}, "
                f"{row['backend']} {row['precision']} evaluation {row['evaluation_ms']:7.1f}",
                flush=True,
            )
    save(asked, "spinning_threads", {"machine": describe(), "rows": rows})


def measure(problem: Problem, rounds: int) -> list[dict[str, object]]:
    """Return the medians after each kind of products."""
    backend = open_backend("openvino")
    graph = compile_gradient(Candidate(backend, backend.lowering), problem.network, problem.size)
    objective = Objective(graph, problem.targets, problem.weights)
    rng = np.random.default_rng(1)
    matrix = rng.standard_normal((ROWS, problem.image.size), dtype=np.float32)
    vector = rng.standard_normal(problem.image.size, dtype=np.float32)
    long = LongRows(matrix, Team(available_cores()))

    def by_blas() -> None:
        _ = matrix @ vector

    def in_tiles() -> None:
        long.each(lambda block: long.times(vector, block))

    kinds: dict[str, Callable[[], None]] = {
        "nothing": lambda: None,
        "products by BLAS": by_blas,
        "products in tiles": in_tiles,
    }
    spectrum = np.empty_like(problem.image)

    def transform() -> None:
        idctn(spectrum, axes=(2, 3), norm="ortho", workers=available_cores(), overwrite_x=True)

    seconds: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds + 1):
        for kind, products in kinds.items():
            for what, work in (
                ("transform", transform),
                ("evaluation", lambda: objective(problem.image)),
            ):
                time.sleep(IDLE_S)
                objective(problem.image)  # cores are awake, as they are between two evaluations
                spectrum[...] = problem.image
                taken = timed(products), timed(work)
                if number:  # the first round warms up
                    seconds.setdefault((kind, "products"), []).append(taken[0])
                    seconds.setdefault((kind, what), []).append(taken[1])
    return [
        {
            "size": problem.size[0],
            "after": kind,
            "backend": backend.name,
            "precision": backend.precision,
            **{
                f"{what}_ms": 1000 * statistics.median(seconds[kind, what])
                for what in ("products", "transform", "evaluation")
            },
        }
        for kind in kinds
    ]


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
