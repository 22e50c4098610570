"""Threads that share a job."""

from __future__ import annotations

import threading

import pytest

from impasto.engine.optimizers.team import Team


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_results_are_in_the_order_of_the_parts(threads: int, count: int) -> None:
    team = Team(threads)
    for _ in range(3):  # the threads are used again
        assert team.each(lambda part: 2 * part, range(count)) == [2 * n for n in range(count)]


def test_two_threads_work_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=60)
    assert sorted(Team(2).each(lambda _: both.wait(), range(2))) == [0, 1]


def test_one_thread_is_the_caller_s() -> None:
    own = threading.get_ident()
    assert Team(1).each(lambda _: threading.get_ident(), range(3)) == [own] * 3


def test_a_job_that_fails_does_not_spoil_the_next() -> None:
    team = Team(2)

    def work(part: int) -> int:
        if part == 1:
            raise RuntimeError("part 1")
        return part

    with pytest.raises(RuntimeError, match="part 1"):
        team.each(work, range(2))
    assert team.each(work, [2, 3]) == [2, 3]
