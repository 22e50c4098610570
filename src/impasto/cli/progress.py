"""Progress on standard error: a bar on a terminal, otherwise lines a program can read."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from impasto.engine.result import Iterate
    from impasto.models.weights.download import Progress

__all__ = ["Reporter", "download_progress", "painting_progress"]


class Reporter(Protocol):
    """Shows how far a painting is."""

    def __call__(self, iterate: Iterate) -> None:
        """Show the state after a step."""


@contextlib.contextmanager
def painting_progress(iterations: int, print_every: int) -> Iterator[Reporter]:
    """Show the progress of a painting as long as the block runs.

    Parameters
    ----------
    iterations : int
        Steps there will be.
    print_every : int
        Steps from one line to the next; 0 for no progress at all. A bar shows every step.
    """
    if print_every == 0 or sys.stderr is None:
        yield lambda _iterate: None
    elif sys.stderr.isatty():
        with _bar(iterations) as reporter:
            yield reporter
    else:
        yield _Lines(print_every)


class _Lines:
    """One line every so many steps, and one for the last step."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._written = True

    def __call__(self, iterate: Iterate) -> None:
        last = iterate.iteration == iterate.iterations
        if not self._written or (iterate.iteration % self._every and not last):
            return
        try:
            print(_line(iterate), file=sys.stderr, flush=True)
        except OSError:
            # Nobody reads it any more; the picture is wanted all the same.
            self._written = False


def _line(iterate: Iterate) -> str:
    return (
        f"iteration {iterate.iteration}/{iterate.iterations}  loss {iterate.loss:.6g}  "
        f"{iterate.seconds:.1f} s  {_rate(iterate)}"
    )


def _rate(iterate: Iterate) -> str:
    """Return the speed in the unit that makes it a number above one."""
    each = iterate.seconds / iterate.iteration
    return f"{each:.2f} s/it" if each >= 1 else f"{1 / max(each, 1e-9):.2f} it/s"


@contextlib.contextmanager
def _bar(iterations: int) -> Iterator[Reporter]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.completed}/{task.total}"),
        TextColumn("{task.fields[state]}", table_column=Column(no_wrap=True)),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, expand=True) as bar:
        task = bar.add_task("preparing", total=iterations, state="")

        def report(iterate: Iterate) -> None:
            state = f"loss {iterate.loss:.4g}  {_rate(iterate)}"
            bar.update(task, description="painting", completed=iterate.iteration, state=state)

        yield report


@contextlib.contextmanager
def download_progress(name: str) -> Iterator[Progress]:
    """Show the progress of a download as long as the block runs."""
    if sys.stderr is None:
        yield lambda _have, _total: None
    elif sys.stderr.isatty():
        with _download_bar(name) as progress:
            yield progress
    else:
        yield _DownloadLines(name)


class _DownloadLines:
    """One line every tenth of the file, or every 10 MB if nobody knows how long it is."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._written = -1

    def __call__(self, have: int, total: int | None) -> None:
        tenth = have * 10 // total if total else have // 10**7
        if tenth == self._written:
            return
        self._written = tenth
        of = f" of {total / 1e6:.1f}" if total else ""
        with contextlib.suppress(OSError):
            print(f"{self._name}: {have / 1e6:.1f}{of} MB", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _download_bar(name: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, expand=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda have, total: bar.update(task, completed=have, total=total)
