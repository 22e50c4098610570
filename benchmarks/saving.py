"""Where results go: benchmarks/results, or a folder in it for another kind of machine."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

__all__ = ["RESULTS", "add_origins", "add_save_option", "command", "save", "saved"]

RESULTS = Path(__file__).parent / "results"


def add_save_option(parser: argparse.ArgumentParser, name: str) -> None:
    """Add ``--save``, optionally with the name of a folder in results."""
    parser.add_argument(
        "--save",
        nargs="?",
        const="",
        metavar="FOLDER",
        help=f"write results/{name}.json, or results/FOLDER/{name}.json",
    )


def save(asked: argparse.Namespace, name: str, result: dict[str, Any]) -> None:
    """Write a result with the command that made it, if that was asked for."""
    if asked.save is None:
        return
    result = {"command": command(), **result}
    folder = RESULTS / asked.save
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")


def command() -> str:
    """Return the command, without the paths of this machine that follow some of its options."""
    words = [f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]
    told = [
        "PATH" if before in ("--torch-python", "--torch-curve") else word
        for before, word in zip(["", *words], words, strict=False)
    ]
    return " ".join(["python", *told])


def saved(asked: argparse.Namespace, name: str) -> dict[str, Any] | None:
    """Return the result that `save` would replace, if there is one."""
    if asked.save is None:
        return None
    path = RESULTS / asked.save / f"{name}.json"
    result: dict[str, Any] | None = json.loads(path.read_text("utf-8")) if path.exists() else None
    return result


def add_origins(result: dict[str, Any], before: dict[str, Any] | None) -> dict[str, Any]:
    """Make `result` tell the commands and commits of `before` too, and return that.

    Ends the program if there is none to add to, or if it is of another machine.
    """
    if before is None:
        sys.exit("--add adds to a saved result, and there is none: leave it out, and --save.")
    was, now_on = before["machine"], result["machine"]
    names = sorted({*was, *now_on} - {"commit"})
    if different := [name for name in names if was.get(name) != now_on.get(name)]:
        sys.exit(f"--add adds to a result of the same machine; these differ: {different}.")
    is_new = now_on["commit"] not in was["commit"]
    now_on["commit"] = f"{was['commit']} and {now_on['commit']}" if is_new else was["commit"]
    if "command" in before:
        result["command"] = f"{before['command']}; {command()}"
    return before
