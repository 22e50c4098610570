"""Whether a picture that is begun at half its size gets down sooner than one that is not.

    python benchmarks/coarse_to_fine.py --pairs 6 3 --save

The default preset with ``--scales 2``, which has half as many iterations at the second scale, and
various ``--iterations``, against one scale. Work is counted in evaluations of the whole size: one
of the half is a quarter, as its pixels are. What is told is the loss as a multiple of the one that
a single scale has after as much work: medians over the pairs of pictures, and the least and the
most.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from typing import Any

from default_preset import PAIRS
from initial_scale import curve
from machine_description import describe
from performance_tables import coarse_to_fine_table
from saving import add_save_option, save

from impasto import Options

ITERATIONS = (50, 100, 200, 300)
"""Of the first of two scales."""

COARSE = 0.25
"""Of the work of an evaluation is that of one of half the size."""


def main() -> None:
    """Run both ways on every pair and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", type=int, default=[512, 1024])
    parser.add_argument(
        "--pairs", nargs="+", type=int, default=[len(PAIRS)] * 2, help="how many, by size"
    )
    add_save_option(parser, "coarse_to_fine")
    asked = parser.parse_args()
    runs: list[dict[str, Any]] = []
    for size, pairs in zip(asked.sizes, asked.pairs, strict=True):
        options = Options(size=size)
        for pair in PAIRS[:pairs]:
            most = round(work(ITERATIONS[-1]))
            single, _seconds, ran_on = curve(pair, replace(options, scales="1", iterations=most))
            for iterations in ITERATIONS:
                double, *_ = curve(pair, replace(options, scales="2", iterations=iterations))
                told = {"size": size, "pair": pair, "iterations": iterations, "ran_on": ran_on}
                told |= {"work": work(iterations), "loss": double[-1]}
                told["of_single"] = double[-1] / single[round(told["work"]) - 1]
                print(json.dumps(told), flush=True)
                runs.append(told)
    result = {"machine": describe(), "runs": runs}
    print(coarse_to_fine_table(result))
    save(asked, "coarse_to_fine", result)


def work(iterations: int) -> float:
    """Return the work of two scales, in evaluations of the whole size."""
    return COARSE * iterations + iterations // 2


if __name__ == "__main__":
    main()
