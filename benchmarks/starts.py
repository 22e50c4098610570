"""Where to start from: the content as it is, or in the style's colours.

    python benchmarks/starts.py --sizes 256 512 --save

Each run is the default preset's with another `init`. What is told is how many evaluations it takes
to the loss that the content's run has after so many, and the last loss as a multiple of the
content's: medians over the pairs of pictures, and the least and the most.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from typing import Any

from default_preset import PAIRS
from initial_scale import curve, evaluations_to
from machine_description import describe
from performance_tables import starts_table
from saving import add_save_option, save

from impasto import Options

STARTS = ("content", "recolored")
MARKS = (25, 50, 100, 150)
ITERATIONS = 200


def main() -> None:
    """Run both starts on every pair and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", type=int, default=[256, 512])
    parser.add_argument("--style-weight", type=float, default=Options().style_weight)
    parser.add_argument("--pairs", type=int, default=len(PAIRS), help="how many of the pairs")
    add_save_option(parser, "starts")
    asked = parser.parse_args()
    runs: list[dict[str, Any]] = []
    for size in asked.sizes:
        options = Options(size=size, iterations=ITERATIONS, style_weight=asked.style_weight)
        for pair in PAIRS[: asked.pairs]:
            first: list[float] = []
            for start in STARTS:
                losses, _seconds, ran_on = curve(pair, replace(options, init=start))
                first = first or losses  # the content's
                counts = [evaluations_to(first[mark - 1], losses) for mark in MARKS]
                told = {"size": size, "pair": pair, "start": start, "ran_on": ran_on}
                told |= {"evaluations": counts, "last": losses[-1] / first[-1]}
                print(json.dumps(told), flush=True)
                runs.append(told)
    result = {
        "machine": describe(),
        "style_weight": asked.style_weight,
        "iterations": ITERATIONS,
        "marks": MARKS,
        "runs": runs,
    }
    print(starts_table(result))
    save(asked, "starts", result)


if __name__ == "__main__":
    main()
