"""Save a run's state now and then; a disk that is full does not end the run."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from impasto.engine.checkpoint import CheckpointStore, Snapshot
from impasto.errors import CheckpointWriteError

__all__ = ["Autosave"]

logger = logging.getLogger(__name__)

INTERVAL = 5.0
"""Seconds from one save to the next; an iteration, if that is longer."""


class Autosave:
    """Saves snapshots in a store, not too often.

    Parameters
    ----------
    store : CheckpointStore, optional
        Without one, nothing is saved.
    """

    def __init__(self, store: CheckpointStore | None) -> None:
        self._store = store
        self._due = 0.0
        self._failing = False

    def __call__(self, snapshot: Callable[[], Snapshot], *, now: bool = False) -> None:
        """Save what `snapshot` returns if it is time, or in any case if `now`.

        A save that fails is logged as a warning, the first time, and tried again later: the run
        goes on, and what was saved before is still there.
        """
        if self._store is None or (not now and time.monotonic() < self._due):
            return
        self._due = time.monotonic() + INTERVAL
        try:
            self._store.save(snapshot())
        except CheckpointWriteError as error:
            if not self._failing:
                logger.warning("%s The run goes on.", error)
            self._failing = True
        else:
            self._failing = False
