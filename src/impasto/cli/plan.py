"""``impasto plan``: what a picture would take, before it is painted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from impasto.cli.flags import options_from, with_option_flags
from impasto.cli.messages import Debug
from impasto.cli.plan_text import plan_table
from impasto.engine.amounts import duration_text, memory_text
from impasto.engine.options import LOOK, OUTPUT, PRESETS

__all__ = ["plan"]


@with_option_flags()
def plan(
    content: Annotated[
        Path, typer.Argument(metavar="CONTENT", show_default=False, help="The photo to paint.")
    ],
    styles: Annotated[
        list[Path],
        typer.Argument(
            metavar="STYLE",
            show_default=False,
            help="Paintings to take the style from; a directory stands for all pictures in it.",
        ),
    ],
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON object instead.", rich_help_panel=OUTPUT),
    ] = False,
    preset: Annotated[
        str,
        typer.Option(
            metavar="|".join(PRESETS),
            help="Changed defaults; flags given beside it win. [default: default]",
            show_default=False,
            rich_help_panel=LOOK,
        ),
    ] = "default",
    debug: Debug = False,
    **given: Any,
) -> None:
    """Predict the memory and the time of `paint` with the same options.

    Nothing is painted; the first time, the machine's speed is measured for a few seconds. Memory
    is that of the whole process; MB and GB are of 2^20 and 2^30 bytes.
    """
    options = options_from(preset, given)
    from impasto.cli.paint import paintings
    from impasto.engine.plan import largest_size
    from impasto.engine.preparation import plan_pictures, predicted_seconds

    found = plan_pictures(content, list(paintings(styles)), options)
    total = predicted_seconds(found.plan, found.network, options)
    scales = found.plan.scales
    seconds = [total * item.work * item.scale.iterations / found.plan.work for item in scales]
    largest = largest_size(found.request)
    if as_json:
        report = found.plan.report()
        for item, duration in zip(report["scales"], seconds, strict=True):
            item["seconds"] = round(duration, 1)
        last = scales[-1].execution.report()
        backend = {"backend": found.backend.name, "precision": found.backend.precision}
        print(
            json.dumps(
                {
                    **report,
                    "seconds": round(total, 1),
                    "largest_size": largest,
                    "execution": last,
                    **backend,
                }
            )
        )
        return
    print(plan_table(found.plan, seconds))
    budget = found.plan.budget
    if budget is not None:
        print(
            f"Budget: {memory_text(budget)}. The largest --size that fits is {largest}, with these "
            "options otherwise."
        )
    print(
        f"In all about {memory_text(found.plan.peak)} and {duration_text(total)}, with "
        f"{found.backend.name} {found.backend.precision}."
    )
