"""Threads that share the parts of a job, and sleep between jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["Team"]

Part = TypeVar("Part")
Found = TypeVar("Found")


class Team:
    """Some threads, the caller's among them. The others start with the first job they share.

    Parameters
    ----------
    threads : int
        At most so many work at a time, at least 1.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None

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

        helpers = min(self._threads, len(parts)) - 1
        if helpers > 0 and self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads - 1, "impasto-optimizer")
        given = [self._pool.submit(take) for _ in range(helpers) if self._pool is not None]
        take()
        for future in given:
            future.result()
        return [found[number] for number in range(len(parts))]
