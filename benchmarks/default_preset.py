"""Loss against evaluations: where to start, which optimizer, which first step.

Every configuration minimises the same objective (the default weights and layers) on the same pairs
of example pictures. What is compared is the best loss after so many evaluations, divided by the
pair's best loss of any configuration: 1.00 is the best.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from machine_description import describe

from impasto import Options, save_image, stylize

ROOT = Path(__file__).parents[1]
PAIRS = (
    ("pagoda", "village_street"),
    ("pagoda", "great_wave"),
    ("chelsea", "village_street"),
    ("chelsea", "composition_viii"),
    ("astronaut", "summertime"),
    ("astronaut", "great_wave"),
)
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "content, lbfgs-numpy, safe": {},
    "content, lbfgs-numpy, reference": {"first_step": "reference"},
    "content, lbfgs (scipy)": {"optimizer": "lbfgs"},
    "content, adam, rate 10": {"optimizer": "adam"},
    "content, adam, rate 3": {"optimizer": "adam", "learning_rate": 3.0},
    "noise, lbfgs-numpy, safe": {"init": "noise"},
    "noise, lbfgs-numpy, reference": {"init": "noise", "first_step": "reference"},
    "noise, adam, rate 10": {"init": "noise", "optimizer": "adam"},
}
MARKS = (10, 25, 50, 100, 200)


def run(pair: tuple[str, str], options: Options, pictures: Path | None) -> dict[str, Any]:
    """Run one configuration on one pair; return the best loss at each mark."""
    best: dict[int, float] = {}
    lowest = float("inf")

    def watch(step: Any) -> None:
        nonlocal lowest
        lowest = min(lowest, step.loss)
        for mark in MARKS:
            if step.evaluations <= mark:
                best[mark] = lowest

    photo, painting = (ROOT / "examples" / f"{name}.jpg" for name in pair)
    began = time.perf_counter()
    result = stylize(photo, [painting], options, callback=watch)
    if pictures:
        name = f"{pair[0]}-{pair[1]}-{options.init}-{options.optimizer}-{options.first_step}.png"
        save_image(result.image, pictures / name)
    seconds = result.seconds["optimize"] / result.evaluations
    return {
        "best": best,
        "seconds_per_evaluation": round(seconds, 4),
        "total": round(time.perf_counter() - began, 1),
    }


def main() -> None:
    """Run the benchmark and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--pictures", type=Path, help="directory to save the pictures in")
    parser.add_argument("--save", action="store_true", help="write results/default_preset.json")
    arguments = parser.parse_args()
    base = Options(size=arguments.size, iterations=MARKS[-1], seed=1)
    results: dict[str, dict[str, Any]] = {}
    for pair in PAIRS:
        for name, changes in CONFIGURATIONS.items():
            options = replace(base, **changes)
            results.setdefault(" ".join(pair), {})[name] = run(pair, options, arguments.pictures)
            print(" ".join(pair), "|", name, "|", results[" ".join(pair)][name], flush=True)
    print(table(results))
    if arguments.save:
        report = {"machine": describe(), "size": arguments.size, "results": results}
        path = ROOT / "benchmarks" / "results" / "default_preset.json"
        path.write_text(json.dumps(report, indent=1) + "\n")


def table(results: dict[str, dict[str, Any]]) -> str:
    """Return a Markdown table of the median ratio to the best loss over the pairs."""
    least = {
        pair: min(v for run in runs.values() for v in run["best"].values())
        for pair, runs in results.items()
    }
    lines = [
        "| configuration | " + " | ".join(map(str, MARKS)) + " | s / evaluation |",
        "| --- |" + " --- |" * (len(MARKS) + 1),
    ]
    for name in CONFIGURATIONS:
        ratios = [
            statistics.median(
                runs[name]["best"].get(mark, float("nan")) / least[pair]
                for pair, runs in results.items()
            )
            for mark in MARKS
        ]
        seconds = statistics.median(
            runs[name]["seconds_per_evaluation"] for runs in results.values()
        )
        lines.append(
            f"| {name} | " + " | ".join(f"{r:.2f}" for r in ratios) + f" | {seconds:.3f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
