"""A trace keeps a run's course in bounded memory, and its corners for certain."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.engine.options import Options
from impasto.engine.result import Iterate
from impasto.engine.stylize import stylize
from impasto.engine.trace import Trace, loss_by_kind


def steps(lengths: list[int]) -> Iterator[Iterate]:
    """Yield the steps of a run with scales of these lengths."""
    iteration = 0
    for scale, length in enumerate(lengths, start=1):
        image = np.zeros((4 * scale, 6 * scale, 3), np.float32)
        for _ in range(length):
            iteration += 1
            yield Iterate(
                iteration=iteration,
                iterations=sum(lengths),
                evaluations=2 * iteration,
                loss=1 / iteration,
                losses={"content_loss.a": 0.25 / iteration, "tv_loss": 0.75 / iteration},
                seconds=iteration / 8,
                image=image,
                picture=lambda: np.zeros((1, 1, 3), np.uint8),
                scale=scale,
                scales=len(lengths),
            )


@given(
    lengths=st.lists(st.integers(1, 300), min_size=1, max_size=5),
    most=st.integers(2, 60),
)
def test_points_are_bounded_and_every_scale_s_ends_are_kept(lengths: list[int], most: int) -> None:
    trace = Trace(most)
    told = []
    for step in steps(lengths):
        trace(step)
        told.append((step.iteration, step.scale))
        assert len(trace.points) <= most + 2 * len(lengths) + 1
    kept = [(point.iteration, point.scale) for point in trace.points]
    assert kept == sorted(set(kept))
    for index, each in enumerate(told):
        neighbours = [*told[max(0, index - 1) : index], *told[index + 1 : index + 2]]
        if len(neighbours) < 2 or any(other[1] != each[1] for other in neighbours):
            assert each in kept


def test_a_short_run_is_kept_whole() -> None:
    trace = Trace()
    for step in steps([5, 3]):
        trace(step)
    assert [point.iteration for point in trace.points] == list(range(1, 9))
    assert (trace.points[-1].width, trace.points[-1].height) == (12, 8)
    assert trace.points[-1].losses == {"content_loss.a": 0.25 / 8, "tv_loss": 0.75 / 8}


def test_no_step_no_point() -> None:
    assert Trace().points == ()
    assert Trace().to_dict()["iteration"] == []


def test_the_course_is_plain_json() -> None:
    trace = Trace()
    (step,) = steps([1])
    trace(Iterate(**{**vars(step), "loss": math.inf, "losses": {"tv_loss": math.nan}}))
    trace(Iterate(**{**vars(step), "iteration": 2, "losses": {"tv_loss": 1.0, "new": 2.0}}))
    told = json.loads(json.dumps(trace.to_dict(), allow_nan=False))
    assert told["loss"] == [None, 1.0]
    assert told["losses"] == {"tv_loss": [None, 1.0], "new": [None, 2.0]}
    assert told["size"] == [[6, 4], [6, 4]]


def test_a_real_run_is_recorded() -> None:
    grey = np.full((32, 48, 3), 128, np.uint8)
    style = np.random.default_rng(3).integers(0, 256, (40, 40, 3), np.uint8)
    trace = Trace()
    options = Options(
        size=48, iterations=3, content_layers=("relu1_1",), style_layers=("relu1_1",), seed=1
    )
    result = stylize(grey, [style], options, callback=trace)
    assert [point.iteration for point in trace.points] == [1, 2, 3]
    assert min(point.loss for point in trace.points) == pytest.approx(result.loss)
    assert set(trace.points[0].losses) == set(result.losses)


def test_terms_add_up_by_kind() -> None:
    losses = {"content_loss.a": 1.0, "style_loss.a": 2.0, "style_loss.b": 3.0, "tv_loss": 4.0}
    assert loss_by_kind(losses) == {"content": 1.0, "style": 5.0, "tv": 4.0}
