"""Compare predicted with measured peak memory of whole runs, over a grid.

    python benchmarks/footprint.py --save
    python benchmarks/footprint.py --predict --save

Every case is a real `impasto paint` of three iterations in a process of its own, with an empty
cache and then again: the first run verifies the backend, which takes memory too. At 512 pixels
VGG-19 has forty, so that the history of L-BFGS is full. The prediction is what `impasto plan`
says before. NIN has random weights, which take the same memory. With ``--add`` other cases that
are saved stay.

With ``--predict`` nothing is painted: what is saved is predicted anew, to see what other factors in
`engine/footprint.py` make of it, for the runtimes and precisions that this machine has.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine_description import describe
from safetensors.numpy import save_file
from saving import add_origins, add_save_option, save, saved

from impasto.engine.backends import available_backends
from impasto.models.registry import model_spec
from impasto.models.weights.random_weights import random_weights

EXAMPLES = Path(__file__).parents[1] / "examples"

NIN = ("--preset", "nin", "--scales", "1")

CASES: tuple[tuple[str, ...], ...] = (
    (*NIN, "--size", "512"),
    (*NIN, "--size", "1024"),
    (*NIN, "--size", "2048"),
    ("--size", "256", "--scales", "1"),
    ("--size", "512", "--scales", "1", "--iterations", "40"),
    ("--size", "1024", "--scales", "1"),
    ("--size", "1024", "--scales", "1", "--optimizer", "adam"),
    ("--size", "1024", "--scales", "1", "--tile", "64"),
    ("--size", "1024", "--scales", "1", "--tile", "64", "--optimizer", "adam"),
    ("--size", "2048", "--scales", "1", "--tile", "64", "--optimizer", "adam"),
    ("--size", "2048", "--scales", "1", "--memory", "3G"),
)


def measure(backend: str, precision: str, case: tuple[str, ...], weights: Path) -> dict[str, Any]:
    """Paint one case twice; return its prediction and its peaks."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "IMPASTO_CACHE": folder}
        predicted = predict(backend, precision, case, weights, environment)["peak_bytes"]
        paint = _command("paint", backend, precision, case, weights)
        paint += ["-o", str(Path(folder) / "out.png"), "--overwrite"]
        paint += ["--print-every", "0", "--checkpoint", "off"]
        first, second = (_json(paint, environment) for _ in range(2))
    peak = first["peak_rss_bytes"]
    return {
        "backend": backend,
        "precision": precision,
        "arguments": list(case),
        "execution": first["execution"],
        "predicted_bytes": predicted,
        "measured_bytes": peak,
        "second_run_bytes": second["peak_rss_bytes"],
        "ratio": predicted / peak,
        "seconds_optimize": first["seconds"]["optimize"],
    }


def predict(
    backend: str,
    precision: str,
    case: tuple[str, ...],
    weights: Path,
    environment: dict[str, str],
) -> dict[str, Any]:
    """Return what ``impasto plan`` says of a case."""
    return _json(_command("plan", backend, precision, case, weights), environment)


def predict_saved(asked: argparse.Namespace, weights: Path) -> None:
    """Predict the saved cases anew; those that are planned otherwise now are told."""
    result = saved(asked, "footprint")
    if result is None:
        sys.exit("--predict predicts what is saved, and there is nothing: add --save.")
    here = configurations(asked.backend)
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "IMPASTO_CACHE": folder}
        for row in result["cases"]:
            if (row["backend"], row["precision"]) not in here:
                continue
            case = tuple(row["arguments"])
            plan = predict(row["backend"], row["precision"], case, weights, environment)
            row["predicted_bytes"] = plan["peak_bytes"]
            row["ratio"] = plan["peak_bytes"] / row["measured_bytes"]
            otherwise = plan["execution"] != row["execution"]
            print(line_of(row), "planned otherwise now" if otherwise else "", flush=True)
    save(asked, "footprint", result)


def _command(
    verb: str, backend: str, precision: str, case: tuple[str, ...], weights: Path
) -> list[str]:
    pictures = [str(EXAMPLES / name) for name in ("astronaut.jpg", "village_street.jpg")]
    command = [sys.executable, "-m", "impasto", verb, *pictures, "--json", "--iterations", "3"]
    command += ["--backend", backend, "--precision", precision, *case]
    return [*command, "--weights", str(weights)] if "nin" in case else command


def _json(command: list[str], environment: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure the grid and print a table; with ``--save`` write the result too."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backend", action="append", choices=("openvino", "onnxruntime"))
    parser.add_argument("--size", action="append", help="only the cases of this size")
    parser.add_argument("--predict", action="store_true", help="predict what is saved anew")
    parser.add_argument("--add", action="store_true", help="keep what is saved of other cases")
    add_save_option(parser, "footprint")
    asked = parser.parse_args()
    rows: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    result: dict[str, Any] = {"machine": describe()}
    if asked.add:
        others = add_origins(result, saved(asked, "footprint"))["cases"]
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "nin.safetensors"
        save_file(random_weights(model_spec("nin").architecture, seed=1), weights)
        if asked.predict:
            predict_saved(asked, weights)
            return
        for backend, precision in configurations(asked.backend):
            for case in CASES:
                if asked.size and not set(asked.size) & set(case):
                    continue
                rows.append(measure(backend, precision, case, weights))
                print(line_of(rows[-1]), flush=True)
                save(asked, "footprint", {**result, "cases": in_order([*others, *rows])})


def in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the last row of each case of the grid, in its order."""
    grid = [list(case) for case in CASES]
    found = {
        (row["backend"], row["precision"], grid.index(row["arguments"])): row
        for row in rows
        if row["arguments"] in grid
    }
    return [found[place] for place in sorted(found)]


def configurations(backends: list[str] | None) -> list[tuple[str, str]]:
    """Return the runtimes on this machine's processor, with the precisions they have there."""
    return [
        (info.name, precision)
        for info in available_backends()
        for precision in info.precisions
        if info.name in (backends or ("openvino", "onnxruntime"))
    ]


def line_of(row: dict[str, Any]) -> str:
    """Return one case for a person."""
    first, second = (row[name] / 2**20 for name in ("measured_bytes", "second_run_bytes"))
    return (
        f"{row['backend']:12} {row['precision']:5} {' '.join(row['arguments']):52} "
        f"{row['execution']['mode']:6} predicted {row['predicted_bytes'] / 2**20:6.0f} MiB, "
        f"first run {first:6.0f} MiB, second {second:6.0f} MiB, ratio {row['ratio']:.2f}"
    )


if __name__ == "__main__":
    main()
