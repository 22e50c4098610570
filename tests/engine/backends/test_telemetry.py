"""No runtime reports to anyone, or leaves an identifier behind, because Impasto imported it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from impasto.engine.backends.telemetry import telemetry_off

# Every backend compiles and runs a graph in a process that tells of each network operation.
PROGRAM = """
import sys

def tell(event, arguments):
    if event.startswith(("socket.connect", "socket.getaddrinfo", "socket.gethostby", "urllib.")):
        print("network:", event, arguments)

sys.addaudithook(tell)
import numpy as np
from impasto.engine.backends import available_backends, open_backend
from impasto.export.graph import GraphBuilder

graph = GraphBuilder()
graph.output(graph.op("Relu", graph.input("x", (2,))), "y", (2,))
for info in available_backends():
    if info.available:
        open_backend(info.name).compile(graph.build("g")).run({"x": np.ones(2, np.float32)})
        print("ran:", info.name)
print("reporter:", "openvino_telemetry" in sys.modules)
"""

# What makes the runtimes' own code keep quiet, and would make this test pass for nothing.
SILENCERS = (
    "CI",
    "TF_BUILD",
    "JENKINS_URL",
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "ORT_DISABLE_TELEMETRY",
)


def test_running_graphs_reaches_for_no_network_and_writes_no_identifier(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in SILENCERS}
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "LOCALAPPDATA", "USERPROFILE"):
        environment[name] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        check=True,
    )
    assert "ran: onnxruntime" in done.stdout
    assert "network:" not in done.stdout
    assert "reporter: False" in done.stdout
    # NVIDIA's driver keeps compiled kernels there, where there is a GPU.
    written = {path.relative_to(tmp_path) for path in tmp_path.rglob("*")}
    assert {str(path) for path in written if path.parts[0] != ".nv"} == set()


def test_the_reporting_package_is_hidden_only_during_the_import(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "openvino_telemetry", raising=False)
    with telemetry_off():
        assert sys.modules["openvino_telemetry"] is None
    assert "openvino_telemetry" not in sys.modules


def test_the_embedding_program_s_own_settings_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    imported_before = ModuleType("openvino_telemetry")
    monkeypatch.setitem(sys.modules, "openvino_telemetry", imported_before)
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    with telemetry_off():
        assert sys.modules["openvino_telemetry"] is imported_before
    assert sys.modules["openvino_telemetry"] is imported_before
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "0"
