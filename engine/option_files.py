"""The files that options name: which they are, and the same options with other names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from impasto.engine.options import INITS, Options

__all__ = ["EVERYWHERE", "files_of", "with_files"]

EVERYWHERE = "all"
"""In the place of a mask's file: the whole picture."""


def files_of(options: Options) -> Iterator[Path]:
    """Yield the files that a run with these options reads, beside its pictures."""
    if options.init not in INITS:
        yield Path(options.init)
    if options.weights is not None:
        yield Path(options.weights)
    for mask in (*options.mask, *options.style_mask, options.content_mask):
        if mask not in ("", EVERYWHERE):
            yield Path(mask)


def with_files(options: Options, change: Callable[[Path], Path]) -> Options:
    """Return the options with each of those files' paths changed."""

    def changed(name: str) -> str:
        return name if name in ("", EVERYWHERE) else str(change(Path(name)))

    return replace(
        options,
        init=options.init if options.init in INITS else str(change(Path(options.init))),
        weights=options.weights and change(Path(options.weights)),
        mask=tuple(map(changed, options.mask)),
        style_mask=tuple(map(changed, options.style_mask)),
        content_mask=changed(options.content_mask),
    )
