"""Ctrl-C and SIGTERM while a picture is painted: stop, but keep the picture."""

from __future__ import annotations

import signal
import threading
from enum import Enum, auto
from types import FrameType, TracebackType
from typing import Any

from impasto.cli.messages import say

__all__ = ["Interruption"]


class _Phase(Enum):
    PREPARING = auto()
    PAINTING = auto()
    SAVING = auto()


class Interruption:
    """Watches for SIGINT and SIGTERM inside a ``with`` block.

    Before the first step is done there is nothing to keep, and a signal raises
    `KeyboardInterrupt`. From then on (:meth:`defer`) the first signal only sets :attr:`signal`,
    for the painter to look at after each step, and the second one raises `KeyboardInterrupt`,
    which ends the step under way. While the picture is saved (:meth:`hold`), nothing is raised.

    Attributes
    ----------
    signal : int or None
        Number of the last signal that came.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._phase = _Phase.PREPARING
        self._before: dict[int, Any] = {}

    @property
    def exit_code(self) -> int:
        """The code a shell reports for a process ended by this signal."""
        return 128 + (self.signal or signal.SIGINT)

    def begin(self) -> None:
        """From now on, stop at once again, as before a first step: there is another picture.

        Raises
        ------
        KeyboardInterrupt
            If a signal has come already.
        """
        self._phase = _Phase.PREPARING
        if self.signal is not None:
            raise KeyboardInterrupt

    def defer(self) -> None:
        """From now on, let the first signal end the run after the step under way."""
        if self._phase is _Phase.PREPARING:
            self._phase = _Phase.PAINTING

    def hold(self) -> None:
        """From now on, only take note of signals."""
        self._phase = _Phase.SAVING

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                # Ignored by whoever started this process (nohup, a script's background job).
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        first = self.signal is None
        self.signal = number
        if self._phase is _Phase.PREPARING:
            raise KeyboardInterrupt
        if self._phase is _Phase.SAVING:
            return
        if not first:
            self.hold()
            raise KeyboardInterrupt
        say("stopping after this step, with the picture there is; once more to stop at once.")
