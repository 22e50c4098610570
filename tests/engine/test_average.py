"""The moving average of a run's images: what it is, and that it is what is saved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stopped_runs import SHORT, STEPS, stop_after, write_pictures

from impasto import Iterate, Options, Status, stylize
from impasto.engine.average import MovingAverage
from impasto.engine.images import from_network, resize_image
from impasto.engine.optimizers.arrays import BLOCK
from impasto.engine.options import OptimizerName
from impasto.engine.plan import plan_run
from impasto.engine.preparation import plan_pictures
from impasto.errors import OptionError

F64 = npt.NDArray[np.float64]


def weighted(images: list[Any], decay: float) -> F64:
    """Return the mean in float64, with weights from their formula."""
    shares = decay ** np.arange(len(images))[::-1]
    return np.tensordot(shares / shares.sum(), np.array(images, np.float64), 1)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(decay=st.floats(0, 0.9999), count=st.integers(1, 12), seed=st.integers(0, 99))
def test_it_is_the_weighted_mean(decay: float, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = [rng.uniform(-20, 280, (1, 3, 5, 4)).astype(np.float32) for _ in range(count)]
    average = MovingAverage(decay, (1, 3, 5, 4))
    for image in images:
        average.add(image)
    np.testing.assert_allclose(average.image, weighted(images, decay), atol=2e-3)
    if decay == 0 or count == 1:
        np.testing.assert_array_equal(average.image, images[-1])


def test_it_goes_on_bit_for_bit_and_beyond_one_block() -> None:
    rng = np.random.default_rng(3)
    shape = (1, 3, 151, BLOCK // 300)
    images = [rng.uniform(0, 255, shape).astype(np.float32) for _ in range(4)]
    whole = MovingAverage(0.9, shape)
    for image in images[:2]:
        whole.add(image)
    half = MovingAverage(0.9, shape, whole.image, whole.count)
    for image in images[2:]:
        whole.add(image)
        half.add(image)
    np.testing.assert_array_equal(half.image, whole.image)
    np.testing.assert_allclose(whole.image, weighted(images, 0.9), atol=1e-3)
    with pytest.raises(ValueError, match="read-only"):
        whole.image[...] = 0


class Images:
    """Keeps the images of a run by scale, and the pictures that were shown."""

    def __init__(self) -> None:
        self.by_scale: dict[int, list[Any]] = {}
        self.shown: list[Any] = []

    def __call__(self, step: Iterate) -> None:
        self.by_scale.setdefault(step.scale, []).append(step.image.copy())
        self.shown.append(step.picture())


def as_picture(image: F64) -> Any:
    """Return the picture of an (H, W, 3) image."""
    return from_network(image.transpose(2, 0, 1)[np.newaxis].astype(np.float32))


def assert_nearly_same(picture: Any, expected: Any) -> None:
    """Rounding may decide a half in another way; nothing else differs."""
    difference = np.abs(picture.astype(int) - expected.astype(int))
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 0.01


@pytest.mark.parametrize("optimizer", ["lbfgs-numpy", "adam"])
def test_what_is_saved_and_shown_is_the_average_of_the_last_scale(
    optimizer: OptimizerName, tmp_path: Path
) -> None:
    photo, painting = write_pictures(tmp_path)
    options = replace(SHORT, optimizer=optimizer, average=0.8)
    seen = Images()
    result = stylize(photo, [painting], options, callback=seen)
    assert {scale: len(images) for scale, images in seen.by_scale.items()} == {1: 5, 2: 5}
    first, second = (weighted(seen.by_scale[scale], 0.8) for scale in (1, 2))
    assert_nearly_same(result.image, as_picture(second))
    np.testing.assert_array_equal(seen.shown[-1], result.image)
    assert_nearly_same(seen.shown[2], as_picture(weighted(seen.by_scale[1][:3], 0.8)))
    # The second scale begins from the enlarged average, and not from the last or best image.
    flat = first.transpose(2, 0, 1)[np.newaxis].astype(np.float32)
    height, width, _ = second.shape
    start = resize_image(flat, height, width)[0].transpose(1, 2, 0)
    begun = np.clip(start, 0, 255) if optimizer == "adam" else start
    np.testing.assert_allclose(seen.by_scale[2][0], begun, atol=1e-3)
    assert np.abs(seen.by_scale[1][-1] - first).max() > 1, "the average is another image"


def test_it_is_off_unless_asked_for_and_changes_no_image_of_one_scale(tmp_path: Path) -> None:
    photo, painting = write_pictures(tmp_path)
    plain, averaged = Images(), Images()
    one = replace(SHORT, scales="1")
    expected = stylize(photo, [painting], one, callback=plain)
    result = stylize(photo, [painting], replace(one, average=0.9), callback=averaged)
    np.testing.assert_array_equal(plain.by_scale[1], averaged.by_scale[1])
    assert (result.loss, result.losses) == (expected.loss, expected.losses)
    assert not np.array_equal(result.image, expected.image)


def test_a_cancelled_run_keeps_the_average_so_far(tmp_path: Path) -> None:
    photo, painting = write_pictures(tmp_path)
    seen = Images()

    def stop(step: Iterate) -> bool:
        seen(step)
        return step.iteration < 4

    options = replace(SHORT, scales="1", average=0.8)
    result = stylize(photo, [painting], options, callback=stop)
    assert result.status is Status.CANCELLED
    np.testing.assert_array_equal(result.image, seen.shown[-1])
    assert len(seen.shown) == 4 < STEPS


def test_ctrl_c_before_the_first_step_keeps_the_first_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    photo, painting = write_pictures(tmp_path)
    plain = stylize(photo, [painting], SHORT, callback=stop_after(1))
    with monkeypatch.context() as patch:
        patch.setattr("impasto.engine.objective.Objective.__call__", interrupt)
        result = stylize(photo, [painting], replace(SHORT, average=0.9))
    np.testing.assert_array_equal(result.image.shape, plain.image.shape)
    assert result.image.std() > 10


def test_the_plan_counts_it(tmp_path: Path) -> None:
    photo, painting = write_pictures(tmp_path)
    request = plan_pictures(photo, [painting], SHORT).request
    averaged = replace(request, options=replace(SHORT, average=0.9))
    for plain, more in zip(plan_run(request).scales, plan_run(averaged).scales, strict=True):
        height, width = plain.size
        assert more.memory.optimizer - plain.memory.optimizer == 4 * 3 * height * width


@pytest.mark.parametrize("decay", [-0.1, 1.0, 1.5, float("nan")])
def test_a_decay_that_forgets_nothing_is_refused(decay: float) -> None:
    with pytest.raises(OptionError, match=r"--average is .*from 0 to 0\.9999"):
        Options(average=decay)
