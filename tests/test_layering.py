"""Who may import whom: `models` and `export` know nothing of each other, `engine` joins them.

The rules are read off the source, so an import inside a function counts as well. The last tests
look at what a process has really loaded.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "src/impasto": "impasto",
    "engine": "impasto.engine",
    "export": "impasto.export",
    "models": "impasto.models",
}
EVERYONE = ("impasto.errors", "impasto.__version__")
ALLOWED = {
    "src/impasto": ("impasto.cli", "impasto.engine", "impasto.models", *EVERYONE),
    "engine": ("impasto.engine", "impasto.export", "impasto.models", *EVERYONE),
    "export": ("impasto.export", *EVERYONE),
    "models": ("impasto.models", *EVERYONE),
}
# Third-party module: the one place (a folder or a file) that may import it.
CONFINED = {
    "onnxruntime": "engine/backends/",
    "openvino": "engine/backends/",
    "pickle": "models/weights/unpickler.py",
    "h5py": "models/weights/keras_h5.py",
    "cv2": "engine/video/flow.py",
    "typer": "src/impasto/cli/",
    "rich": "src/impasto/cli/",
}
FORBIDDEN = ("torch", "torchvision", "tensorflow", "keras", "jax", "sympy")
PAINT = """
import sys
from pathlib import Path

import numpy as np

import impasto
import impasto.cli

generator = np.random.default_rng(7)
content, style = (generator.integers(0, 256, (48, 48, 3), np.uint8) for _ in range(2))
result = impasto.stylize(content, [style], impasto.Options(size=48, iterations=1))
assert result.image.shape == (48, 48, 3)
print(*sys.modules)
"""


def source_files() -> list[str]:
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    return sorted(path.relative_to(ROOT).as_posix() for path in files)


def imported_modules(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the module of each import, wherever in the source it stands."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                for name in names:
                    yield node.lineno, name.name
            case ast.ImportFrom(module=module, level=level, names=names):
                for name in names:
                    if level or module is None:
                        yield node.lineno, "." * level + (module or name.name)
                        continue
                    # In `from impasto import engine` the name is the module that counts.
                    yield node.lineno, f"{module}.{name.name}" if module == "impasto" else module
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__")
                | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                yield node.lineno, module


def is_inside(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def broken_rules(file: str, source: str) -> Iterator[str]:
    (folder,) = (folder for folder in FOLDERS if file.startswith(folder + "/"))
    for line, module in imported_modules(source):
        where = f"{file}:{line} imports {module}"
        if module.startswith("."):
            yield f"{where} by its place; its name begins with impasto"
        elif is_inside(module, "impasto"):
            if not any(is_inside(module, package) for package in ALLOWED[folder]):
                yield f"{where}; {folder} may import {', '.join(ALLOWED[folder])}"
        elif any(is_inside(module, name) for name in FORBIDDEN):
            yield f"{where}, which Impasto does without"
        elif any(is_inside(module, name) for name in ("engine", "export", "models", "src")):
            yield f"{where} by its folder; its name begins with impasto"
        for name, place in CONFINED.items():
            if is_inside(module, name) and not file.startswith(place):
                yield f"{where}; only {place} may"


@pytest.mark.parametrize("file", source_files())
def test_imports_keep_to_their_layer(file: str) -> None:
    broken = list(broken_rules(file, (ROOT / file).read_text("utf-8")))
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("models/registry.py", "from impasto.export.graph import GraphBuilder"),
        ("models/registry.py", "from impasto import engine"),
        ("export/graph.py", "def late():\n    import impasto.models"),
        ("export/graph.py", "from impasto.engine.options import Options"),
        ("export/graph.py", "from export.registry import Rules"),
        ("export/graph.py", "from .registry import Rules"),
        ("engine/network.py", "from impasto.cli import main"),
        ("engine/network.py", "import importlib\nimportlib.import_module('onnxruntime')"),
        ("engine/network.py", "import openvino.properties"),
        ("engine/network.py", "import torch.nn"),
        ("engine/images.py", "import sympy"),
        ("models/weights/torch_pth.py", "import pickle"),
        ("src/impasto/cli/paint.py", "from impasto.export import graph"),
    ],
)
def test_a_broken_rule_is_seen(file: str, source: str) -> None:
    assert list(broken_rules(file, source))


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("engine/network.py", "from impasto import __version__\nimport impasto.export.graph"),
        ("engine/backends/openvino.py", "import openvino as ov"),
        ("models/weights/unpickler.py", "import pickle\nfrom impasto.errors import WeightsError"),
        ("src/impasto/cli/models.py", "from impasto.models import load_model"),
    ],
)
def test_a_kept_rule_is_let_pass(file: str, source: str) -> None:
    assert not list(broken_rules(file, source))


def test_errors_import_nothing_of_impasto() -> None:
    source = (ROOT / "src/impasto/errors.py").read_text("utf-8")
    modules = [module for _, module in imported_modules(source)]
    assert modules
    assert not any(is_inside(module, "impasto") for module in modules)


def test_every_folder_has_files() -> None:
    assert {file.split("/")[0] for file in source_files()} == {"src", "engine", "export", "models"}


def loaded_modules(program: str, cache: Path) -> set[str]:
    """Return the top-level modules a fresh interpreter holds after `program`, which prints them."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "IMPASTO_CACHE": str(cache)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in done.stdout.split()}


def test_importing_impasto_is_light(tmp_path: Path) -> None:
    loaded = loaded_modules("import sys, impasto; print(*sys.modules)", tmp_path)
    assert "impasto" in loaded
    assert not loaded & {"numpy", "scipy", "PIL", "onnx", "onnxruntime", "openvino", "typer"}


def test_painting_loads_no_training_framework(tmp_path: Path) -> None:
    loaded = loaded_modules(PAINT, tmp_path)
    assert {"impasto", "numpy", "onnx"} <= loaded
    assert not loaded & set(FORBIDDEN)
