"""What a run imports: the runtime that computes it, and of SciPy what its optimizer needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from impasto.engine.backends import choose

PAINT = """
import sys

import numpy as np

from impasto import Options, stylize

layers = {"content_layers": ("relu2_1",), "style_layers": ("relu1_1",)}
picture = np.random.default_rng(7).integers(0, 256, (48, 48, 3), np.uint8)
options = Options(size=48, iterations=1, backend=sys.argv[1], optimizer=sys.argv[2], **layers)
assert stylize(picture, [picture], options).iterations == 1
print(*sys.modules)
"""


def loaded(cache: Path, backend: str, optimizer: str) -> set[str]:
    """Return the modules that a process has loaded after painting a small picture."""
    done = subprocess.run(
        [sys.executable, "-c", PAINT, backend, optimizer],
        env={**os.environ, "IMPASTO_CACHE": str(cache)},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return set(done.stdout.split())


def test_onnxruntime_runs_without_openvino(tmp_path: Path) -> None:
    modules = loaded(tmp_path, "onnxruntime", "adam")
    assert "onnxruntime" in modules
    assert not modules & {"openvino", "scipy", "scipy.optimize", "h5py"}


@pytest.mark.parametrize("optimizer", ["lbfgs-numpy", "lbfgs"])
def test_a_second_run_does_not_load_the_reference(tmp_path: Path, optimizer: str) -> None:
    loaded(tmp_path, "auto", optimizer)
    modules = loaded(tmp_path, "auto", optimizer)
    name, _, _ = choose()
    runtime = "openvino" if name == "openvino" else "onnxruntime"
    assert modules & {"openvino", "onnxruntime"} == {runtime}
    assert ("scipy.optimize" in modules) == (optimizer == "lbfgs")
