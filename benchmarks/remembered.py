"""Which frequencies L-BFGS should remember the curvature of, for the same descent at less cost.

    python benchmarks/remembered.py --save

Each run is the default preset's with other limits of what its pairs hold: shares of the Nyquist
frequency along each side, of brightness and of the two other opponent colours. What is told is how
many evaluations it takes to the loss that the first limits, which leave nothing out, have after so
many, and the last loss as a multiple of theirs; medians over the pairs of pictures.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from default_preset import PAIRS
from initial_scale import curve, evaluations_to
from machine_description import describe
from performance_tables import remembered_table
from saving import add_save_option, save

from impasto import Options
from impasto.engine.optimizers import spectral

LIMITS = ((1.0, 1.0), (1.0, 0.5), (1.0, 0.25), (0.875, 0.375), (0.75, 0.25))
MARKS = (50, 100, 150)
ITERATIONS = 200


def main() -> None:
    """Run all limits on every pair and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--pairs", type=int, default=len(PAIRS), help="how many of the pairs")
    add_save_option(parser, "remembered")
    asked = parser.parse_args()
    options = Options(size=asked.size, iterations=ITERATIONS)
    runs: list[dict[str, Any]] = []
    for pair in PAIRS[: asked.pairs]:
        whole: list[float] = []
        for brightness, colour in LIMITS:
            spectral.LOW = (brightness, colour, colour)
            losses, _seconds, ran_on = curve(pair, options)
            whole = whole or losses  # the first limits'
            runs.append(
                {
                    "pair": pair,
                    "limits": [brightness, colour],
                    "share": spectral.SpectralScaling.leading_of(3 * 10**6) / (3 * 10**6),
                    "ran_on": ran_on,
                    "evaluations": [evaluations_to(whole[mark - 1], losses) for mark in MARKS],
                    "last": losses[-1] / whole[-1],
                }
            )
            print(json.dumps(runs[-1]), flush=True)
    result = {
        "machine": describe(),
        "size": asked.size,
        "iterations": ITERATIONS,
        "marks": MARKS,
        "runs": runs,
    }
    print(remembered_table(result))
    save(asked, "remembered", result)


if __name__ == "__main__":
    main()
