"""Time what comes before the first evaluation, in fresh interpreters.

    python benchmarks/startup.py --save

Measured from the start of a process: a bare interpreter, ``import impasto`` and ``impasto --help``,
to their end; and ``impasto paint``, to the end of its first evaluation of loss and gradient, for
every runtime and precision of this machine. The first run paints with an empty cache directory,
where the backend is verified and the style's Gram matrices are computed; the second run finds both
there. Everything takes turns, round by round, and each round has a cache directory of its own.
Files are read from the operating system's memory: one round is run before, and not counted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine_description import describe
from performance_tables import startup_table
from saving import add_save_option, save

from impasto.engine.backends import available_backends

ROOT = Path(__file__).parents[1]

COMMANDS = {
    "interpreter": ["-c", "pass"],
    "import": ["-c", "import impasto"],
    "help": ["-m", "impasto", "--help"],
}

FIRST_EVALUATION = """
import os
import time

from impasto.cli import main
from impasto.engine.objective import Objective

evaluate = Objective.__call__


def once(self, image):
    evaluate(self, image)
    os.write(1, f"{time.time()}".encode())
    os._exit(0)


Objective.__call__ = once
main()
"""
"""The command line, which ends with its first evaluation and tells when that was done."""


def configurations() -> list[str]:
    """Return the runtimes and precisions of this machine's processor."""
    return [
        f"{info.name}-{precision}"
        for info in available_backends()
        if info.name != "cuda"
        for precision in info.precisions
    ]


def seconds_of_command(arguments: list[str]) -> float:
    """Return how long a process takes that runs Python with `arguments`."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def seconds_to_first_evaluation(configuration: str, size: int, cache: Path) -> float:
    """Return the seconds from the start of a painting process to its first loss and gradient.

    Parameters
    ----------
    configuration : str
        Such as ``openvino-bf16``.
    size : int
        Pixels of the picture's longest side.
    cache : Path
        Impasto's cache directory.
    """
    backend, precision = configuration.split("-")
    examples = ROOT / "examples"
    pictures = [str(examples / "pagoda.jpg"), str(examples / "village_street.jpg")]
    command = [sys.executable, "-c", FIRST_EVALUATION, "paint", *pictures, f"--size={size}"]
    command += [f"--backend={backend}", f"--precision={precision}", "--seed=1"]
    command += [f"--output={cache / 'never_written.png'}"]
    environment = {**os.environ, "IMPASTO_CACHE": str(cache)}
    began = time.time()  # the one clock that both processes read
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    if ran.returncode:
        sys.exit(ran.stderr)
    return float(ran.stdout) - began


def measure_round(asked: argparse.Namespace, cache: Path) -> dict[tuple[str, str], float]:
    """Return the seconds of everything once, by what it is and its configuration."""
    found = {(name, ""): seconds_of_command(command) for name, command in COMMANDS.items()}
    for configuration in asked.configurations:
        own = cache / configuration
        own.mkdir()
        for run in ("first run", "second run"):
            print(f"{run} {configuration}", file=sys.stderr, flush=True)
            seconds = seconds_to_first_evaluation(configuration, asked.size, own)
            found[run, configuration] = seconds
    return found


def rows_of(rounds: list[dict[tuple[str, str], float]], size: int) -> list[dict[str, Any]]:
    """Return one row for everything that was measured, with its seconds in every round."""
    return [
        {
            "what": what,
            "configuration": configuration,
            "size": size if configuration else None,
            "median_s": statistics.median(each[what, configuration] for each in rounds),
            "seconds": [each[what, configuration] for each in rounds],
        }
        for what, configuration in rounds[0]
    ]


def main() -> None:
    """Measure, print a table; with ``--save`` write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=512, help="longest side, in pixels")
    parser.add_argument("--configurations", nargs="+", default=configurations(), metavar="NAME")
    parser.add_argument("--rounds", type=int, default=5)
    add_save_option(parser, "startup")
    asked = parser.parse_args()
    rounds = []
    for _ in range(1 + asked.rounds):
        with tempfile.TemporaryDirectory() as folder:
            rounds.append(measure_round(asked, Path(folder)))
    result = {"machine": describe(), "rows": rows_of(rounds[1:], asked.size)}
    save(asked, "startup", result)
    print(startup_table(result))


if __name__ == "__main__":
    main()
