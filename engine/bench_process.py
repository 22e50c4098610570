"""What one process of a benchmark does: `main` measures a job and prints the figures as JSON.

`impasto.engine.bench` starts the processes and reads what they print.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from statistics import fmean
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from impasto.engine.backends import open_backend
from impasto.engine.bench_jobs import Configuration, Job
from impasto.engine.compilation import Candidate
from impasto.engine.execution import open_objective, targets_for
from impasto.engine.machine import (
    peak_rss_bytes,
    return_freed_memory,
    return_large_blocks_when_freed,
    rss_bytes,
)
from impasto.engine.network import Network, network_for
from impasto.engine.objective import weights_for
from impasto.engine.optimizers import BestSoFar, Step, history_of, make_optimizer
from impasto.engine.options import OptimizerName
from impasto.engine.plan import Request, budget_of, plan_run
from impasto.engine.presets import preset_options
from impasto.engine.result import FloatArray
from impasto.engine.verify import probe_image
from impasto.errors import ImpastoError, OptionError, WeightsError
from impasto.models import Model, load_model, model_spec
from impasto.models.weights.random_weights import random_weights

__all__ = ["generated_picture", "main", "measure"]

Told = dict[str, Any]


def main() -> None:
    """Measure the job in the first argument; print one line of JSON."""
    return_large_blocks_when_freed()  # as the command line does
    try:
        told = measure(Job.from_json(sys.argv[1]))
    except ImpastoError as error:
        told = {"failure": str(error)}
    print(json.dumps(told))  # noqa: T201 - what the process is for


def measure(job: Job) -> Told:
    """Return the figures of a job; times are in seconds.

    Raises
    ------
    ImpastoError
        If it cannot be run here.
    """
    kinds = {"evaluation": _evaluation, "optimizers": _optimizers, "picture": _picture}
    return kinds[job.kind](job)


class _Watch:
    """Takes times by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - began


def _evaluation(job: Job) -> Told:
    asked = job.configuration
    options, size = asked.options, (asked.size, asked.size)
    network, weights = _network(asked)
    network.check_size(*size, "The picture")
    backend = open_backend(asked.backend, asked.precision, asked.threads)  # type: ignore[arg-type]
    chosen = Candidate(backend, asked.lowering or backend.lowering)
    budget = budget_of(options)
    request = Request(options, network, backend, size, [size], base=rss_bytes() or 0, budget=budget)
    execution = plan_run(request).scales[-1].execution
    image, watch = probe_image(size), _Watch()
    style = np.ascontiguousarray(image[:, ::-1, :, ::-1])
    with watch("targets"):
        targets = targets_for(execution, chosen, network, image, [style], ())
    return_freed_memory()
    with watch("compile"):
        objective = open_objective(
            execution, chosen, network, size, targets, weights_for(network, options, size)
        )
    with watch("first"):
        objective(image)
    seconds = []
    for _ in range(job.runs):
        began = time.perf_counter()
        objective(image)
        seconds.append(time.perf_counter() - began)
    return {
        **watch.seconds,
        "evaluation": seconds,
        "peak_rss_bytes": peak_rss_bytes(),
        "lowering": chosen.lowering,
        "mode": execution.mode,
        "weights": weights,
    }


def _network(asked: Configuration) -> tuple[Network, str]:
    """Return the network, and whose weights it has: neither time nor memory depends on them."""
    options = asked.options
    try:
        model = load_model(asked.model, options.weights)
        return network_for(model, options), asked.weights or "model"
    except WeightsError:
        if asked.weights:
            raise
        spec = model_spec(asked.model)
        arrays = random_weights(spec.architecture, seed=1)
        model = Model(spec, spec.architecture, arrays, spec.preprocessing, "random")
        return network_for(model, options), "random"


HISTORIES = 2
"""As many iterations as the history has pairs, so many times over, come before those timed and make
one timing, their mean: some of an optimizer's iterations do what the others put off."""

TIMED = 3
"""Timings of a process."""


class _Bowl:
    """A quadratic function, as cheap as can be, whose directions differ in steepness by 10^4.

    Attributes
    ----------
    seconds : float
        Time in it so far.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        entries = int(np.prod(shape))
        rng = np.random.default_rng(20151)
        self._slopes = rng.permutation(np.geomspace(1e-2, 1e2, entries).astype(np.float32))
        self._slopes = self._slopes.reshape(shape)
        self._gradient = np.empty_like(self._slopes)
        self._products = np.empty_like(self._slopes)
        self.seconds = 0.0

    def __call__(self, x: FloatArray) -> tuple[float, FloatArray]:
        began = time.perf_counter()
        np.multiply(x, self._slopes, out=self._gradient)
        # Not a product of BLAS, whose threads would be in the optimizer's way afterwards.
        loss = 0.5 * float(np.sum(np.multiply(x, self._gradient, out=self._products)))
        self.seconds += time.perf_counter() - began
        return loss, self._gradient


def _optimizers(job: Job) -> Told:
    size = job.configuration.size
    shape = (1, 3, size, size)
    return {name: _own_seconds(name, shape, job) for name in get_args(OptimizerName)}


def _own_seconds(name: str, shape: tuple[int, ...], job: Job) -> list[float]:
    """Return what iterations took beyond their evaluations, in the mean of some at a time."""
    asked = job.configuration
    # Every optimizer with the defaults, whatever the model's preset says.
    options = preset_options(
        "default", {"optimizer": name, "threads": asked.threads, "size": asked.size}
    )
    optimizer = make_optimizer(options)
    entries, together = int(np.prod(shape)), HISTORIES * history_of(options)
    iterations = (1 + TIMED) * together
    needed, budget = optimizer.memory(entries, iterations) + 20 * entries, budget_of(options)
    if budget is not None and needed > budget:
        raise OptionError(f"{name} needs {needed} bytes at this size, and {budget} are free.")
    bowl = _Bowl(shape)
    start = np.random.default_rng(20152).uniform(0, 255, shape).astype(np.float32)
    own: list[float] = []
    last = time.perf_counter()

    def on_step(_step: Step) -> None:
        nonlocal last
        now = time.perf_counter()
        own.append(max(0.0, now - last - bowl.seconds))
        bowl.seconds = 0.0
        last = time.perf_counter()

    optimizer.minimize(BestSoFar(bowl, start), iterations=iterations, on_step=on_step)
    # One that has converged early has no later iterations to tell of.
    timed = own[together:] or own[-1:]
    return [fmean(timed[n : n + together]) for n in range(0, len(timed), together)]


def _picture(job: Job) -> Told:
    from impasto.engine.stylize import stylize

    asked, options = job.configuration, job.configuration.options
    if job.iterations:
        options = replace(options, iterations=job.iterations)
    photo: Any = job.content or generated_picture(max(1, asked.size * 3 // 4), asked.size, seed=1)
    paintings: list[Any] = list(job.styles) or [generated_picture(asked.size, asked.size, seed=2)]
    result = stylize(photo, paintings, options)
    height, width, _ = result.image.shape
    return {
        "size": [width, height],
        "iterations": result.iterations,
        "evaluations": result.evaluations,
        "stages": dict(result.seconds),
        "peak_rss_bytes": peak_rss_bytes(),
        "ran_on": f"{result.backend} {result.precision}",
    }


def generated_picture(height: int, width: int, seed: int) -> npt.NDArray[np.uint8]:
    """Return a picture of waves and noise, uint8 of shape (height, width, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    picture = rng.normal(128, 12, (height, width, 3)).astype(np.float32)
    for channel in range(3):
        across, down = rng.uniform(0.02, 0.3, 2)
        picture[:, :, channel] += 80 * np.sin(x * across + y * down + rng.uniform(0, 6))
    return np.clip(picture, 0, 255).astype(np.uint8)
