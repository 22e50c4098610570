"""The names a program may rely on: listed, sorted, documented, and found where they are said."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import impasto

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "src/impasto": "impasto",
    "engine": "impasto.engine",
    "export": "impasto.export",
    "models": "impasto.models",
}


def module_names() -> list[str]:
    """Return every module, read off the folders: an editable install hides them from pkgutil."""
    names = []
    for folder, package in FOLDERS.items():
        for file in (ROOT / folder).rglob("*.py"):
            parts = file.relative_to(ROOT / folder).with_suffix("").parts
            names.append(".".join((package, *parts)).removesuffix(".__init__"))
    return sorted(names)


def order_of_names(name: str) -> tuple[bool, bool, str]:
    """Order as the linter sorts ``__all__``: CONSTANTS, then Classes, then the rest."""
    return (not name.isupper(), not name[0].isupper(), name)


def defined_names(module: ModuleType) -> set[str]:
    """Return the public functions and classes a module's own source defines at its top."""
    tree = ast.parse(inspect.getsource(module))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {
        node.name
        for node in tree.body
        if isinstance(node, kinds) and node.name.strip("_")[:1] and not node.name.startswith("_")
    }


def has_own_docstring(value: Any) -> bool:
    """Tell whether `value`, if a function or a class, is documented; a subclass by itself."""
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        return True
    text = value.__doc__ or ""
    # A dataclass without a docstring gets its signature as one.
    generated = inspect.isclass(value) and text.startswith(f"{value.__name__}(")
    return bool(text.strip()) and not generated


@pytest.mark.parametrize("name", module_names())
def test_module_lists_its_public_names(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    public = getattr(module, "__all__", None)
    if public is None:
        assert module.__file__
        assert module.__file__.endswith("__init__.py"), f"{name} has no __all__"
        assert not defined_names(module)
        return
    assert list(public) == sorted(public, key=order_of_names)
    assert len(set(public)) == len(public)
    undocumented = [item for item in public if not has_own_docstring(getattr(module, item))]
    assert not undocumented, f"{name}: no docstring on {', '.join(undocumented)}"


def test_face_lists_every_name_with_its_home() -> None:
    assert {"__version__", *impasto._HOMES} == set(impasto.__all__)


@pytest.mark.parametrize("name", sorted(impasto._HOMES))
def test_face_gives_the_object_of_its_home(name: str) -> None:
    home = importlib.import_module(impasto._HOMES[name])
    assert name in home.__all__
    assert getattr(impasto, name) is getattr(home, name)


def test_face_shows_type_checkers_the_same_names() -> None:
    """The imports under ``TYPE_CHECKING`` repeat `_HOMES`, which no type checker can read."""
    source = ast.parse((ROOT / "src/impasto/__init__.py").read_text("utf-8"))
    (guarded,) = (node for node in source.body if isinstance(node, ast.If))
    imported = {
        alias.name: node.module
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == impasto._HOMES


def test_face_refuses_other_names() -> None:
    with pytest.raises(AttributeError, match="'impasto' has no attribute 'paint_it_black'"):
        impasto.paint_it_black  # noqa: B018 - the access itself is what is tried
    assert dir(impasto) == sorted(impasto.__all__)


def test_every_error_is_an_impasto_error_with_an_exit_code() -> None:
    errors = importlib.import_module("impasto.errors")
    for name in errors.__all__:
        error = getattr(errors, name)
        assert issubclass(error, impasto.ImpastoError)
        assert error.exit_code == (2 if issubclass(error, errors.UsageError) else 1)
        assert name in (errors.__doc__ or ""), f"the tree in the module's docstring lacks {name}"
