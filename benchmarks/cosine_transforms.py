"""Cosine transforms along one side of a picture: SciPy's fast ones against products with a matrix.

    python benchmarks/cosine_transforms.py --lengths 512 683 853

A length with a large prime factor takes a fast transform longer than the length beside it. The
picture has three channels and 1024 pixels along its other side.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
from scipy.fft import dct

LENGTHS = (341, 384, 427, 432, 512, 603, 683, 684, 768, 853, 1021, 1024, 1283, 1499)
ACROSS = 1024


def main() -> None:
    """Print a line for each length, with the seconds along rows and columns."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lengths", nargs="+", type=int, default=LENGTHS)
    parser.add_argument("--runs", type=int, default=9)
    asked = parser.parse_args()
    threads = len(os.sched_getaffinity(0))
    print("length  rows: fast ms  product ms  columns: fast ms  product ms")
    for length in asked.lengths:
        matrix = dct(np.eye(length, dtype=np.float32), axis=0, norm="ortho")
        columns = np.random.default_rng(1).normal(size=(3, length, ACROSS)).astype(np.float32)
        rows = np.ascontiguousarray(columns.transpose(0, 2, 1))
        timed: tuple[Callable[[], object], ...] = (
            lambda rows=rows: dct(rows, axis=2, norm="ortho", workers=threads),  # type: ignore[misc]
            lambda rows=rows, matrix=matrix: rows @ matrix.T,  # type: ignore[misc]
            lambda columns=columns: dct(columns, axis=1, norm="ortho", workers=threads),  # type: ignore[misc]
            lambda columns=columns, matrix=matrix: matrix @ columns,  # type: ignore[misc]
        )
        print(f"{length:6}", *(f"{1000 * median(work, asked.runs):13.1f}" for work in timed))


def median(work: Callable[[], object], runs: int) -> float:
    """Return the median seconds of some runs after one."""
    work()
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
