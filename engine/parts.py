"""Run the parts of a picture: compiled strip graphs, and the executor that may spread them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import onnx

from impasto.engine.backends.base import Backend, CompiledGraph, FloatArray

__all__ = ["Part", "Parts", "Workers", "run_in_order"]

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Workers:
    """Where parts are computed.

    Parameters
    ----------
    executor : Executor
        Of threads, each of which compiles its own graphs.
    at_a_time : int
        Parts handed to it at a time, which bounds the memory.
    """

    executor: Executor
    at_a_time: int = 2


class Part:
    """A compiled strip graph with arrays for its inputs, which every strip of its shape fills.

    Parameters
    ----------
    graph : CompiledGraph
    model : ModelProto
        What it was compiled from; it is not kept.
    """

    def __init__(self, graph: CompiledGraph, model: onnx.ModelProto) -> None:
        self._graph = graph
        self._shapes = {
            value.name: (
                tuple(side.dim_value for side in value.type.tensor_type.shape.dim),
                onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type),
            )
            for value in model.graph.input
        }
        self._inputs: dict[str, FloatArray] = {}

    @property
    def inputs(self) -> dict[str, FloatArray]:
        """The arrays to fill before a run."""
        if not self._inputs:
            self._inputs = {name: np.empty(*kind) for name, kind in self._shapes.items()}
        return self._inputs

    def run(self) -> dict[str, FloatArray]:
        """Run on the arrays in `inputs`; the results belong to the part until it runs again."""
        return self._graph.run(self.inputs)

    def release(self) -> None:
        """Give back the memory of inputs, results and activations until the next run."""
        self._inputs = {}
        self._graph.release()


class Parts:
    """The compiled parts of a run, made when they are first needed.

    One part at a time has working memory. A thread has its own parts: neither a part's arrays nor
    a runtime's request can be shared.

    Parameters
    ----------
    backend : Backend
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._own = threading.local()

    def get(self, key: Hashable, build: Callable[[], onnx.ModelProto]) -> Part:
        """Return the part called `key`, compiled from what `build` returns if it is new."""
        own = self._own.__dict__
        known: dict[Hashable, Part] = own.setdefault("parts", {})
        last = own.get("last")
        if last is not None and last != key:
            known[last].release()
        if key not in known:
            model = build()
            known[key] = Part(self._backend.compile(model, one_of_many=True), model)
        own["last"] = key
        return known[key]


def run_in_order(
    workers: Workers | None,
    work: Callable[[Job], Mapping[str, FloatArray]],
    jobs: Iterable[Job],
) -> Iterator[tuple[Job, Mapping[str, FloatArray]]]:
    """Yield each job with its result, in the order of the jobs, whatever order they end in.

    The order makes sums of floats, and with them whole runs, repeatable.

    Parameters
    ----------
    workers : Workers, optional
        Where the work is done; by default here, one job after the other.
    work : callable
        Returns arrays that the next job may overwrite; the jobs of workers have them copied.
    jobs : iterable
    """
    if workers is None:
        for job in jobs:
            yield job, work(job)
        return

    def copied(job: Job) -> dict[str, FloatArray]:
        return {name: value.copy() for name, value in work(job).items()}

    pending: deque[tuple[Job, Future[dict[str, FloatArray]]]] = deque()
    try:
        for job in jobs:
            if len(pending) >= workers.at_a_time:
                done, future = pending.popleft()
                yield done, future.result()
            pending.append((job, workers.executor.submit(copied, job)))
        while pending:
            done, future = pending.popleft()
            yield done, future.result()
    finally:
        for _, future in pending:
            future.cancel()
