"""Progress on standard error: a bar on a terminal, otherwise lines a program can read."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from impasto.engine.amounts import duration_text
from impasto.engine.pace import Pace
from impasto.engine.scales import Scale

if TYPE_CHECKING:
    from rich.console import Console

    from impasto.cli.preview import Preview
    from impasto.engine.result import Iterate
    from impasto.models.weights.download import Progress

__all__ = ["Reporter", "download_progress", "painting_progress"]


class Reporter(Protocol):
    """Shows how far a painting is."""

    def __call__(self, iterate: Iterate) -> None:
        """Show the state after a step."""


@contextlib.contextmanager
def painting_progress(
    iterations: int,
    print_every: int,
    scales: Sequence[Scale] = (),
    preview: Preview | None = None,
) -> Iterator[Reporter]:
    """Show the progress of a painting as long as the block runs.

    Parameters
    ----------
    iterations : int
        Steps there will be.
    print_every : int
        Steps from one line to the next; 0 for no progress at all. A bar shows every step.
    scales : sequence of Scale, optional
        Where steps are of different sizes, for the time that is left.
    preview : Preview, optional
        Shown above the bar.
    """
    pace = Pace(scales or (Scale(1, iterations, 0),))
    if print_every == 0 or sys.stderr is None:
        yield lambda _iterate: None
    elif sys.stderr.isatty():
        with _bar(iterations, pace, preview) as reporter:
            yield reporter
    else:
        yield _Lines(print_every, pace)


class _Lines:
    """One line every so many steps, and one for the last step."""

    def __init__(self, every: int, pace: Pace) -> None:
        self._every = every
        self._pace = pace
        self._written = True

    def __call__(self, iterate: Iterate) -> None:
        left = self._pace(iterate)
        last = iterate.iteration == iterate.iterations
        if not self._written or (iterate.iteration % self._every and not last):
            return
        line = (
            f"iteration {iterate.iteration}/{iterate.iterations}  loss {iterate.loss:.6g}  "
            f"{iterate.seconds:.1f} s  {_rate(iterate)}  {_terms(iterate)}"
        )
        try:
            print(line + ("" if last else f"  {duration_text(left)} left"), file=sys.stderr)
            sys.stderr.flush()
        except OSError:
            # Nobody reads it any more; the picture is wanted all the same.
            self._written = False


def _terms(iterate: Iterate) -> str:
    """Return the terms of the loss, added up by what they are of."""
    from impasto.engine.trace import loss_by_kind

    return "  ".join(f"{kind} {value:.3g}" for kind, value in loss_by_kind(iterate.losses).items())


def _rate(iterate: Iterate) -> str:
    """Return the speed in the unit that makes it a number above one."""
    each = iterate.seconds / iterate.iteration
    return f"{each:.2f} s/it" if each >= 1 else f"{1 / max(each, 1e-9):.2f} it/s"


WIDE = 110
"""Columns from which there is room for the terms of the loss."""


@contextlib.contextmanager
def _bar(iterations: int, pace: Pace, preview: Preview | None) -> Iterator[Reporter]:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.completed}/{task.total}"),
        TextColumn("{task.fields[state]}", table_column=Column(no_wrap=True)),
    )
    console = Console(stderr=True)
    bar = Progress(*columns, console=console, expand=True)
    task = bar.add_task("preparing", total=iterations, state="")

    def shown() -> Group:
        parts = [] if preview is None else [preview.body]
        return Group(*parts, bar.get_renderable())

    with Live(shown(), console=console, auto_refresh=False, transient=True) as live:

        def report(iterate: Iterate) -> None:
            left = pace(iterate)
            words = [f"loss {iterate.loss:.4g}", _rate(iterate)]
            if console.width >= WIDE:
                words.insert(1, _terms(iterate))
            if iterate.iteration < iterate.iterations:
                words.append(f"{duration_text(left)} left")
            bar.update(
                task,
                description="painting",
                completed=iterate.iteration,
                state="  ".join(words),
            )
            if preview is not None:
                preview.draw(iterate)
            live.update(shown(), refresh=True)
            _write(console, preview.overlay if preview is not None else "")

        live.refresh()
        try:
            yield report
        finally:
            _write(console, preview.farewell if preview is not None else "")


def _write(console: Console, text: str) -> None:
    """Write a terminal's own language past Rich; a terminal that is gone is no error."""
    if text:
        with contextlib.suppress(OSError):
            console.file.write(text)
            console.file.flush()


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
