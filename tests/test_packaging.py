"""What is built and installed: the package list, the version, the wheel, the requirements."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import impasto

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
MAPPED: dict[str, str] = PROJECT["tool"]["setuptools"]["package-dir"]
FORBIDDEN = {"torch", "torchvision", "tensorflow", "keras", "jax", "sympy"}


def packages_on_disk() -> set[str]:
    found = set()
    for package, folder in MAPPED.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            found.add(".".join((package, *init.parent.relative_to(ROOT / folder).parts)))
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Names in a wheel built from a copy of the sources, away from any left-over build folder."""
    copy = tmp_path_factory.mktemp("source")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in {Path(folder).parts[0] for folder in MAPPED.values()}:
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "wheels"]
    built = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = (copy / "wheels").glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_package_list_matches_directories() -> None:
    listed = PROJECT["tool"]["setuptools"]["packages"]
    assert sorted(listed) == listed
    assert set(listed) == packages_on_disk()


def test_every_folder_with_modules_is_a_package() -> None:
    for folder in MAPPED.values():
        for module in (ROOT / folder).rglob("*.py"):
            assert (module.parent / "__init__.py").is_file(), f"{module.parent} has no __init__.py"


def test_wheel_installs_only_impasto(wheel: list[str]) -> None:
    version = PROJECT["project"]["version"]
    assert {name.split("/")[0] for name in wheel} == {"impasto", f"impasto-{version}.dist-info"}


def test_wheel_holds_every_module(wheel: list[str]) -> None:
    expected = set()
    for package, folder in MAPPED.items():
        for module in (ROOT / folder).rglob("*.py"):
            inside = module.relative_to(ROOT / folder).as_posix()
            expected.add(f"{package.replace('.', '/')}/{inside}")
    assert {name for name in wheel if name.endswith(".py")} == expected


def test_wheel_holds_weights_and_licences(wheel: list[str]) -> None:
    licences = f"impasto-{PROJECT['project']['version']}.dist-info/licenses"
    for name in (
        "impasto/py.typed",
        "impasto/models/data/vgg19.safetensors",
        "impasto/models/data/LICENSE.vgg19",
        f"{licences}/LICENSE",
        f"{licences}/models/data/LICENSE.vgg19",
    ):
        assert name in wheel


def test_version_is_said_once() -> None:
    assert PROJECT["project"]["version"] == impasto.__version__
    assert metadata.version("impasto") == impasto.__version__


def test_changelog_has_this_version_or_an_unreleased_section() -> None:
    headings = re.findall(
        r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE
    )
    assert {"Unreleased", impasto.__version__} & set(headings)


def test_requirements_bring_no_training_framework() -> None:
    """Follow the requirements of what is installed, without extras, to the end."""
    seen: set[str] = set()
    waiting = ["impasto"]
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in seen:
            continue
        seen.add(name)
        for line in metadata.requires(name) or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    assert {"impasto", "numpy", "onnxruntime", "openvino"} <= seen
    assert not seen & FORBIDDEN
