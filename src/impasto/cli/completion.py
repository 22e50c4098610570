"""What the shell offers after Tab: names for options' values, without importing a runtime."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import typer

from impasto.engine.options import INITS, Options

__all__ = ["complete_model", "complete_option", "complete_preset"]


def complete_preset(incomplete: str) -> Iterator[str]:
    """Yield the presets with a name; files complete by themselves."""
    from impasto.engine.presets import preset_names

    yield from _beginning(preset_names(), incomplete)


def complete_model(incomplete: str) -> Iterator[str]:
    """Yield the models."""
    from impasto.models import list_models

    yield from _beginning((spec.name for spec in list_models()), incomplete)


def complete_option(name: str, choices: tuple[str, ...]) -> Any:
    """Return what completes an option's value, or None if there is nothing to offer.

    Parameters
    ----------
    name : str
        Of the option.
    choices : tuple of str
        Its values, if there is a closed list.
    """
    if name == "model":
        return complete_model
    if name.endswith("_layers"):
        return _complete_layers
    if name == "init":
        choices = INITS
    if not choices:
        return None
    return lambda incomplete: _beginning(choices, incomplete)


def _complete_layers(context: typer.Context, incomplete: str) -> Iterator[str]:
    """Yield lists that end in a layer of the chosen model, after those that are typed already."""
    from impasto.models import model_spec

    before, comma, last = incomplete.rpartition(",")
    typed = before.split(",")
    layers = model_spec(_model_of(context)).architecture.layer_names
    left = [name for name in layers if name not in typed]
    yield from (f"{before}{comma}{name}" for name in _beginning(left, last))


def _model_of(context: typer.Context) -> str:
    """Return the model that the flags typed so far, or their preset, choose."""
    from impasto.engine.presets import find_preset
    from impasto.errors import UsageError
    from impasto.models import list_models

    chosen = context.params.get("model")
    if chosen is None:
        try:
            changes = find_preset(context.params.get("preset") or "default").changes
        except UsageError:
            changes = {}
        chosen = changes.get("model", Options().model)
    known = [spec.name for spec in list_models()]
    return str(chosen) if chosen in known else Options().model


def _beginning(names: Iterable[str], incomplete: str) -> Iterator[str]:
    return (name for name in names if name.startswith(incomplete))
