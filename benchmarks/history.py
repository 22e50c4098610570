"""How many pairs L-BFGS should remember: evaluations and seconds to the same loss.

    python benchmarks/history.py --sizes 256 512 --save

Each run is the default preset's with another `history`. What is told is how many evaluations, and
how many seconds from the first one, it takes to the loss that the first history has after so many
evaluations; medians over the pairs. More pairs take fewer evaluations, but each step then reads
more memory.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from default_preset import PAIRS, ROOT
from initial_scale import evaluations_to
from machine_description import describe
from performance_tables import history_table
from saving import add_save_option, save

from impasto import Iterate, Options, stylize

HISTORIES = (10, 20, 40)
MARKS = (50, 100, 200)


def main() -> None:
    """Run every history on every pair and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", type=int, default=[256, 512])
    parser.add_argument("--histories", nargs="+", type=int, default=list(HISTORIES))
    parser.add_argument("--pairs", type=int, default=len(PAIRS), help="how many of the pairs")
    add_save_option(parser, "history")
    asked = parser.parse_args()
    runs: list[dict[str, Any]] = []
    for size in asked.sizes:
        for pair in PAIRS[: asked.pairs]:
            reached: list[float] = []
            for history in asked.histories:
                runs.append(run(pair, Options(size=size, iterations=MARKS[-1], history=history)))
                losses = runs[-1]["losses"]
                reached = reached or [losses[mark - 1] for mark in MARKS]  # the first history's
                runs[-1]["evaluations"] = [evaluations_to(loss, losses) for loss in reached]
                told = {k: v for k, v in runs[-1].items() if k not in ("losses", "seconds")}
                print(json.dumps(told), flush=True)
    result = {"machine": describe(), "marks": MARKS, "runs": runs}
    print(history_table(result))
    save(asked, "history", result)


def run(pair: tuple[str, str], options: Options) -> dict[str, Any]:
    """Return the best loss so far after each evaluation, and the seconds since the first."""
    losses: list[float] = []
    seconds: list[float] = []

    def watch(step: Iterate) -> None:
        losses.append(min([step.loss, *losses[-1:]]))
        seconds.append(time.perf_counter())

    photo, painting = (ROOT / "examples" / f"{name}.jpg" for name in pair)
    result = stylize(photo, [painting], options, callback=watch)
    return {
        "size": options.size,
        "history": options.history,
        "pair": pair,
        "ran_on": f"{result.backend} {result.precision}",
        "losses": losses,
        "seconds": [round(each - seconds[0], 4) for each in seconds],
    }


if __name__ == "__main__":
    main()
