"""Threads that share a job."""

from __future__ import annotations

import gc
import threading
import weakref

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


def test_threads_end_with_the_team() -> None:
    before = set(threading.enumerate())
    team = Team(3)
    team.each(lambda part: part, range(3))
    helpers = set(threading.enumerate()) - before
    assert len(helpers) == 2
    gone = weakref.ref(team)
    del team
    gc.collect()
    assert gone() is None
    for helper in helpers:
        helper.join(timeout=60)
        assert not helper.is_alive()


def test_what_a_job_holds_on_to_is_let_go() -> None:
    class Large:
        pass

    held, team = Large(), Team(2)
    team.each(lambda _, held=held: held, range(2))  # type: ignore[misc]
    gone = weakref.ref(held)
    del held
    team.each(lambda part: part, range(2))  # by now the helper has put the first job away
    gc.collect()
    assert gone() is None


def test_a_job_after_one_that_was_broken_off_waits_for_its_own_parts() -> None:
    """Ctrl-C in the caller leaves a helper at work."""
    team, entered, leave = Team(2), threading.Event(), threading.Event()
    caller = threading.get_ident()

    def work(part: int) -> int:
        if threading.get_ident() == caller:
            assert entered.wait(60)
            raise KeyboardInterrupt
        entered.set()
        assert leave.wait(60)
        return part

    with pytest.raises(KeyboardInterrupt):
        team.each(work, range(2))
    leave.set()
    assert team.each(lambda part: 10 * part, range(9)) == [10 * part for part in range(9)]
