"""Time one evaluation (loss and gradient) by backend, precision and lowering.

    python benchmarks/evaluation.py --save

`impasto bench` measures the same in the same way, with the lowering each backend uses; here the
others are measured beside it. Every configuration runs in a process of its own, so that its peak
memory is its own, and they take turns, so that a noisy minute hits all of them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from machine_description import describe

from impasto.engine.backends import open_backend
from impasto.engine.bench import Bench, Configuration, configurations
from impasto.engine.bench_report import EvaluationTiming
from impasto.export.lowerings import LOWERINGS, without_winograd

RESULTS = Path(__file__).parent / "results"


def with_lowerings(found: list[Configuration], names: list[str] | None) -> list[Configuration]:
    """Return each configuration in its backend's own lowering and plainer ones, or in `names`.

    The plainer ones are its own without Winograd, and the portable one. ONNX Runtime's blocked
    layout is of no use to other backends, and left out.
    """

    def of(each: Configuration) -> Iterable[str]:
        own = open_backend(each.backend, each.precision).lowering  # type: ignore[arg-type]
        return names or dict.fromkeys((own, without_winograd(own), "portable"))

    def fits(each: Configuration, lowering: str) -> bool:
        return "nchwc" not in lowering or each.backend == "onnxruntime"

    return [
        replace(each, lowering=lowering)
        for each in found
        for lowering in of(each)
        if fits(each, lowering)
    ]


def row(timing: EvaluationTiming) -> dict[str, Any]:
    """Return the figures of one configuration."""
    spread = timing.evaluation
    return {
        "median": round(spread.median, 4),
        "min": round(min(spread.seconds), 4),
        "max": round(max(spread.seconds), 4),
        "compile": round(timing.compile.median, 3),
        "targets": round(timing.targets.median, 3),
        "peak_rss_mb": round((timing.peak_rss_bytes or 0) / 1e6),
    }


def main() -> None:
    """Run the benchmark and print a table; with ``--save`` write the result too."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="vgg19")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--backends", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--lowerings", nargs="+", choices=LOWERINGS, metavar="NAME")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=3, help="evaluations a round")
    parser.add_argument("--save", action="store_true", help="write results/evaluation_SIZE.json")
    asked = parser.parse_args()
    found = configurations([asked.model], [asked.size], backends=asked.backends)
    measuring = Bench(
        with_lowerings(found, asked.lowerings),
        rounds=asked.rounds,
        runs=asked.runs,
        optimizers=False,
    )
    for job in measuring.run():
        print(job, file=sys.stderr, flush=True)
    report = measuring.report()
    rows = {
        f"{each.configuration.backend} {each.configuration.precision} {each.lowering}": row(each)
        for each in report.evaluations
    }
    print(f"{asked.model}, {asked.size}x{asked.size}, loss and gradient")
    print(f"{'configuration':38} {'median s':>9} {'min':>7} {'max':>7} {'compile s':>10} {'MB':>6}")
    for key, told in rows.items():
        print(
            f"{key:38} {told['median']:9.3f} {told['min']:7.3f} {told['max']:7.3f} "
            f"{told['compile']:10.2f} {told['peak_rss_mb']:6.0f}"
        )
    for job_name, reason in report.failures.items():
        print(f"{job_name}: {reason}", file=sys.stderr)
    if asked.save:
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"evaluation_{asked.size}.json"
        result = {"machine": describe(), "model": asked.model, "size": asked.size, "rows": rows}
        path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
