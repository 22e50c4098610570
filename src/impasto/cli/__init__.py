"""The command line: one module a command, and no algorithms.

Everything heavy is imported by the command that needs it, so that ``impasto --help`` is quick.
"""

from impasto.cli.entry import app, main

__all__ = ["app", "main"]
