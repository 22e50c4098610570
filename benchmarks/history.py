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
from typing import Any

from default_preset import PAIRS
from initial_scale import curve, evaluations_to
from machine_description import describe
from performance_tables import history_table
from saving import add_save_option, save

from impasto import Options

HISTORIES = (15, 30, 60)
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
                options = Options(size=size, iterations=MARKS[-1], history=history)
                losses, seconds, ran_on = curve(pair, options)
                reached = reached or [losses[mark - 1] for mark in MARKS]  # the first history's
                counts = [evaluations_to(loss, losses) for loss in reached]
                told = {
                    "size": size,
                    "history": history,
                    "pair": pair,
                    "ran_on": ran_on,
                    "evaluations": counts,
                    "seconds": [count and seconds[count - 1] for count in counts],
                }
                print(json.dumps(told), flush=True)
                runs.append({**told, "losses": losses})
    result = {"machine": describe(), "marks": MARKS, "runs": runs}
    print(history_table(result))
    save(asked, "history", result)


if __name__ == "__main__":
    main()
