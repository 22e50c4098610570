"""Compare predicted with measured peak memory of whole runs, over a grid.

    python benchmarks/footprint.py --save

Every case is a real `impasto paint` of three iterations in a process of its own; the prediction is
what the same process said before it began.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine_description import describe

RESULTS = Path(__file__).parent / "results"
EXAMPLES = Path(__file__).parents[1] / "examples"

BACKENDS = (("openvino", "bf16"), ("onnxruntime", "f32"), ("openvino", "f32"))

CASES: tuple[tuple[str, ...], ...] = (
    ("--size", "256", "--scales", "1"),
    ("--size", "512", "--scales", "1"),
    ("--size", "1024", "--scales", "1"),
    ("--size", "1024", "--scales", "1", "--optimizer", "adam"),
    ("--size", "1024", "--scales", "1", "--tile", "64"),
    ("--size", "1024", "--scales", "1", "--tile", "64", "--optimizer", "adam"),
    ("--size", "2048", "--scales", "1", "--tile", "64", "--optimizer", "adam"),
    ("--size", "2048", "--scales", "1", "--memory", "3G"),
)


def measure(backend: str, precision: str, case: tuple[str, ...]) -> dict[str, Any]:
    """Paint one case; return its prediction and its peak."""
    arguments = ["--backend", backend, "--precision", precision, *case, "--iterations", "3"]
    pictures = [str(EXAMPLES / name) for name in ("pagoda.jpg", "village_street.jpg")]
    command = [sys.executable, "-m", "impasto"]
    planned = _json([*command, "plan", *pictures, *arguments, "--json"])
    with tempfile.TemporaryDirectory() as folder:
        output = str(Path(folder) / "out.png")
        quiet = ["--print-every", "0", "--json", "--checkpoint", "off"]
        painted = _json([*command, "paint", *pictures, "-o", output, *arguments, *quiet])
    predicted, peak = planned["peak_bytes"], painted["peak_rss_bytes"]
    return {
        "backend": backend,
        "precision": precision,
        "arguments": list(case),
        "execution": painted["execution"],
        "predicted_bytes": predicted,
        "measured_bytes": peak,
        "ratio": predicted / peak,
        "seconds_optimize": painted["seconds"]["optimize"],
    }


def _json(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure the grid and print a table; with ``--save`` write the result too."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", action="append", choices=[name for name, _ in BACKENDS])
    parser.add_argument("--save", action="store_true", help="write results/footprint.json")
    asked = parser.parse_args()
    rows = []
    for backend, precision in BACKENDS:
        if asked.backend and backend not in asked.backend:
            continue
        for case in CASES:
            row = measure(backend, precision, case)
            rows.append(row)
            print(
                f"{backend:12} {precision:5} {' '.join(case):52} {row['execution']['mode']:6} "
                f"predicted {row['predicted_bytes'] / 2**20:6.0f} MB, measured "
                f"{row['measured_bytes'] / 2**20:6.0f} MB, ratio {row['ratio']:.2f}",
                flush=True,
            )
            if asked.save:
                RESULTS.mkdir(exist_ok=True)
                result = {"machine": describe(), "cases": rows}
                (RESULTS / "footprint.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
