"""``impasto plan``: what a picture would take, before it is painted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impasto.cli.arguments import Content, Preset, Styles, pictures_and_options
from impasto.cli.flags import options_from, with_option_flags
from impasto.cli.messages import Debug
from impasto.cli.plan_text import plan_table
from impasto.engine.amounts import duration_text, memory_text
from impasto.engine.options import OUTPUT

if TYPE_CHECKING:
    from impasto.engine.preparation import Planned

__all__ = ["plan", "print_plan"]


@with_option_flags()
def plan(
    content: Content,
    styles: Styles,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON object instead.", rich_help_panel=OUTPUT),
    ] = False,
    preset: Preset = "default",
    debug: Debug = False,
    **given: Any,
) -> None:
    """Predict the memory and the time of `paint` with the same options.

    Nothing is painted; the first time, the machine's speed is measured for a few seconds. Memory
    is that of the whole process; MB and GB are of 2^20 and 2^30 bytes.
    """
    options = options_from(preset, given)
    from impasto.engine.preparation import plan_pictures

    pictures, options = pictures_and_options(styles, options)
    print_plan(plan_pictures(content, pictures, options), as_json)


def print_plan(found: Planned, as_json: bool) -> None:
    """Print a plan with its time, as a table or as one JSON object."""
    from impasto.engine.plan import largest_size
    from impasto.engine.preparation import machine_speed

    options = found.request.options
    backend, budget = found.request.backend, found.plan.budget
    speed = machine_speed(found.request.network, options)
    seconds = [scale.seconds(*speed) for scale in found.plan.scales]
    total = found.plan.seconds(*speed)
    largest = largest_size(found.request)
    if as_json:
        report = found.plan.report()
        for item, stages in zip(report["scales"], seconds, strict=True):
            item["seconds"] = {name: round(value, 2) for name, value in stages.items()}
        report |= {
            "seconds": round(total, 1),
            "largest_size": largest,
            "execution": found.plan.scales[-1].execution.report(),
            "backend": backend.name,
            "precision": backend.precision,
        }
        print(json.dumps(report))
        return
    print(plan_table(found.plan, seconds))
    if budget is not None:
        print(
            f"Budget: {memory_text(budget)}. The largest --size that fits is {largest}, with these "
            "options otherwise."
        )
    print(
        f"In all about {memory_text(found.plan.peak)} and {duration_text(total)}, with "
        f"{backend.name} {backend.precision}."
    )
