"""How large the first guess of the inverse Hessian should be, for L-BFGS in frequencies.

    python benchmarks/initial_scale.py --save

Each run is the default preset's, with H₀ so many times (y·s / y·y) I of the newest pair. What is
told is how many evaluations it takes to the loss that a factor of 1, which is what the reference
has, reaches after 50 and 100 evaluations; medians over the pairs.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from default_preset import PAIRS, ROOT
from machine_description import describe
from performance_tables import initial_scale_table
from saving import add_save_option, save

from impasto import Iterate, Options, stylize
from impasto.engine.optimizers import lbfgs
from impasto.engine.options import INITS

SCALES = (1.0, 1.5, 2.0, 3.0)
MARKS = (50, 100)


def main() -> None:
    """Run every factor on every pair and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--init", choices=INITS, default="content")
    parser.add_argument("--pairs", type=int, default=len(PAIRS), help="how many of the pairs")
    add_save_option(parser, "initial_scale")
    asked = parser.parse_args()
    options = Options(size=asked.size, iterations=MARKS[-1], seed=1, init=asked.init)
    rows: list[dict[str, Any]] = []
    for pair in PAIRS[: asked.pairs]:
        reached: list[float] = []
        for scale in SCALES:
            lbfgs.SPECTRAL_SCALE = scale
            losses, _seconds, ran_on = curve(pair, options)
            reached = reached or [losses[mark - 1] for mark in MARKS]  # the first factor's
            rows.append(
                {
                    "pair": pair,
                    "scale": scale,
                    "ran_on": ran_on,
                    "evaluations": [evaluations_to(loss, losses) for loss in reached],
                    "losses": losses,
                }
            )
            print(json.dumps({k: v for k, v in rows[-1].items() if k != "losses"}), flush=True)
    result = {
        "machine": describe(),
        "size": asked.size,
        "init": asked.init,
        "marks": MARKS,
        "runs": rows,
    }
    print(initial_scale_table(result))
    save(asked, "initial_scale", result)


def curve(pair: tuple[str, str], options: Options) -> tuple[list[float], list[float], str]:
    """Return the best loss so far after each evaluation, the seconds, and where it ran.

    Of several scales it is the last. The seconds are those since its first evaluation; where it ran
    is the backend and precision.
    """
    losses: list[float] = []
    times: list[float] = []

    def watch(step: Iterate) -> None:
        if step.scale < step.scales:
            return
        losses.append(min([step.loss, *losses[-1:]]))
        times.append(time.perf_counter())

    photo, painting = (ROOT / "examples" / f"{name}.jpg" for name in pair)
    result = stylize(photo, [painting], options, callback=watch)
    seconds = [round(each - times[0], 4) for each in times]
    return losses, seconds, f"{result.backend} {result.precision}"


def evaluations_to(loss: float, losses: list[float]) -> int | None:
    """Return after how many evaluations the loss is reached; None if it is not."""
    return next((count for count, each in enumerate(losses, 1) if each <= loss), None)


if __name__ == "__main__":
    main()
