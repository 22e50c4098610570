"""Threads that share the parts of a job, and sleep between jobs."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import TypeAlias, TypeVar

__all__ = ["Team"]

Part = TypeVar("Part")
Found = TypeVar("Found")

Ends: TypeAlias = "SimpleQueue[BaseException | None]"
Jobs: TypeAlias = "SimpleQueue[tuple[Callable[[], None], Ends] | None]"


class Team:
    """Some threads, the caller's among them. The others start with the first job they share.

    An optimizer has several jobs a step, each of a millisecond or two. The standard library's
    executor, with its futures, was seen to take 0.10 ms for a job of nothing, and a queue 0.05, on
    two cores that had slept.

    Parameters
    ----------
    threads : int
        At most so many work at a time, at least 1.

    Attributes
    ----------
    threads : int
    """

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        self._jobs: Jobs = SimpleQueue()
        self._has_started = False

    def each(self, work: Callable[[Part], Found], parts: Sequence[Part]) -> list[Found]:
        """Return what `work` returns for each part, in order.

        A thread that is free takes the next part, so `work` may change nothing but what belongs to
        its part. NumPy's error state is each thread's own.
        """
        found: dict[int, Found] = {}
        numbers = iter(range(len(parts)))  # what is next is told to one thread only

        def take() -> None:
            for number in numbers:
                found[number] = work(parts[number])

        helpers = min(self.threads, len(parts)) - 1
        if helpers > 0 and not self._has_started:
            self._start()
        # Of this job alone: after Ctrl-C nobody waits for the end of the one before.
        ends: Ends = SimpleQueue()
        for _ in range(helpers):
            self._jobs.put((take, ends))
        take()
        for _ in range(helpers):
            error = ends.get()
            if error is not None:
                raise error
        return [found[number] for number in range(len(parts))]

    def _start(self) -> None:
        """Start the threads, which end with the team."""
        helpers = self.threads - 1
        for _ in range(helpers):
            threading.Thread(
                target=_help, args=(self._jobs,), name="impasto-optimizer", daemon=True
            ).start()
        weakref.finalize(self, _dismiss, self._jobs, helpers)
        self._has_started = True


def _help(jobs: Jobs) -> None:
    """Do jobs until there is none; knows the queue and not the team, so that the team can end."""
    while (job := jobs.get()) is not None:
        take, ends = job
        try:
            take()
        except BaseException as error:
            ends.put(error)
        else:
            ends.put(None)
        del job, take, ends  # what they hold on to can be large


def _dismiss(jobs: Jobs, helpers: int) -> None:
    for _ in range(helpers):
        jobs.put(None)
