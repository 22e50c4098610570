"""The plan of a run: for every scale how it is computed, and what memory and time it takes.

The plan goes by a budget. For each scale it takes what is predicted to be the fastest of all that
fits: one piece, or strips of some height with more or less kept between the passes; L-BFGS with all
the pairs it was asked for, with fewer, or with all of them in a file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from impasto.engine.amounts import bytes_from, memory_text
from impasto.engine.backends.base import Backend, Precision
from impasto.engine.execution import Execution
from impasto.engine.footprint import Footprint, footprint
from impasto.engine.inputs import check_sizes, scaled_sizes
from impasto.engine.keepings import keepings
from impasto.engine.machine import available_memory, rss_bytes
from impasto.engine.network import Network
from impasto.engine.optimizers import Optimizer, history_of, make_optimizer
from impasto.engine.options import INITS, MAX_SIZE, Options
from impasto.engine.scales import Scale, total_iterations
from impasto.engine.streaming import Streaming
from impasto.engine.workload import StripWork, strip_work, whole_work
from impasto.errors import OptionError
from impasto.export.strips import segments_of

__all__ = ["Plan", "Request", "ScalePlan", "budget_of", "largest_size", "plan_run"]

Size = tuple[int, int]

ROWS = (512, 256, 128, 64, 32, 16)
"""Heights of strips to choose from: the taller, the less is computed twice."""

LARGE_PART, SLOW_PART = 160 << 20, 1.15
"""Parts of more bytes run slower by about that factor, as their tensors leave the caches: VGG-19 in
bfloat16 took 1.68 seconds a megapixel in strips of 64 rows at 2048x2048 and 1.94 in strips of 128,
1.66 in strips of 32 at 4096x4096 and 1.85 in strips of 64."""

LEAST_HISTORY = 5
"""Pairs below which L-BFGS rather keeps them in a file."""

MARGIN = 0.9
"""Share of the budget a prediction may take, because measured peaks lie on both sides of it."""

FLOAT = 4

DISK_COST = 1.25
"""Time of L-BFGS with its pairs in a file against one with them in memory, about."""

PAIRS_POWER = 0.15
"""Evaluations to a loss, against pairs: a tenth fewer for twice as many. Measured of up to 15, 30
and 60 (docs/default-preset.md); 5 took 7 % more than 10, in a trial."""

MULTIPLICATIONS_PER_BYTE = {"f32": 25.0, "bf16": 100.0}
"""What moving a byte to or from what is stored costs, in multiplications of the network."""


@dataclass(frozen=True)
class Request:
    """What is to be planned.

    Parameters
    ----------
    options : Options
    network : Network
    backend : Backend
        The one that is tried first.
    content : (height, width)
        Of the content picture, at any size.
    styles : sequence of (height, width)
    base : int
        Bytes the process has before the first scale, without the pictures.
    budget : int or None
        Bytes the whole process may take.
    parts_at_a_time : int
        Parts in work at the same time, each with graphs of its own.
    """

    options: Options
    network: Network
    backend: Backend
    content: Size
    styles: Sequence[Size]
    base: int
    budget: int | None
    parts_at_a_time: int = 1

    def sizes_at(self, longest_side: int) -> tuple[Size, tuple[Size, ...]]:
        """Return (height, width) of the image and of each style at one scale."""
        grid = self.network.grid
        return scaled_sizes(self.content, self.styles, self.options, longest_side, grid)


@dataclass(frozen=True)
class ScalePlan:
    """What is planned for one scale.

    Parameters
    ----------
    scale : Scale
    size : (height, width)
    style_sizes : tuple of (height, width)
    execution : Execution
    memory : Footprint
    work : float
        Multiplications of one evaluation, with what moving data costs.
    targets_work : float
        Multiplications of the targets.
    traffic : float
        Bytes the optimizer reads and writes in all steps.
    """

    scale: Scale
    size: Size
    style_sizes: tuple[Size, ...]
    execution: Execution
    memory: Footprint
    work: float
    targets_work: float
    traffic: float

    def seconds(self, multiplications: float, moved_bytes: float) -> dict[str, float]:
        """Return the time of ``targets``, ``gradient`` and ``optimizer``.

        Parameters
        ----------
        multiplications, moved_bytes : float
            What this machine does in a second; see `impasto.engine.speed`.
        """
        disk = DISK_COST if self.execution.on_disk else 1.0
        return {
            "targets": self.targets_work / multiplications,
            "gradient": self.work * self.scale.iterations / multiplications,
            "optimizer": disk * self.traffic / moved_bytes,
        }


@dataclass(frozen=True)
class Plan:
    """The plan of a run.

    Parameters
    ----------
    scales : tuple of ScalePlan
    budget : int or None
        Bytes; None where nobody told and the machine does not tell either.
    """

    scales: tuple[ScalePlan, ...]
    budget: int | None

    @property
    def peak(self) -> int:
        """Predicted peak of resident memory, in bytes."""
        return max(scale.memory.peak for scale in self.scales)

    @property
    def iterations(self) -> int:
        """Steps over all scales."""
        return total_iterations([plan.scale for plan in self.scales])

    @property
    def work(self) -> float:
        """Multiplications of all evaluations, with what moving data costs."""
        return sum(scale.work * scale.scale.iterations for scale in self.scales)

    def seconds(self, multiplications: float, moved_bytes: float) -> float:
        """Return the time of the whole run; see `ScalePlan.seconds`."""
        stages = (scale.seconds(multiplications, moved_bytes) for scale in self.scales)
        return sum(sum(each.values()) for each in stages)

    def report(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {
            "budget_bytes": self.budget,
            "peak_bytes": self.peak,
            "iterations": self.iterations,
            "scales": [
                {
                    "size": [item.size[1], item.size[0]],
                    "style_sizes": [[width, height] for height, width in item.style_sizes],
                    "iterations": item.scale.iterations,
                    "execution": item.execution.report(),
                    "memory_bytes": {
                        "base": item.memory.base,
                        "targets": item.memory.targets,
                        "gradient": item.memory.gradient,
                        "optimizer": item.memory.optimizer,
                        "peak": item.memory.peak,
                    },
                }
                for item in self.scales
            ],
        }


def budget_of(options: Options) -> int | None:
    """Return the bytes the whole process may take: ``--memory``, or what there is and is free."""
    if options.memory:
        return bytes_from(options.memory, "--memory")
    free = available_memory()
    return None if free is None else free + (rss_bytes() or 0)


def plan_run(request: Request) -> Plan:
    """Plan a run.

    Raises
    ------
    OptionError
        If some scale cannot be computed within the budget; the message names the largest size
        that can.
    """
    found = _plan(request)
    if found is not None:
        return found
    options, budget = request.options, request.budget or 0
    needed = _plan(replace(request, budget=None), leanest=True)
    largest = largest_size(request)
    asked = f"--memory {options.memory}" if options.memory else "what is free"
    advice = f"The largest --size that fits is {largest}." if largest else "No size fits."
    tile = f" with --tile {options.tile}" if options.tile != "auto" else ""
    raise OptionError(
        f"A picture of --size {options.size}{tile} needs about "
        f"{memory_text((needed.peak if needed else 0) / MARGIN)} of memory; the budget is "
        f"{memory_text(budget)} ({asked}). {advice} Or give more with --memory."
    )


def largest_size(request: Request) -> int:
    """Return the largest --size, in steps of 32, that fits into the budget; 0 if none does."""
    options = request.options

    def at(steps: int) -> Request:
        # The last scale is the one that decides.
        return replace(request, options=replace(options, size=32 * steps, scales="1"))

    low, high = 0, int(MAX_SIZE / max(1.0, options.largest_style_scale)) // 32
    while low < high:
        middle = (low + high + 1) // 2
        # What the network refuses for being too small is below every size that fits.
        fits = not _large_enough(at(middle)) or _plan(at(middle)) is not None
        low, high = (middle, high) if fits else (low, middle - 1)
    return 32 * low if low and _large_enough(at(low)) else 0


def _large_enough(request: Request) -> bool:
    """Return whether no picture is too small for the network at the request's size."""
    options = request.options
    content, styles = request.sizes_at(options.size)
    try:
        check_sizes(request.network, content, styles)
    except OptionError:
        return False
    return True


def _plan(request: Request, leanest: bool = False) -> Plan | None:
    options = request.options
    # Kept as uint8 throughout, at their largest: content, styles, the picture to begin from.
    full, full_styles = request.sizes_at(options.size)
    # (Of a texture there is no content: what is counted for it is its picture.)
    kept = [full, *full_styles] + [full] * (options.init not in INITS)
    pictures = sum(3 * height * width for height, width in kept)
    guides = request.network.guides
    over_content = len(set().union(*guides.regions.values())) + guides.content
    pictures += over_content * full[0] * full[1]
    pictures += guides.styles * sum(height * width for height, width in full_styles)
    found = []
    for scale in options.schedule:
        plans = _scale_plans(request, scale, request.base + pictures)
        best = _best(plans, request.budget, leanest)
        if best is None:
            return None
        found.append(best)
    return Plan(tuple(found), request.budget)


def _best(plans: Iterable[ScalePlan], budget: int | None, leanest: bool) -> ScalePlan | None:
    """Return the best plan within the budget; None if there is none."""
    best: ScalePlan | None = None
    for plan in plans:
        if budget is not None and plan.memory.peak > MARGIN * budget:
            continue
        if best is None or _order(plan, leanest) < _order(best, leanest):
            best = plan
        if not leanest and plan.execution.is_plain:
            break  # no other computes less, and to cost all of them takes a quarter of a second
    return best


def _scale_plans(request: Request, scale: Scale, base: int) -> Iterator[ScalePlan]:
    """Yield the ways to compute one scale."""
    options, network, backend = request.options, request.network, request.backend
    size, styles = request.sizes_at(scale.longest_side)
    largest_style = max(styles, key=lambda side: side[0] * side[1])
    entries = 3 * size[0] * size[1]
    pictures = (size, *styles) if network.content_layers else styles
    targets_work = sum(whole_work(network, side) / 2 for side in pictures)
    optimizers = [
        (history, on_disk, _optimizer(options, history, on_disk))
        for history, on_disk in _histories(options, scale.iterations)
    ]
    for streaming in _streamings(options, network, size, backend.precision):
        works: list[StripWork] = []
        parts = 1
        if streaming is not None:
            works = [
                strip_work(network, size, streaming),
                strip_work(network.flat, largest_style, streaming),
            ]
            parts = works[0].parts
        work = _work(network, backend, size, works)
        for history, on_disk, optimizer in optimizers:
            own = optimizer.memory(entries, scale.iterations)
            own += FLOAT * entries * bool(options.average)
            memory = footprint(
                network, backend, size, styles, works, own, base, request.parts_at_a_time
            )
            reduced = history < history_of(options)
            execution = Execution(streaming, parts, history, on_disk, reduced)
            traffic = optimizer.traffic(entries, scale.iterations)
            yield ScalePlan(scale, size, styles, execution, memory, work, targets_work, traffic)


def _optimizer(options: Options, history: int, on_disk: bool) -> Optimizer:
    return make_optimizer(replace(options, history=history), Path() if on_disk else None)


def _order(plan: ScalePlan, leanest: bool) -> float:
    """Return what makes one plan better than another; the least is the best."""
    if leanest:
        return plan.memory.peak
    pairs = min(plan.execution.history, plan.scale.iterations)
    penalty = math.pow(pairs, -PAIRS_POWER) * (DISK_COST if plan.execution.on_disk else 1)
    return plan.work * penalty


def _histories(options: Options, iterations: int) -> list[tuple[int, bool]]:
    """Return how many pairs L-BFGS may remember, and whether in a file."""
    most = history_of(options)
    histories = [(most, False)]
    if options.optimizer == "lbfgs-numpy":
        pairs = min(most, iterations)
        histories += [(fewer, False) for fewer in (15, 10, LEAST_HISTORY) if fewer < pairs]
        histories.append((most, True))
    return histories


def _streamings(
    options: Options, network: Network, size: Size, precision: Precision
) -> Iterator[Streaming | None]:
    segments = len(segments_of(network.encoder.layers))
    if options.tile in ("auto", "whole"):
        yield None
    if options.tile == "whole":
        return
    heights = ROWS if options.tile == "auto" else (int(options.tile),)
    for rows in heights:
        if options.tile == "auto" and rows > size[0]:
            continue
        for keeping in keepings(network, precision):
            yield Streaming((rows,) * segments, keeping)


def _work(network: Network, backend: Backend, size: Size, works: Sequence[StripWork]) -> float:
    if not works:
        return whole_work(network, size)
    moving = MULTIPLICATIONS_PER_BYTE[backend.precision] * works[0].moved_bytes
    slower = SLOW_PART if works[0].largest_part_bytes > LARGE_PART else 1.0
    return slower * works[0].multiplications + moving
