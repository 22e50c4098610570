"""Options as command-line flags: made from `Options`, and turned back into `Options`.

Every flag is read as text and defaults to ``None``: so a preset can tell what was given, and a
wrong value is refused in the words of the options themselves.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_origin, get_type_hints

import typer

from impasto.cli.completion import complete_option
from impasto.engine.options import TEXTURE_ONLY, Options, flags, is_repeated
from impasto.engine.presets import preset_options
from impasto.errors import OptionError

__all__ = ["default_text", "options_from", "values_of", "with_option_flags"]

Command = TypeVar("Command", bound=Callable[..., None])


@dataclass(frozen=True)
class _Kind:
    """How a type of option is written on the command line."""

    metavar: str
    takes: str
    parse: Callable[[str], Any]


def _texts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in _texts(text))


def _number_or_numbers(text: str) -> float | tuple[float, ...]:
    return _numbers(text) if "," in text else float(text)


_KINDS: Mapping[Any, _Kind] = {
    int: _Kind("N", "a whole number", int),
    float: _Kind("X", "a number", float),
    str: _Kind("NAME", "a name", str),
    Path | None: _Kind("FILE", "a path", Path),
    tuple[str, ...]: _Kind("NAME,...", "names separated by commas", _texts),
    tuple[float, ...]: _Kind("X,...", "numbers separated by commas", _numbers),
    float | tuple[float, ...]: _Kind(
        "X[,...]", "a number, or several separated by commas", _number_or_numbers
    ),
}


def with_option_flags(names: Collection[str] | None = None) -> Callable[[Command], Command]:
    """Give a command one flag for each option, in place of its ``**given``.

    Parameters
    ----------
    names : collection of str, optional
        The options to offer; by default, all that a painting has.
    """
    chosen = [
        item
        for item in fields(Options)
        if (item.name not in TEXTURE_ONLY if names is None else item.name in names)
    ]

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        own = [
            parameter.replace(kind=parameter.KEYWORD_ONLY)
            for parameter in signature.parameters.values()
            if parameter.kind is not parameter.VAR_KEYWORD
        ]
        parameters = [*own, *(each for item in chosen for each in _parameters(item))]
        # Typer reads both.
        command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {each.name: each.annotation for each in parameters}
        return command

    return decorate


def options_from(preset: str, given: Mapping[str, Any]) -> Options:
    """Return the options of a preset with the flags that were given on top.

    Parameters
    ----------
    preset : str
        A name of :data:`~impasto.engine.options.PRESETS`.
    given : mapping of str to (str, list of str, bool or None)
        Flags' values by option name, as they were typed; ``None`` where none was.

    Raises
    ------
    UnknownNameError
        If a name is not one of its list.
    OptionError
        If a value is out of range or cannot be read.
    """
    typed = {name: value for name, value in given.items() if value not in (None, [])}
    return preset_options(preset, {name: _parsed(name, value) for name, value in _spelt(typed)})


def values_of(name: str, text: str) -> tuple[Any, ...]:
    """Return the values that are typed for an option, to try one after the other.

    Parameters
    ----------
    name : str
        Of the option.
    text : str
        Values separated by commas; by semicolons if there is one, or if each value is a list.

    Raises
    ------
    OptionError
        If one cannot be read.
    """
    separator = ";" if ";" in text or get_origin(_TYPES[name]) is tuple else ","
    typed = [part.strip() for part in text.split(separator) if part.strip()]
    if _TYPES[name] is bool:
        switches = {"on": True, "off": False, "true": True, "false": False}
        odd = [part for part in typed if part.lower() not in switches]
        if odd:
            raise OptionError(f"{flags(name)[0]} is {odd[0]!r}; it takes on or off here.")
        return tuple(switches[part.lower()] for part in typed)
    return tuple(_parsed(name, part) for part in typed)


def default_text(value: Any) -> str:
    """Return a default as it would be typed; an empty text if there is nothing to type."""
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, tuple):
        return ",".join(map(default_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


_TYPES = get_type_hints(Options)
_SHORT_FOR = {
    flag.replace("-", "_"): (item.name, value)
    for item in fields(Options)
    for flag, value in item.metadata["short_for"].items()
}
"""Option and value that a flag is short for, by the flag's name."""


def _spelt(typed: Mapping[str, str | bool]) -> Iterator[tuple[str, str | bool]]:
    """Yield what was typed, with the values that flags are short for."""
    for name, value in typed.items():
        if name not in _SHORT_FOR:
            yield name, value
            continue
        option, meant = _SHORT_FOR[name]
        if typed.get(option, meant) != meant:
            raise OptionError(
                f"--{name.replace('_', '-')} is short for {flags(option)[0]} {meant}, and "
                f"{flags(option)[0]} {typed[option]} is given too; leave one of them out."
            )
        yield option, meant


def _kind(name: str) -> _Kind:
    kind = _TYPES[name]
    return _KINDS[str if get_origin(kind) is Literal else kind]


def _parsed(name: str, value: str | list[str] | bool) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, list):
        return tuple(value)
    if is_repeated(name):
        return (value,) if value else ()
    kind = _kind(name)
    try:
        return kind.parse(value)
    except ValueError:
        raise OptionError(f"{flags(name)[0]} is {value!r}; it takes {kind.takes}.") from None


def _parameters(item: Field[Any]) -> Iterator[inspect.Parameter]:
    """Yield the parameter of an option, and those of flags that are short for one of its values."""
    yield _parameter(item)
    for flag, value in item.metadata["short_for"].items():
        yield inspect.Parameter(
            flag.replace("-", "_"),
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                bool | None,
                typer.Option(
                    f"--{flag}",
                    help=f"Short for {flags(item.name)[0]} {value}.",
                    show_default=False,
                    rich_help_panel=item.metadata["group"],
                ),
            ],
        )


def _parameter(item: Field[Any]) -> inspect.Parameter:
    default = default_text(item.default)
    is_flag, repeated = _TYPES[item.name] is bool, is_repeated(item.name)
    choices = "|".join(item.metadata["choices"])
    kind: Any = bool if is_flag else list[str] if repeated else str
    flag = typer.Option(
        *flags(item.name),
        help=item.metadata["help"] + (f" [default: {default}]" if default else ""),
        show_default=False,
        metavar=None
        if is_flag
        else choices or item.metadata["metavar"] or _kind(item.name).metavar,
        autocompletion=complete_option(item.name, item.metadata["choices"]),
        rich_help_panel=item.metadata["group"],
    )
    return inspect.Parameter(
        item.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, flag],
    )
