"""What a run leaves to look at besides its picture: a report and an animation, and a preview."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli.messages import say
from impasto.cli.preview import Preview, preview_for
from impasto.cli.progress import Reporter
from impasto.engine.options import OUTPUT
from impasto.errors import ImpastoError, OutputPathError

if TYPE_CHECKING:
    from impasto.engine.animation import Animation
    from impasto.engine.canvas import Canvas
    from impasto.engine.result import Iterate, StylizeResult
    from impasto.engine.trace import Trace

__all__ = ["Animate", "AnimateSize", "Report", "Shown", "Wanted"]

Report = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Also write a page (.html) with inputs, result, loss curves, settings and command.",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]

Animate = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Also write the optimisation as an animation: .gif, .webp, .png or .mp4.",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]

AnimateSize = Annotated[
    int,
    typer.Option(
        metavar="N",
        help="Longest side of the animation in pixels. [default: 480]",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]


@dataclass(frozen=True)
class Wanted:
    """What was asked for on the command line.

    Parameters
    ----------
    report, animate : Path, optional
        Files to write.
    animate_size : int
        Longest side of the animation.
    preview : str
        See `impasto.cli.preview.preview_for`.
    """

    report: Path | None = None
    animate: Path | None = None
    animate_size: int = 480
    preview: str = "off"


class Shown:
    """The extra files of a run. None of them can lose the picture: what fails is said.

    Parameters
    ----------
    wanted : Wanted, optional
        Nothing, by default.

    Attributes
    ----------
    files : dict of str to Path
        Those that were written, by kind.
    preview : Preview or None
        For the progress on the terminal.
    """

    def __init__(self, wanted: Wanted | None = None) -> None:
        self._wanted = wanted or Wanted()
        self._trace: Trace | None = None
        self._animation: Animation | None = None
        self._failed = False
        self.files: dict[str, Path] = {}
        self.preview: Preview | None = preview_for(self._wanted.preview)

    def check(self, output: Path, overwrite: bool, inputs: Sequence[Path]) -> None:
        """Refuse files that could not, or should not, be written at the end of the run.

        Parameters
        ----------
        output : Path
            The picture's.
        overwrite, inputs
            As for `impasto.engine.outputs.check_output_file`.

        Raises
        ------
        OutputPathError
        """
        from impasto.engine.outputs import check_output_file

        report, animate = self._wanted.report, self._wanted.animate
        if report is not None:
            if report.suffix.lower() not in (".html", ".htm"):
                raise OutputPathError(f"--report {report}: a report is a .html file; name it so.")
            check_output_file(report, overwrite, inputs)
        if animate is not None:
            from impasto.engine.animation import Animation

            self._animation = Animation(animate, size=self._wanted.animate_size)
            check_output_file(animate, overwrite, inputs)
            if animate.resolve() == output.resolve():
                raise OutputPathError(
                    f"--animate {animate} is the picture's file; give the animation another name."
                )

    def beside(self, reporter: Reporter) -> Reporter:
        """Return what to call after every step: `reporter`, and what is recorded here."""
        if self._wanted.report is not None:
            from impasto.engine.trace import Trace

            self._trace = Trace()

        def report(iterate: Iterate) -> None:
            reporter(iterate)
            if self._trace is not None:
                self._trace(iterate)
            if self._animation is not None:
                self._animated(lambda animation: animation(iterate))

        return report

    def finish(
        self,
        result: StylizeResult,
        subject: Path | Canvas,
        styles: Sequence[Path],
        output: Path,
    ) -> None:
        """Write the files, now that the picture is saved.

        Parameters
        ----------
        result : StylizeResult
        subject, styles
            Files of the pictures; a texture has a canvas instead of the content.
        output : Path
        """
        animate, report = self._wanted.animate, self._wanted.report
        if animate is not None and self._animation is not None:
            self._animated(lambda animation: animation.write(result.image))
            if self._animation is not None:
                self.files["animation"] = animate
                if result.resumed_from:
                    say(f"the animation begins where the run went on, at {result.resumed_from}.")
        if report is None:
            return
        from impasto.engine.report import Exhibit, write_report

        shown = Exhibit(subject, styles, self._trace, output, self.files.get("animation"))
        try:
            write_report(report, result, shown)
        except ImpastoError as error:
            self._failed = True
            say(f"warning: {error}")
        else:
            self.files["report"] = report

    def exit_if_failed(self) -> None:
        """End the command with status 1 if a file could not be written."""
        if self._failed:
            raise typer.Exit(1)

    def _animated(self, do: Callable[[Animation], None]) -> None:
        """Do something with the animation; if that fails, go on without one."""
        if self._animation is None:
            return
        try:
            do(self._animation)
        except Exception as error:
            # Whatever it is, of an encoder's making as well: hours of work may hang on it.
            say(f"warning: the animation is given up. {error}")
            self._animation, self._failed = None, True
