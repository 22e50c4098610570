"""The time that is left: right for steady work, and for scales of different sizes."""

from __future__ import annotations

import numpy as np
import pytest

from impasto.engine.pace import Pace
from impasto.engine.result import Iterate
from impasto.engine.scales import Scale, scales_for, total_iterations

SCALES = scales_for("3", 400, 40)


def at(iteration: int, seconds: float, iterations: int) -> Iterate:
    image = np.zeros((1, 1, 3), np.float32)
    return Iterate(
        *(iteration, iterations, iteration, 1.0, {}, seconds, image),
        picture=lambda: np.zeros((1, 1, 3), np.uint8),
    )


def course(scales: tuple[Scale, ...]) -> list[float]:
    """Return when each step ends if a pixel takes a microsecond."""
    seconds = [scale.longest_side**2 * 1e-6 for scale in scales for _ in range(scale.iterations)]
    return [float(end) for end in np.cumsum(seconds)]


def test_what_is_left_is_told_exactly_where_time_goes_by_pixels() -> None:
    pace, ends, total = Pace(SCALES), course(SCALES), total_iterations(SCALES)
    for iteration, seconds in enumerate(ends, start=1):
        left = pace(at(iteration, seconds, total))
        assert left == pytest.approx(ends[-1] - seconds, abs=1e-6)


def test_a_resumed_run_goes_by_what_is_seen_now() -> None:
    """Its first half took a hundred seconds a step on another machine."""
    pace = Pace((Scale(100, 20, 0),))
    pace(at(11, 1001.0, 20))
    assert pace(at(12, 1002.0, 20)) == pytest.approx(8)


def test_the_last_step_leaves_nothing() -> None:
    assert Pace((Scale(1, 1, 0),))(at(1, 3.0, 1)) == 0
