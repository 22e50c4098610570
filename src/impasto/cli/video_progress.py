"""Progress of a video on standard error: a line a frame, and on a terminal a bar below them."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from impasto.engine.video.driver import FrameStep
    from impasto.engine.video.report import FrameReport

__all__ = ["VideoReporter", "video_progress"]


class VideoReporter(Protocol):
    """Shows how far a video is."""

    def step(self, step: FrameStep) -> None:
        """Show the state after an optimizer step."""

    def frame(self, report: FrameReport) -> None:
        """Show that a frame is done."""


@contextlib.contextmanager
def video_progress(print_every: int) -> Iterator[VideoReporter]:
    """Show the progress of a video as long as the block runs.

    Parameters
    ----------
    print_every : int
        0 for no progress at all.
    """
    if print_every == 0 or sys.stderr is None:
        yield _Silent()
    elif sys.stderr.isatty():
        with _bar() as reporter:
            yield reporter
    else:
        yield _Lines()


class _Silent:
    def step(self, step: FrameStep) -> None:
        pass

    def frame(self, report: FrameReport) -> None:
        pass


class _Lines:
    """One line a frame."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._frames = 0
        self._index = 0

    def step(self, step: FrameStep) -> None:
        self._frames, self._index = step.frames, step.frame

    def frame(self, report: FrameReport) -> None:
        with contextlib.suppress(OSError):
            # Nobody may read it any more; the video is wanted all the same.
            print(self.line(report), file=sys.stderr, flush=True)

    def line(self, report: FrameReport) -> str:
        loss = "" if report.loss is None else f"  loss {report.loss:.6g}"
        flicker = "" if report.flicker is None else f"  flicker {report.flicker:.2f}"
        cut = "  new scene" if report.cut else ""
        seconds = time.perf_counter() - self._began
        return (
            f"frame {self._index}/{self._frames}  {report.name}{loss}{flicker}{cut}  "
            f"{seconds:.1f} s"
        )


class _Bar(_Lines):
    """The lines, above a bar."""

    def __init__(self, bar: Any, task: Any) -> None:
        super().__init__()
        self._bar, self._task = bar, task

    def step(self, step: FrameStep) -> None:
        super().step(step)
        iterate = step.iterate
        self._bar.update(
            self._task,
            description=f"frame {step.frame}/{step.frames}",
            completed=step.frame - 1 + iterate.iteration / iterate.iterations,
            total=step.frames,
            state=f"{iterate.iteration}/{iterate.iterations}  loss {iterate.loss:.4g}",
        )

    def frame(self, report: FrameReport) -> None:
        self._bar.console.print(self.line(report), markup=False, highlight=False)


@contextlib.contextmanager
def _bar() -> Iterator[VideoReporter]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[state]}", table_column=Column(no_wrap=True)),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, expand=True) as bar:
        yield _Bar(bar, bar.add_task("preparing", total=1, state=""))
