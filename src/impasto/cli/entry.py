"""The entry point: runs the command and turns what went wrong into one line and an exit code.

==== ===============================================================
Code Meaning
==== ===============================================================
0    done
1    something failed while working
2    what was asked cannot be done as asked; nothing was computed
3    some pictures of a batch could not be painted
128+ ended by a signal: 130 for Ctrl-C, 143 for SIGTERM
==== ===============================================================
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Annotated, NoReturn

import typer

from impasto import __version__
from impasto.cli.bench import bench
from impasto.cli.cache import cache
from impasto.cli.doctor import doctor
from impasto.cli.export import export
from impasto.cli.grouped_help import GroupedHelp
from impasto.cli.messages import Verbosity, log_to_stderr, say
from impasto.cli.models import fetch, models
from impasto.cli.paint import paint
from impasto.cli.plan import plan
from impasto.cli.presets import presets
from impasto.cli.resume import resume
from impasto.cli.show import show
from impasto.cli.sweep import sweep
from impasto.cli.texture import texture
from impasto.cli.video import video
from impasto.engine.machine import return_large_blocks_when_freed
from impasto.errors import ImpastoError

__all__ = ["app", "main"]

# Typer does not export the base of what it raises about the command line's wording.
_SyntaxError: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="impasto",
    help="Paint photos in the style of paintings (neural style transfer), without PyTorch.",
    epilog="`impasto COMMAND --help` describes a command.",
    # Its tables cut off long flags on 80 columns; the plain help does not.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in (
    paint,
    texture,
    video,
    sweep,
    plan,
    resume,
    show,
    models,
    fetch,
    export,
    doctor,
    cache,
    bench,
):
    app.command(cls=GroupedHelp)(command)
app.add_typer(presets, name="presets")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"impasto {__version__}")
        raise typer.Exit


@app.callback()
def _impasto(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Parameters
    ----------
    arguments : sequence of str, optional
        What was typed after ``impasto``; by default, the arguments of the process.

    Raises
    ------
    SystemExit
        Always, with one of the codes above.
    """
    if arguments is None:  # the process is this command's own
        return_large_blocks_when_freed()
        arguments = sys.argv[1:]
    arguments = list(arguments)
    # A file name need not be valid text; it is printed as it was given.
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="surrogateescape")
    with log_to_stderr():
        sys.exit(_exit_code(arguments or ["--help"]))


def _exit_code(arguments: list[str]) -> int:
    verbosity = Verbosity()
    try:
        with _quiet_broken_pipe():
            code = app(arguments, prog_name="impasto", standalone_mode=False, obj=verbosity)
            return code if isinstance(code, int) else 0
    except _SyntaxError as error:
        say(_sentence(error), "See `impasto --help`, or `impasto COMMAND --help`.")
        return 2
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except Exception as error:
        if verbosity.debug:
            traceback.print_exc()
        return _report(error)


def _report(error: Exception) -> int:
    """Say in one line what went wrong; return the exit code."""
    if isinstance(error, ImpastoError):
        say(str(error))
        return error.exit_code
    if isinstance(error, MemoryError):
        say("There is not enough memory. Ask for a smaller --size, or close other programs.")
    elif isinstance(error, OSError):
        say(f"{error}.")
    else:
        say(
            f"{type(error).__name__}: {error}. This is a bug in Impasto; "
            "run the command again with --debug and report what it prints."
        )
    return 1


def _sentence(error: Exception) -> str:
    """Return what a parser's error says, as a sentence."""
    format_message = getattr(error, "format_message", error.__str__)
    text = str(format_message())
    return text if text.endswith((".", "?")) else f"{text}."


@contextlib.contextmanager
def _quiet_broken_pipe() -> Iterator[None]:
    """End quietly if nobody reads standard output any more: ``impasto models | head -1``."""
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more when it exits, and must not fail there.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
