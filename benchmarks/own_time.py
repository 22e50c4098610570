"""What an optimizer takes for itself in a run, where evaluations leave nothing in the caches.

    python benchmarks/own_time.py --save

`impasto bench` has optimizers minimise a function that is as cheap as can be, and finds what they
read still in the caches. Here each paints a picture with the default preset. Its own time is what
passes from one report to the next less the time in the objective: the progress that a run reports
is in it. Means over 60 evaluations or more, when the history is full; medians over the rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import replace
from typing import Any, get_args

import numpy as np
from machine_description import describe
from performance_tables import own_time_table
from PIL import Image
from problem import EXAMPLES
from saving import add_save_option, save

from impasto import Iterate, Options, stylize
from impasto.engine.backends.base import FloatArray
from impasto.engine.objective import Objective
from impasto.engine.optimizers import history_of
from impasto.engine.options import OptimizerName

TIMED = 60
"""Evaluations that a mean is over, at least, and twice as many as there are pairs: L-BFGS puts off
to some what others need not do."""


def main() -> None:
    """Run every optimizer in turn, so many times, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    names = get_args(OptimizerName)
    parser.add_argument("--optimizers", nargs="+", choices=names, default=names)
    parser.add_argument("--history", type=int, default=0, help="pairs; default: the optimizer's")
    add_save_option(parser, "own_time")
    asked = parser.parse_args()
    runs: list[dict[str, Any]] = []
    for _ in range(asked.rounds):
        for optimizer in asked.optimizers:
            options = Options(
                size=asked.size, optimizer=optimizer, history=asked.history, scales="1"
            )
            runs.append({"optimizer": optimizer, **measured(options)})
            print(json.dumps(runs[-1]), flush=True)
    result = {"machine": describe(), "size": asked.size, "runs": runs}
    print(own_time_table(result))
    save(asked, "own_time", result)


def measured(options: Options) -> dict[str, Any]:
    """Return the seconds of an evaluation, and of what else there is to it, in one run."""
    reports: list[tuple[int, float]] = []
    inside: list[float] = []
    evaluate = Objective.__call__

    def timed(self: Objective, image: FloatArray) -> tuple[float, FloatArray]:
        began = time.perf_counter()
        found = evaluate(self, image)
        inside.append(time.perf_counter() - began)
        return found

    def watch(step: Iterate) -> None:
        reports.append((step.evaluations, time.perf_counter()))

    with Image.open(EXAMPLES / "pagoda.jpg") as photo:
        content = np.asarray(photo.convert("RGB").resize((options.size, options.size)))
    painting = EXAMPLES / "village_street.jpg"
    timed_evaluations = max(TIMED, 2 * history_of(options))
    options = replace(options, iterations=2 * timed_evaluations)
    Objective.__call__ = timed  # type: ignore[method-assign]
    try:
        result = stylize(content, [painting], options, callback=watch)
    finally:
        Objective.__call__ = evaluate  # type: ignore[method-assign]
    last, ended = reports[-1]
    first, began = next(each for each in reversed(reports) if each[0] <= last - timed_evaluations)
    evaluations = inside[first:last]
    own = (ended - began - sum(evaluations)) / len(evaluations)
    return {
        "evaluation": statistics.fmean(evaluations),
        "own": own,
        "ran_on": f"{result.backend} {result.precision}",
    }


if __name__ == "__main__":
    main()
