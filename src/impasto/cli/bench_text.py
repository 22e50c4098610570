"""What `impasto bench` prints for a person."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from impasto.engine.bench_jobs import Configuration
    from impasto.engine.bench_report import BenchReport, Spread

__all__ = ["bench_tables"]

WIDE = 200
"""More columns than any of the tables has: no cell is cut, whatever the terminal."""


def bench_tables(report: BenchReport) -> str:
    """Return the machine and a table for each kind of measurement; nothing for none."""
    evaluations = [
        (
            _model(each.configuration),
            f"{each.configuration.size}{' tiled' if each.mode == 'tiled' else ''}",
            f"{each.configuration.backend} {each.configuration.precision}",
            str(each.configuration.threads),
            *(_seconds(spread.median) for spread in (each.targets, each.compile)),
            _seconds(each.evaluation.median),
            _range(each.evaluation),
            _megabytes(each.peak_rss_bytes),
        )
        for each in report.evaluations
    ]
    optimizers = [
        (
            each.optimizer,
            str(each.size),
            str(each.threads),
            f"{1e3 * each.own.median:.2f}",
            f"{1e3 * min(each.own.seconds):.2f}-{1e3 * max(each.own.seconds):.2f}",
        )
        for each in report.optimizers
    ]
    pictures = [
        (
            _model(each.configuration),
            "x".join(map(str, each.size)),
            each.ran_on,
            str(each.configuration.threads),
            str(each.iterations),
            _seconds(each.stages["total"].median - each.stages["optimize"].median),
            *(_seconds(each.stages[name].median) for name in ("optimize", "total")),
            _megabytes(each.peak_rss_bytes),
        )
        for each in report.pictures
    ]
    machine = report.machine
    random = sorted({e.configuration.model for e in report.evaluations if e.weights == "random"})
    parts = [
        f"{machine['processor']}, {machine['cores']} cores; Impasto {machine['impasto']}.\n"
        "Medians, in seconds; MB (of 10^6 bytes) are the peak of a process.",
        _table(
            "One loss and gradient",
            ("model", "size", "backend", "thr.", "targets", "compile", "eval.", "range", "MB"),
            evaluations,
        ),
        f"The weights of {', '.join(random)} are not here: random ones, which cost the same, were "
        "timed."
        if random
        else "",
        _table(
            "An optimizer's own time for an iteration, in milliseconds",
            ("optimizer", "size", "thr.", "own", "range"),
            optimizers,
        ),
        _table(
            "Whole pictures",
            ("model", "size", "backend", "thr.", "it.", "before", "optimize", "total", "MB"),
            pictures,
        ),
    ]
    return "\n\n".join(part for part in parts if part)


def _table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as text; an empty text without rows."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        words = heading in ("model", "backend", "optimizer")
        table.add_column(heading, justify="left" if words else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    if not table.row_count:
        return ""
    written = io.StringIO()
    Console(file=written, highlight=False, width=WIDE).print(table)
    return "\n".join([title, *(line.rstrip() for line in written.getvalue().splitlines())])


def _model(configuration: Configuration) -> str:
    """Return the model, and the name of its weights file if one is given."""
    file = Path(configuration.weights).name if configuration.weights else ""
    return f"{configuration.model} {file}".rstrip()


def _seconds(value: float) -> str:
    """Return seconds with three digits that count."""
    return f"{value:.1f}" if value >= 100 else f"{value:.2f}" if value >= 1 else f"{value:.4f}"


def _range(spread: Spread) -> str:
    return f"{_seconds(min(spread.seconds))}-{_seconds(max(spread.seconds))}"


def _megabytes(count: int | None) -> str:
    return "?" if count is None else f"{count / 1e6:.0f}"
