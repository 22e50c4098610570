"""What ``paint``, ``texture`` and ``resume`` leave to look at besides the picture: a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli.messages import say
from impasto.cli.progress import Reporter
from impasto.engine.options import OUTPUT
from impasto.errors import ImpastoError, OutputPathError

if TYPE_CHECKING:
    from impasto.engine.canvas import Canvas
    from impasto.engine.result import Iterate, StylizeResult
    from impasto.engine.trace import Trace

__all__ = ["Report", "Shown"]

Report = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Also write a page (.html) with inputs, result, loss curves, settings and command.",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]


class Shown:
    """The extra files of a run. None of them can lose the picture: what fails is said.

    Parameters
    ----------
    report : Path, optional

    Attributes
    ----------
    files : dict of str to Path
        Those that were written, by kind.
    """

    def __init__(self, report: Path | None) -> None:
        self._report = report
        self._trace: Trace | None = None
        self._failed = False
        self.files: dict[str, Path] = {}

    def check(self, others: Sequence[Path], overwrite: bool, inputs: Sequence[Path]) -> None:
        """Refuse files that could not, or should not, be written at the end of the run.

        Parameters
        ----------
        others : sequence of Path
            Files the run writes as well.
        overwrite, inputs
            As for `impasto.engine.outputs.check_output_file`.

        Raises
        ------
        OutputPathError
        """
        from impasto.engine.outputs import check_output_file

        if self._report is None:
            return
        if self._report.suffix.lower() not in (".html", ".htm"):
            raise OutputPathError(f"--report {self._report}: a report is a .html file; name it so.")
        check_output_file(self._report, overwrite, inputs)

    def beside(self, reporter: Reporter) -> Reporter:
        """Return what to call after every step: `reporter`, and what is recorded here."""
        if self._report is None:
            return reporter
        from impasto.engine.trace import Trace

        trace = self._trace = Trace()

        def report(iterate: Iterate) -> None:
            reporter(iterate)
            trace(iterate)

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
        if self._report is None:
            return
        from impasto.engine.report import Exhibit, write_report

        try:
            write_report(self._report, result, Exhibit(subject, styles, self._trace, output))
        except ImpastoError as error:
            self._failed = True
            say(f"warning: {error}")
        else:
            self.files["report"] = self._report

    def exit_if_failed(self) -> None:
        """End the command with status 1 if a file could not be written."""
        if self._failed:
            raise typer.Exit(1)
