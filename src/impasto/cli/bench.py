"""``impasto bench``: what targets, compiling, evaluations and optimizers take on this machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli.arguments import paintings
from impasto.cli.bench_text import bench_tables
from impasto.cli.flags import options_from
from impasto.cli.interruption import Interruption
from impasto.cli.messages import Debug, say
from impasto.engine.options import LOOK, MACHINE, OUTPUT, SEARCH
from impasto.errors import OptionError

if TYPE_CHECKING:
    from impasto.engine.bench import Bench

__all__ = ["bench"]

MOST_RUNS = 1000
ITERATIONS = "10"
"""Of a whole picture: enough to see its parts; all of them take minutes."""


def bench(
    content: Annotated[
        Path | None,
        typer.Argument(
            metavar="[CONTENT]",
            show_default=False,
            help="The photo of whole pictures; one is generated otherwise.",
        ),
    ] = None,
    styles: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[STYLE]", show_default=False, help="Their paintings."),
    ] = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            show_default=False,
            help="Runtime. [default: all that are available here]",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(
            metavar="auto|f32|bf16",
            show_default=False,
            help="Arithmetic. [default: all that the processor has]",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    threads: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N",
            show_default=False,
            help="Threads; 0 is one per available core. [default: 0]",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            show_default=False,
            help="Network; without its weights random ones are timed. [default: vgg19]",
            rich_help_panel=LOOK,
        ),
    ] = None,
    weights: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help="Weights file, one for each --model in their order. [default: its own]",
            rich_help_panel=LOOK,
        ),
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N",
            show_default=False,
            help="Side in pixels. [default: 512]",
            rich_help_panel=LOOK,
        ),
    ] = None,
    whole: Annotated[
        bool | None,
        typer.Option(
            show_default=False,
            help="Paint whole pictures too. [default: if CONTENT is given]",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    iterations: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            show_default=False,
            help="Iterations of whole pictures; `impasto paint` makes more. "
            f"[default: {ITERATIONS}]",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    runs: Annotated[
        int,
        typer.Option(
            metavar="N",
            show_default=False,
            help="Processes each configuration is measured in. [default: 5]",
            rich_help_panel=SEARCH,
        ),
    ] = 5,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print one JSON object instead of tables.", rich_help_panel=OUTPUT
        ),
    ] = False,
    debug: Debug = False,
) -> None:
    """Time what a picture is made of, on this machine.

    --backend, --precision, --threads, --model (with --weights) and --size may be given several
    times: every combination that runs here is measured, in processes of its own that take turns.
    Ctrl-C prints what is measured so far. Close other programs first.
    """
    painting = _paints(content, styles, whole)
    if iterations is not None and not painting:
        raise OptionError("--iterations is of whole pictures; give --whole with it.")
    if not 1 <= runs <= MOST_RUNS:
        raise OptionError(f"--runs is {runs}; it takes a number from 1 to {MOST_RUNS}.")
    sizes, counts = _numbers("size", size), _numbers("threads", threads)
    (steps,) = _numbers("iterations", [ITERATIONS if iterations is None else iterations])
    from impasto.engine.bench import Bench, configurations

    measuring = Bench(
        configurations(
            model or ("vgg19",),
            sizes or (512,),
            counts or (0,),
            backend or (),
            precision or (),
            weights or (),
        ),
        rounds=runs,
        whole=painting,
        iterations=steps,
        content=content,
        styles=tuple(paintings(styles or ())),
    )
    measuring.check()
    with Interruption() as interruption:
        complete = _measure(measuring, interruption)
        report = measuring.report()
        print(json.dumps(report.to_dict()) if as_json else bench_tables(report), flush=True)
    for job, reason in report.failures.items():
        say(f"{job}: {reason}")
    if not complete:
        raise typer.Exit(interruption.exit_code)
    if report.failures:
        raise typer.Exit(1)


def _paints(content: Path | None, styles: Sequence[Path] | None, whole: bool | None) -> bool:
    """Return whether whole pictures are asked for."""
    if content is not None and not styles:
        raise OptionError("CONTENT is given without a STYLE; give both, or neither.")
    if content is not None and whole is False:
        raise OptionError("--no-whole paints no picture; leave CONTENT and STYLE out.")
    return bool(whole) or content is not None


def _numbers(name: str, texts: Sequence[str] | None) -> list[int]:
    """Return values of an option, checked as those of a run are."""
    return [getattr(options_from("default", {name: text}), name) for text in texts or ()]


def _measure(measuring: Bench, interruption: Interruption) -> bool:
    """Measure, saying what is being measured; return whether all was."""
    try:
        for number, job in enumerate(measuring.run(), 1):
            say(f"{number}/{len(measuring)}: {job}.")
    except KeyboardInterrupt:
        say("interrupted; this is what was measured so far.")
        return False
    finally:
        interruption.hold()
    return True
