"""Loss against evaluations: where to start, which optimizer, which first step.

Every configuration minimises the same objective (the default weights and layers) on the same pairs
of example pictures. What is compared is the best loss after so many evaluations, divided by the
pair's best loss of any configuration: 1.00 is the best.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from machine_description import describe

from impasto import Options, load_image, save_image, stylize

ROOT = Path(__file__).parents[1]
HALF_NOISE = "half noise"
PAIRS = (
    ("pagoda", "village_street"),
    ("pagoda", "great_wave"),
    ("chelsea", "village_street"),
    ("chelsea", "composition_viii"),
    ("astronaut", "summertime"),
    ("astronaut", "great_wave"),
)
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "recolored, lbfgs-numpy, 30 pairs, spectral": {},
    "content, lbfgs-numpy, 30 pairs, spectral": {"init": "content"},
    "content, lbfgs-numpy, 15 pairs, spectral": {"init": "content", "history": 15},
    "content, lbfgs-numpy, 20 pairs, pixels": {"init": "content", "preconditioner": "none"},
    "the same, the reference's first step": {
        "init": "content",
        "preconditioner": "none",
        "first_step": "reference",
    },
    "content, lbfgs (scipy)": {"init": "content", "optimizer": "lbfgs"},
    "content, adam, rate 10": {"init": "content", "optimizer": "adam"},
    "half noise, lbfgs-numpy, spectral": {"init": HALF_NOISE},
    "noise, lbfgs-numpy, spectral": {"init": "noise"},
    "noise, lbfgs-numpy, pixels, reference": {
        "init": "noise",
        "preconditioner": "none",
        "history": 100,
        "first_step": "reference",
    },
}
MARKS = (10, 25, 50, 100)


def run(pair: tuple[str, str], options: Options, picture: Path | None) -> dict[int, float]:
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
    with tempfile.TemporaryDirectory() as folder:
        if options.init == HALF_NOISE:
            options = replace(options, init=str(half_noise(photo, Path(folder) / "init.png")))
        result = stylize(photo, [painting], options, callback=watch)
    if picture:
        save_image(result.image, picture)
    return best


def half_noise(photo: Path, path: Path) -> Path:
    """Write half the photo and half noise around grey; return `path`."""
    content = load_image(photo).astype(np.float32)
    noise = np.random.default_rng(1).normal(128, 40, content.shape)
    save_image(np.clip((content + noise) / 2, 0, 255).astype(np.uint8), path)
    return path


def main() -> None:
    """Run the benchmark and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--pictures", type=Path, help="directory to save the pictures in")
    parser.add_argument("--save", action="store_true", help="write results/default_preset.json")
    arguments = parser.parse_args()
    base = Options(size=arguments.size, iterations=MARKS[-1], seed=1)
    results: dict[str, dict[str, dict[int, float]]] = {}
    for pair in PAIRS:
        for name, changes in CONFIGURATIONS.items():
            options = replace(base, **changes)
            slug = re.sub(r"[^a-z0-9]+", "-", f"{' '.join(pair)} {name}")
            picture = arguments.pictures and arguments.pictures / f"{slug}.png"
            best = run(pair, options, picture)
            results.setdefault(" ".join(pair), {})[name] = best
            print(" ".join(pair), "|", name, "|", best, flush=True)
    print(table(results))
    if arguments.save:
        report = {"machine": describe(), "size": arguments.size, "results": results}
        path = ROOT / "benchmarks" / "results" / "default_preset.json"
        path.write_text(json.dumps(report, indent=1) + "\n")


def table(results: dict[str, dict[str, dict[int, float]]]) -> str:
    """Return a Markdown table of the median ratio to the best loss over the pairs."""
    least = {
        pair: min(v for best in runs.values() for v in best.values())
        for pair, runs in results.items()
    }
    lines = [
        "| configuration | " + " | ".join(map(str, MARKS)) + " |",
        "| --- |" + " --- |" * len(MARKS),
    ]
    for name in CONFIGURATIONS:
        ratios = [
            statistics.median(
                runs[name].get(mark, float("nan")) / least[pair] for pair, runs in results.items()
            )
            for mark in MARKS
        ]
        lines.append(f"| {name} | " + " | ".join(f"{r:.2f}" for r in ratios) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
