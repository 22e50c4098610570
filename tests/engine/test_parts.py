"""Parts of a picture: in order, no more at a time than asked, and failures reach the caller."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import numpy as np
import onnx
import pytest

from impasto.engine.backends import open_backend
from impasto.engine.backends.base import Backend, FloatArray
from impasto.engine.parts import Parts, Workers, run_in_order
from impasto.export.graph import GraphBuilder

Arrays = dict[str, FloatArray]


def number(job: int) -> Arrays:
    return {"n": np.array(job, np.float32)}


def doubling() -> onnx.ModelProto:
    graph = GraphBuilder()
    x = graph.input("x", (2, 3))
    graph.output(graph.op("Add", x, x), "y", (2, 3))
    return graph.build("doubling")


@pytest.fixture
def backend() -> Backend:
    return open_backend("onnxruntime", "f32", 1)


# -- order and number of parts -------------------------------------------------------------------


def test_results_come_in_the_order_of_the_jobs() -> None:
    """The first of every two jobs waits for the second one to end."""
    ended = [threading.Event() for _ in range(10)]

    def work(job: int) -> Arrays:
        if job % 2 == 0:
            assert ended[job + 1].wait(30)
        ended[job].set()
        return number(job)

    with ThreadPoolExecutor(2) as executor:
        found = [
            (job, int(done["n"]))
            for job, done in run_in_order(Workers(executor, 2), work, range(10))
        ]
    assert found == [(job, job) for job in range(10)]


def test_without_an_executor_a_job_runs_when_it_is_asked_for() -> None:
    ran: list[int] = []

    def work(job: int) -> Arrays:
        ran.append(job)
        return number(job)

    results = run_in_order(None, work, range(3))
    for job in range(3):
        assert ran == list(range(job))
        found, value = next(results)
        assert (found, int(value["n"])) == (job, job)


@pytest.mark.parametrize("at_a_time", [1, 2, 5])
def test_no_more_jobs_are_handed_out_than_may_be_in_flight(at_a_time: int) -> None:
    handed_out = 0

    def jobs() -> Iterator[int]:
        nonlocal handed_out
        for job in range(12):
            handed_out += 1
            yield job

    yielded = 0
    with ThreadPoolExecutor(2) as executor:
        for _ in run_in_order(Workers(executor, at_a_time), number, jobs()):
            yielded += 1
            # One job more has been taken from the iterable, and waits for a place.
            assert handed_out - yielded <= at_a_time
    assert yielded == 12


def test_results_are_copies_because_workers_use_their_arrays_again() -> None:
    shared = np.zeros((), np.float32)

    def work(job: int) -> Arrays:
        shared[...] = job
        return {"n": shared}

    with ThreadPoolExecutor(1) as executor:
        results = list(run_in_order(Workers(executor, 4), work, range(6)))
    assert [int(value["n"]) for _, value in results] == list(range(6))


@pytest.mark.parametrize("workers", [0, 2])
def test_no_jobs_give_no_results(workers: int) -> None:
    with ThreadPoolExecutor(2) as executor:
        assert list(run_in_order(Workers(executor) if workers else None, number, [])) == []


# -- failures ------------------------------------------------------------------------------------


def test_a_failure_reaches_the_caller_and_nothing_more_is_started() -> None:
    started: list[int] = []
    release = threading.Event()

    def work(job: int) -> Arrays:
        started.append(job)
        if job == 1:
            raise MemoryError("part 1")
        if job == 2:
            assert release.wait(30)
        return number(job)

    with ThreadPoolExecutor(1) as executor:
        results = run_in_order(Workers(executor, 5), work, range(20))
        assert next(results)[0] == 0
        with pytest.raises(MemoryError, match="part 1"):
            next(results)
        release.set()
    # The one worker was busy with job 2 at most; what waited behind it was cancelled.
    assert started in ([0, 1], [0, 1, 2])


def test_a_failure_without_an_executor() -> None:
    def work(job: int) -> Arrays:
        raise MemoryError(f"part {job}")

    with pytest.raises(MemoryError, match="part 0"):
        list(run_in_order(None, work, range(3)))


def test_a_caller_who_stops_early_leaves_nothing_waiting() -> None:
    release = threading.Event()
    started: list[int] = []

    def work(job: int) -> Arrays:
        started.append(job)
        if job:
            assert release.wait(30)
        return number(job)

    with ThreadPoolExecutor(1) as executor:
        results = run_in_order(Workers(executor, 5), work, range(20))
        next(results)
        results.close()  # type: ignore[attr-defined]
        release.set()
    assert started in ([0], [0, 1])


# -- compiled parts ------------------------------------------------------------------------------


def test_a_part_is_built_once_and_its_arrays_are_its_inputs(backend: Backend) -> None:
    built: list[str] = []

    def build() -> onnx.ModelProto:
        built.append("doubling")
        return doubling()

    parts = Parts(backend)
    for value in (1, 2, 3):
        part = parts.get(("key", 1), build)
        assert part.inputs["x"].shape == (2, 3)
        part.inputs["x"][...] = value
        np.testing.assert_array_equal(part.run()["y"], np.full((2, 3), 2 * value, np.float32))
    assert built == ["doubling"]
    assert parts.get(("key", 2), build) is not parts.get(("key", 1), build)
    assert built == ["doubling"] * 2


def test_every_thread_has_its_own_parts(backend: Backend) -> None:
    parts = Parts(backend)
    both = threading.Barrier(2, timeout=30)

    def get(executor: Executor) -> list[int]:
        def work() -> int:
            both.wait()  # so that neither worker takes both jobs
            return id(parts.get("key", doubling))

        return [future.result() for future in [executor.submit(work) for _ in range(2)]]

    with ThreadPoolExecutor(2) as executor:
        first, second = get(executor)
        assert first != second
        assert id(parts.get("key", doubling)) not in (first, second)
        assert set(get(executor)) == {first, second}


def test_one_part_at_a_time_has_working_memory(backend: Backend) -> None:
    parts = Parts(backend)
    first = parts.get("first", doubling)
    first.inputs["x"][...] = 1
    seen = weakref.ref(first.inputs["x"])
    np.testing.assert_array_equal(first.run()["y"], np.full((2, 3), 2, np.float32))
    assert parts.get("first", doubling) is first
    assert seen() is not None
    parts.get("second", doubling)
    assert seen() is None
    assert parts.get("first", doubling) is first
    first.inputs["x"][...] = 2
    np.testing.assert_array_equal(first.run()["y"], np.full((2, 3), 4, np.float32))
