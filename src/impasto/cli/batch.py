"""Many pictures: ``impasto paint`` with ``--out-dir``."""

from __future__ import annotations

import contextlib
import json
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from impasto.cli.interruption import Interruption
from impasto.cli.messages import say
from impasto.cli.resume import resume_one
from impasto.cli.running import (
    existing_milestones,
    is_milestone,
    other_inputs,
    report_of,
    say_what_quality_does,
)
from impasto.cli.session import checkpoint_directory, painted
from impasto.cli.shown import Shown
from impasto.engine.amounts import duration_text
from impasto.engine.options import Options
from impasto.engine.scales import total_iterations
from impasto.errors import OptionError, OutputPathError

if TYPE_CHECKING:
    from impasto.engine.batch import Done, Existing, Job
    from impasto.engine.result import StylizeResult
    from impasto.engine.studio import Studio

__all__ = ["SOME_FAILED", "Batch", "paint_all"]

SOME_FAILED = 3
"""Exit code of a batch of which some pictures could not be painted."""


@dataclass(frozen=True)
class Batch:
    """What was asked for.

    Parameters
    ----------
    contents, styles : sequence of Path
        Files, directories and patterns.
    out_dir : Path
    name : str, optional
        Template of the names.
    each_style : bool
    existing : {"refuse", "skip", "replace"}
        What is done about outputs there are already.
    fail_fast : bool
    """

    contents: Sequence[Path]
    styles: Sequence[Path]
    out_dir: Path
    name: str | None
    each_style: bool
    existing: Existing
    fail_fast: bool


def paint_all(batch: Batch, options: Options, *, as_json: bool, debug: bool) -> None:
    """Paint every picture of a batch, and say how it went.

    Raises
    ------
    UsageError
        If it cannot be painted as asked; nothing was painted.
    typer.Exit
        With a code of its own if some pictures failed, or with that of a signal.
    """
    from impasto.engine.batch import check_jobs, check_styles, jobs_of, run_jobs
    from impasto.engine.images import check_output_size
    from impasto.engine.saving import check_output_options
    from impasto.engine.studio import Studio

    if options.checkpoint not in ("auto", "off"):
        raise OptionError(
            "--checkpoint names one directory, and every picture of a batch has its own: give auto "
            "or off."
        )
    jobs = jobs_of(
        batch.contents,
        batch.styles,
        batch.out_dir,
        options,
        name=batch.name,
        each_style=batch.each_style,
    )
    for job in jobs:
        check_output_size(job.output, options.size, 1)
        check_output_options(job.output, options)
    say_what_quality_does(jobs[0].output, options)
    _check_milestones(jobs, batch, options)
    check_styles(jobs, options)
    studio = Studio(options)
    check_jobs(jobs, batch.existing, list(other_inputs(options)))
    account = _Account(jobs, options.print_every > 0, as_json)
    with Interruption() as interruption:
        painter = _Painter(batch, options, studio, account, interruption, debug)
        try:
            for done in run_jobs(jobs, painter, existing=batch.existing, fail_fast=batch.fail_fast):
                account.enter(done)
        except KeyboardInterrupt:
            pass  # before its first step: there is nothing of this picture
    account.close()
    if interruption.signal is not None:
        raise typer.Exit(interruption.exit_code)
    if account.failures:
        raise typer.Exit(SOME_FAILED)


@dataclass
class _Painter:
    """Paints one picture of a batch, or goes on with it."""

    batch: Batch
    options: Options
    studio: Studio
    account: _Account
    interruption: Interruption
    debug: bool
    _plan: str = ""

    def __call__(self, job: Job) -> StylizeResult:
        self.account.announce(job)
        try:
            self.interruption.begin()
            result = self._painted(job)
        except typer.Exit:
            raise KeyboardInterrupt from None  # it has been said that nothing was saved
        except Exception:
            if self.debug:
                traceback.print_exc()
            raise
        if result.status.name != "CANCELLED":
            unfinished_path(job.output).unlink(missing_ok=True)
        return result

    def _painted(self, job: Job) -> StylizeResult:
        from impasto.engine.checkpoint import has_snapshot

        overwrite, unfinished = self.batch.existing == "replace", unfinished_path(job.output)
        directory = checkpoint_directory(job.output)
        if self.batch.existing == "skip" and has_snapshot(directory):
            self.studio.forget()
            return resume_one(
                directory,
                job.content,
                job.styles,
                self.options,
                job.output,
                self.interruption,
                unfinished=unfinished,
            )
        with contextlib.ExitStack() as stack:
            return painted(
                job.content,
                job.styles,
                self.options,
                job.output,
                overwrite,
                self.interruption,
                stack,
                Shown(),
                unfinished=unfinished,
                tell=self._tell_plan,
                studio=self.studio,
            )

    def _tell_plan(self, sentence: str) -> None:
        """Say the plan if it is another one than that of the picture before."""
        if sentence != self._plan:
            say(sentence)
        self._plan = sentence


def unfinished_path(output: Path) -> Path:
    """Return where a cancelled picture goes: not where it would be taken for a finished one."""
    return output.with_name(f"{output.stem}.unfinished{output.suffix}")


@dataclass
class _Account:
    """What is told of a batch, on the way and at the end."""

    jobs: Sequence[Job]
    aloud: bool
    as_json: bool
    began: float = field(default_factory=time.monotonic)
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[Job, str]] = field(default_factory=list)
    _painting: float = 0.0
    """Seconds that finished pictures took."""

    def announce(self, job: Job) -> None:
        """Say which picture is next, and how long all the rest may take."""
        self._since = time.monotonic()
        if not self.aloud:
            return
        painted = self.counts["painted"]
        left = ""
        if painted:
            rest = len(self.jobs) - job.number + 1
            left = f"; about {duration_text(rest * self._painting / painted)} for the rest"
        styles = " + ".join(style.name for style in job.styles)
        say(f"picture {job.number} of {len(self.jobs)}: {job.content} in {styles}{left}.")

    def enter(self, done: Done) -> None:
        """Tell of a picture that is dealt with."""
        outcome, job = done.outcome.value, done.job
        self.counts[outcome] += 1
        if outcome == "painted":
            self._painting += time.monotonic() - self._since
        if outcome == "failed":
            self.failures.append((job, done.reason))
            say(f"{job.content} was not painted: {done.reason}")
        if self.as_json:
            print(json.dumps(self._line(done)), flush=True)
        elif done.result is not None:
            print(_where(done), flush=True)

    def close(self) -> None:
        """Tell how it went."""
        seconds = time.monotonic() - self.began
        left = len(self.jobs) - self.counts.total()
        if self.as_json:
            print(json.dumps({"summary": self._summary(left, seconds)}), flush=True)
        told = [f"{self.counts['painted']} painted"]
        told += [
            f"{self.counts[each]} {each}"
            for each in ("skipped", "unfinished", "failed")
            if self.counts[each]
        ]
        told += [f"{left} left"] if left else []
        say(f"{', '.join(told)} of {len(self.jobs)} pictures in {duration_text(seconds)}.")
        for job, reason in self.failures:
            say(f"failed: {job.output.name}: {reason}")
        if left or self.counts["unfinished"]:
            say("The same command with --skip-existing goes on with what is left.")

    def _line(self, done: Done) -> dict[str, Any]:
        job = done.job
        told: dict[str, Any] = {
            "number": job.number,
            "of": len(self.jobs),
            "content": str(job.content),
            "styles": [str(style) for style in job.styles],
            "outcome": done.outcome.value,
            "output": str(_where(done)),
        }
        if done.result is not None:
            told |= report_of(_where(done), done.result)
        if done.reason:
            told["reason"] = done.reason
        return told

    def _summary(self, left: int, seconds: float) -> dict[str, Any]:
        names = ("painted", "skipped", "unfinished", "failed")
        return {
            **{name: self.counts[name] for name in names},
            "left": left,
            "seconds": round(seconds, 1),
            "failures": [
                {"content": str(job.content), "output": str(job.output), "reason": reason}
                for job, reason in self.failures
            ],
        }


def _where(done: Done) -> Path:
    output = done.job.output
    return unfinished_path(output) if done.outcome.value == "unfinished" else output


def _check_milestones(jobs: Sequence[Job], batch: Batch, options: Options) -> None:
    """Refuse pictures on the way that would replace files, or other pictures of the batch."""
    if options.save_every == 0:
        return
    iterations = total_iterations(options.schedule)
    names = {job.output.name for job in jobs}
    for name in names:
        stem, _, number = Path(name).stem.rpartition("_")
        if f"{stem}{Path(name).suffix}" in names and is_milestone(number, iterations, options):
            raise OutputPathError(
                f"With --save-every, {name} would be a picture on the way to another of the batch, "
                "and one of the batch itself. Tell them apart in --name."
            )
    for job in jobs:
        if batch.existing == "refuse" and job.output.parent.is_dir():
            for found in existing_milestones(job.output, iterations, options):
                raise OutputPathError(f"Output {found} exists. Give --overwrite to replace it.")
