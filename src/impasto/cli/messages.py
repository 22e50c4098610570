"""What the commands say on standard error: one line a message, beginning ``impasto:``."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import typer

__all__ = ["Debug", "Verbosity", "log_to_stderr", "printable", "say"]


@dataclass
class Verbosity:
    """How much is said of errors.

    Parameters
    ----------
    debug : bool
        Whether errors come with a traceback.
    """

    debug: bool = False


def say(*sentences: str) -> None:
    """Print one line to standard error, if there is one that can be written to."""
    # A person who closed standard error, or its pipe, must not lose a picture over a message; nor
    # must one whose Ctrl-C falls into another message (RuntimeError: reentrant call).
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        words = (printable(word) for word in " ".join(sentences).split())
        print("impasto:", *words, file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Return a text, such as a file's name, without what could steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class _StderrHandler(logging.Handler):
    """Say log records, each text once: many pictures fall into the same trap."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = f"{record.levelname.lower()}: {record.getMessage()}"
        if text not in self._said:
            self._said.add(text)
            say(text)


@contextlib.contextmanager
def log_to_stderr() -> Iterator[None]:
    """Show the package's warnings: a fallback to a slower backend, an ignored colour profile."""
    logger, handler = logging.getLogger("impasto"), _StderrHandler(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _remember(context: typer.Context, debug: bool) -> bool:
    if isinstance(context.obj, Verbosity):
        context.obj.debug = debug
    return debug


Debug = Annotated[
    bool,
    typer.Option(
        "--debug", callback=_remember, is_eager=True, help="Show a traceback with an error."
    ),
]
"""The ``--debug`` flag of a command; the command itself has no use for its value."""
