"""Time one evaluation with PyTorch, in a process of its own; see peers.py.

    TORCH_PYTHON benchmarks/torch_evaluation.py PROBLEM torch-bf16-nhwc --seconds 2

Prints one line of JSON, with the same keys as our_evaluation.py.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
from gpu import gpu_memory_in_use
from torch_objective import TorchObjective

MOST_RUNS = 50


def main() -> None:
    """Measure one configuration."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("problem", type=Path)
    parser.add_argument(
        "configuration",
        help="torch-f32, torch-bf16 or, on a GPU, torch-tf32; with -nhwc channels last, with -cuda "
        "on a GPU, with -autotune after cuDNN has timed its algorithms",
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="how long to repeat")
    parser.add_argument("--gradient", type=Path, help="where to save the gradient")
    asked = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    words = asked.configuration.split("-")
    device = "cuda" if "cuda" in words else "cpu"
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = "tf32" in words
    torch.backends.cudnn.benchmark = "autotune" in words
    before = gpu_memory_in_use() if device == "cuda" else 0
    began = time.perf_counter()
    objective = TorchObjective(
        asked.problem, bf16="bf16" in words, channels_last="nhwc" in words, device=device
    )
    loss, gradient = objective(objective.image)  # the warm-up
    if device == "cuda":
        torch.cuda.synchronize()
    first = time.perf_counter() - began
    if asked.gradient:
        np.save(asked.gradient, gradient.contiguous().cpu().numpy())
    del gradient
    seconds: list[float] = []
    while not seconds or (sum(seconds) < asked.seconds and len(seconds) < MOST_RUNS):
        began = time.perf_counter()
        objective(objective.image)
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    print(
        json.dumps(
            {
                "loss": loss,
                "first_s": first,
                "seconds": seconds,
                "peak_rss_bytes": peak_rss_bytes(),
                "gpu_bytes": gpu_memory_in_use() - before if device == "cuda" else 0,
                "version": f"torch {torch.__version__}",
            }
        )
    )


def peak_rss_bytes() -> int:
    """Return the largest resident memory of this process, as impasto.engine.machine has it."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
