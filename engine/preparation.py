"""What comes before any slow work: load the pictures and the model, make the plan."""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from impasto.engine.backends.base import Backend
from impasto.engine.canvas import Canvas
from impasto.engine.compilation import candidates
from impasto.engine.inputs import (
    Inputs,
    Picture,
    Subject,
    check_inputs,
    check_sizes,
    load_inputs,
    may_be_transparent,
    picture_sizes,
    scaled_sizes,
)
from impasto.engine.machine import return_freed_memory, rss_bytes
from impasto.engine.mixture import guided
from impasto.engine.network import Network, check_layers, network_for
from impasto.engine.optimizers import make_optimizer
from impasto.engine.options import Options
from impasto.engine.parts import Workers
from impasto.engine.plan import Plan, Request, budget_of, plan_run
from impasto.engine.speed import bytes_per_second, multiplications_per_second
from impasto.engine.traps import traps
from impasto.errors import OptionError
from impasto.models import load_model
from impasto.models.layer import Preprocessing
from impasto.models.weights.cache import cache_directory

__all__ = [
    "Ground",
    "Planned",
    "Prepared",
    "common_ground",
    "is_short",
    "machine_speed",
    "plan_pictures",
    "prepare",
]

logger = logging.getLogger(__name__)

SLOWEST = 2e10
"""Multiplications a second that any machine reaches: what tells a short run without measuring."""


@dataclass(frozen=True)
class Prepared:
    """A run that can begin.

    Parameters
    ----------
    options : Options
        With the seed drawn.
    content, styles
        As they were given.
    inputs : Inputs
    network : Network
    preprocessing : Preprocessing
    plan : Plan
    request : Request
        What the plan was made from.
    warnings : tuple of str
        Known traps; they are in the log as well.
    """

    options: Options
    content: Subject
    styles: tuple[Picture, ...]
    inputs: Inputs
    network: Network
    preprocessing: Preprocessing
    plan: Plan
    request: Request
    warnings: tuple[str, ...] = ()

    def opaque(self) -> Prepared:
        """Return the run for a content that turned out to be opaque, whatever its file said."""
        network = guided(self.network, self.options, len(self.styles), transparent=False)
        request = replace(self.request, network=network)
        return replace(self, network=network, request=request, plan=plan_run(request))

    def replanned(self, backend: Backend) -> Prepared:
        """Return the run as planned for another backend.

        Raises
        ------
        OptionError
            If the memory does not suffice with that one.
        """
        request = replace(self.request, backend=backend)
        return replace(self, request=request, plan=plan_run(request))


@dataclass(frozen=True)
class Ground:
    """What runs with the same options have in common, whatever their pictures.

    Parameters
    ----------
    network : Network
    preprocessing : Preprocessing
    backend : Backend
        The one that is tried first.
    base : int
        Bytes the process has before a run.
    """

    network: Network
    preprocessing: Preprocessing
    backend: Backend
    base: int


def common_ground(options: Options) -> Ground:
    """Load the model, and open the backend that is tried first.

    Raises
    ------
    UsageError
        If one of them cannot be used.
    """
    check_layers(options)
    model = load_model(options.model, options.weights)
    network = network_for(model, options)
    backend = next(iter(candidates(options))).backend
    return_freed_memory()
    return Ground(network, model.preprocessing, backend, rss_bytes() or 0)


def prepare(
    content: Subject,
    styles: Sequence[Picture],
    options: Options,
    workers: Workers | None = None,
    ground: Ground | None = None,
) -> Prepared:
    """Load, check and plan a run.

    Parameters
    ----------
    content : ndarray of shape (H, W, 3), path, or Canvas
        A canvas stands for the size of a picture without content (`impasto.engine.texture`).
    styles, options, workers
        As for `impasto.engine.stylize.stylize`.
    ground : Ground, optional
        Of these options, if it is there already.

    Raises
    ------
    UsageError
        If an input, option, model or backend cannot be used, or the memory does not suffice.
    """
    options = _with_seed(options)
    planned = plan_pictures(content, styles, options, workers, ground)
    inputs = load_inputs(content, styles, options)
    request = planned.request
    warnings = traps(
        content,
        styles,
        request.styles,
        planned.plan.scales[-1].size,
        request.network,
        options,
    )
    for warning in warnings:
        logger.warning("%s", warning)
    prepared = Prepared(
        options,
        content,
        tuple(styles),
        inputs,
        request.network,
        planned.preprocessing,
        planned.plan,
        request,
        warnings,
    )
    if may_be_transparent(content, options) and inputs.cutout is None:
        prepared = prepared.opaque()
    return prepared


@dataclass(frozen=True)
class Planned:
    """A plan with what it was made from.

    Parameters
    ----------
    plan : Plan
    request : Request
    preprocessing : Preprocessing
    """

    plan: Plan
    request: Request
    preprocessing: Preprocessing


def plan_pictures(
    content: Subject,
    styles: Sequence[Picture],
    options: Options,
    workers: Workers | None = None,
    ground: Ground | None = None,
) -> Planned:
    """Plan a run without loading its pictures; see :func:`prepare`."""
    make_optimizer(options)  # refuses options that contradict each other
    check_inputs(styles, options)
    check_layers(options)
    if options.tileable and not isinstance(content, Canvas):
        raise OptionError(
            "--tileable is for textures: a photo does not go on at its opposite side. Leave it "
            "out, or make a texture (`impasto texture`)."
        )
    content_size, style_sizes = picture_sizes(content, styles, options)
    ground = ground or common_ground(options)
    transparent = may_be_transparent(content, options)
    network = guided(ground.network, options, len(styles), transparent=transparent)
    if isinstance(content, Canvas):
        _check_grid(content, network)
    for scale in options.schedule:
        sizes = scaled_sizes(content_size, style_sizes, options, scale.longest_side, network.grid)
        check_sizes(network, *sizes)
    request = Request(
        options,
        network,
        ground.backend,
        content_size,
        style_sizes,
        base=ground.base,
        budget=budget_of(options),
        parts_at_a_time=workers.at_a_time if workers else 1,
    )
    return Planned(plan_run(request), request, ground.preprocessing)


def machine_speed(network: Network, options: Options) -> tuple[float, float]:
    """Return what this machine does in a second, measured if that is not known yet.

    Returns
    -------
    multiplications, moved_bytes : float
        See `impasto.engine.speed`.
    """
    candidate = next(iter(candidates(options)))
    cache = cache_directory().parent / "speeds"
    multiplications = multiplications_per_second(candidate, network, options.threads, cache)
    return multiplications, bytes_per_second(cache)


def is_short(plan: Plan, seconds: float) -> bool:
    """Return whether a run is surely done within `seconds`, on any machine."""
    return plan.work / SLOWEST < seconds


def _with_seed(options: Options) -> Options:
    """Draw the seed if the options leave it open, so that every run can be repeated."""
    return options if options.seed >= 0 else replace(options, seed=secrets.randbelow(2**31))


def _check_grid(canvas: Canvas, network: Network) -> None:
    """Refuse sides that a torus cannot have; they were asked for, and so are not rounded."""
    grid = network.grid
    if any(side % grid for side in canvas.size):
        fitting = [
            "x".join(str(max(grid, grid * round_(side / grid))) for side in canvas.size[::-1])
            for round_ in (math.floor, math.ceil)
        ]
        raise OptionError(
            f"--size is {canvas.width}x{canvas.height}; with --tileable each side has to be a "
            f"multiple of {grid}, the stride of {network.encoder.layers[-1].name}: "
            f"{' or '.join(dict.fromkeys(fitting))}."
        )
