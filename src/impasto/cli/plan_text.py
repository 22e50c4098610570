"""A plan in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from impasto.engine.amounts import duration_text, memory_text

if TYPE_CHECKING:
    from impasto.engine.plan import Plan, ScalePlan

__all__ = ["plan_sentence", "plan_table"]


def plan_sentence(plan: Plan, seconds: float | None) -> str:
    """Return the plan of a run in one sentence; without `seconds`, nothing of the time."""
    last = plan.scales[-1]
    height, width = last.size
    scales = f" at {len(plan.scales)} scales" if len(plan.scales) > 1 else ""
    time = "" if seconds is None else f", {duration_text(seconds)}"
    budget = "" if plan.budget is None else f" of {memory_text(plan.budget)}"
    return (
        f"{width}x{height} pixels, {plan.iterations} iterations{scales}, {_execution(last)}: about "
        f"{memory_text(plan.peak)}{budget} memory{time}."
    )


def plan_table(plan: Plan, seconds: Sequence[Mapping[str, float]]) -> str:
    """Return the plan of a run, a line a scale; the stages with their memory and their time.

    Parameters
    ----------
    plan : Plan
    seconds : sequence of mapping of str to float
        `ScalePlan.seconds` of every scale.
    """
    stages = ("targets", "gradient", "optimizer")
    heads = ("size", "iterations", *stages, "peak", "computed")
    rows: list[tuple[str, ...]] = [heads]
    for item, took in zip(plan.scales, seconds, strict=True):
        height, width = item.size
        rows.append(
            (
                f"{width}x{height}",
                str(item.scale.iterations),
                *(
                    f"{memory_text(getattr(item.memory, stage))}, {duration_text(took[stage])}"
                    for stage in stages
                ),
                memory_text(item.memory.peak),
                _execution(item),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    lines = [
        "  ".join(
            [*(cell.rjust(width) for cell, width in zip(row[:-1], widths, strict=False)), row[-1]]
        )
        for row in rows
    ]
    return "\n".join(lines)


def _execution(item: ScalePlan) -> str:
    how = item.execution
    text = "whole" if how.part_size is None else f"{how.parts} parts, up to {how.part_size} rows"
    kept = how.keeping
    if kept is not None and kept.signs:
        text += ", signs kept"
    if how.on_disk:
        text += f", {how.history} pairs on disk"
    elif how.reduced:
        text += f", {how.history} pairs"
    return text
