"""A run that was stopped and resumed gives what it would have given, bit for bit."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from stopped_runs import SHORT, STEPS, CopyingStore, assert_same, stop_after, write_pictures

from impasto import Iterate, Options, Status, load_image, stylize
from impasto.engine.checkpoint import CheckpointStore, Snapshot, has_snapshot
from impasto.engine.parts import Workers
from impasto.engine.preparation import prepare
from impasto.engine.stylize import paint_prepared, resume
from impasto.errors import CheckpointError, CheckpointWriteError

RUNS = {
    "more pairs than iterations": SHORT,
    "fewer pairs than iterations": replace(SHORT, history=2),
    "adam": replace(SHORT, optimizer="adam"),
    "tiled": replace(SHORT, tile="16"),
    "noise": replace(SHORT, init="noise", scales="1", iterations=3, color="content-luma"),
    "style-match": replace(SHORT, color="style-match"),
    "average": replace(SHORT, average=0.9),
    "average with adam": replace(SHORT, average=0.9, optimizer="adam"),
    "normalised in strips": replace(SHORT, normalize_gradients=True, tv_norm="l1", tile="16"),
    "content-match": replace(SHORT, color="content-match", scales="1", iterations=2),
}
SCIPY = replace(SHORT, optimizer="lbfgs")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path_factory.getbasetemp() / "impasto-cache"))


@pytest.fixture(autouse=True)
def a_save_every_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.engine.autosave.INTERVAL", 0.0)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return write_pictures(tmp_path)[0]


@pytest.fixture
def painting(photo: Path) -> Path:
    return photo.with_name("painting.png")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint"


@pytest.mark.parametrize("options", RUNS.values(), ids=RUNS)
def test_every_save_leads_to_the_same_picture(
    options: Options, photo: Path, painting: Path, checkpoint: Path, tmp_path: Path
) -> None:
    copies = tmp_path / "copies"
    with CopyingStore(checkpoint, copies) as store:
        expected = paint_prepared(prepare(photo, [painting], options), store=store)
    assert store.count > expected.iterations
    assert expected.execution["mode"] == ("whole" if options.tile == "auto" else "tiled")
    starts: list[int | None] = []
    for number in range(store.count):
        resumed = resume(copies / str(number))
        assert_same(resumed, expected)
        starts.append(resumed.resumed_from)
    # One at the start, one after every step, and one before the second scale.
    steps = list(range(expected.iterations + 1))
    assert starts == (steps if options.scales == "1" else [*steps[:6], *steps[5:]])


def test_a_checkpoint_does_not_change_the_picture(
    photo: Path, painting: Path, checkpoint: Path
) -> None:
    expected = stylize(photo, [painting], SHORT)
    assert_same(stylize(photo, [painting], SHORT, checkpoint=checkpoint), expected)
    assert not checkpoint.exists()


@pytest.mark.parametrize("name", ["fewer pairs than iterations", "adam", "tiled"])
def test_a_run_cancelled_after_every_step_ends_the_same(
    name: str, photo: Path, painting: Path, checkpoint: Path
) -> None:
    options = RUNS[name]
    expected = stylize(photo, [painting], options)
    result = stylize(photo, [painting], options, callback=stop_after(1), checkpoint=checkpoint)
    for iteration in range(1, STEPS):
        assert result.status is Status.CANCELLED
        assert result.iterations == iteration
        result = resume(checkpoint, callback=stop_after(iteration + 1))
        assert result.resumed_from == iteration
    assert_same(resume(checkpoint), expected)
    assert not checkpoint.exists()


def test_ctrl_c_in_the_callback_loses_one_step_at_most(
    photo: Path, painting: Path, checkpoint: Path
) -> None:
    def interrupt(iterate: Iterate) -> None:
        if iterate.iteration == 7:
            raise KeyboardInterrupt

    expected = stylize(photo, [painting], SHORT)
    stopped = stylize(photo, [painting], SHORT, callback=interrupt, checkpoint=checkpoint)
    assert stopped.status is Status.CANCELLED
    assert stopped.iterations == 7
    resumed = resume(checkpoint)
    assert resumed.resumed_from == 6
    assert_same(resumed, expected)


@pytest.mark.parametrize("name", ["fewer pairs than iterations", "adam"])
def test_ctrl_c_between_two_scales_keeps_the_enlarged_picture(
    name: str, photo: Path, painting: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    options = RUNS[name]
    expected = stylize(photo, [painting], options)
    stylize(photo, [painting], options, callback=stop_after(5), checkpoint=checkpoint)
    with monkeypatch.context() as patch:
        patch.setattr("impasto.engine.objective.Objective.__call__", interrupt)
        stopped = resume(checkpoint)
    assert stopped.status is Status.CANCELLED
    assert stopped.iterations == 5
    assert stopped.image.shape == expected.image.shape
    assert json.loads(json.dumps(stopped.summary(), allow_nan=False))["loss"] is None
    assert_same(resume(checkpoint), expected)


def test_an_error_in_the_callback_keeps_the_checkpoint(
    photo: Path, painting: Path, checkpoint: Path
) -> None:
    def fail(iterate: Iterate) -> None:
        if iterate.iteration == 3:
            raise RuntimeError("somebody's own mistake")

    with pytest.raises(RuntimeError, match="own mistake"):
        stylize(photo, [painting], SHORT, callback=fail, checkpoint=checkpoint)
    assert_same(resume(checkpoint), stylize(photo, [painting], SHORT))


@pytest.mark.parametrize("iteration", [1, 4, 5, 6, 9])
def test_scipy_goes_on_from_its_last_image(
    iteration: int, photo: Path, painting: Path, checkpoint: Path
) -> None:
    """Its history is hidden, so the run is another one; but nothing reached is lost."""
    stopped = stylize(
        photo, [painting], SCIPY, callback=stop_after(iteration), checkpoint=checkpoint
    )
    seen: list[Iterate] = []
    resumed = resume(checkpoint, callback=seen.append)
    assert resumed.status is Status.FINISHED
    assert resumed.iterations == STEPS
    assert resumed.resumed_from == iteration
    assert resumed.evaluations > stopped.evaluations
    assert [step.iteration for step in seen] == list(range(iteration + 1, STEPS + 1))
    if iteration > 5:  # losses of two scales cannot be compared
        assert resumed.loss < stopped.loss


def test_the_clock_goes_on(photo: Path, painting: Path, checkpoint: Path) -> None:
    before: list[Iterate] = []

    def stop(iterate: Iterate) -> bool:
        before.append(iterate)
        return iterate.iteration < 3

    stylize(photo, [painting], SHORT, callback=stop, checkpoint=checkpoint)
    after: list[Iterate] = []
    resume(checkpoint, callback=after.append)
    assert after[0].iteration == 4
    assert after[0].seconds > before[-1].seconds
    assert after[0].iterations == STEPS


def test_the_drawn_seed_is_the_runs(photo: Path, painting: Path, checkpoint: Path) -> None:
    options = replace(SHORT, init="noise", seed=-1)
    stopped = stylize(photo, [painting], options, callback=stop_after(2), checkpoint=checkpoint)
    resumed = resume(checkpoint)
    assert resumed.options.seed == stopped.options.seed
    assert_same(resumed, stylize(photo, [painting], replace(options, seed=stopped.options.seed)))


def test_arrays_have_to_be_given_again(photo: Path, painting: Path, checkpoint: Path) -> None:
    content, style = load_image(photo), load_image(painting)
    stylize(content, [style], SHORT, callback=stop_after(4), checkpoint=checkpoint)
    for given in ({}, {"content": content}, {"styles": [style]}):
        with pytest.raises(CheckpointError, match="give them again"):
            resume(checkpoint, **given)
    assert has_snapshot(checkpoint)
    resumed = resume(checkpoint, content=content, styles=[style])
    assert_same(resumed, stylize(content, [style], SHORT))


def test_other_arrays_are_refused(photo: Path, painting: Path, checkpoint: Path) -> None:
    content, style = load_image(photo), load_image(painting)
    stylize(content, [style], SHORT, callback=stop_after(4), checkpoint=checkpoint)
    with pytest.raises(CheckpointError, match="content picture has changed"):
        resume(checkpoint, content=255 - content, styles=[style])
    with pytest.raises(CheckpointError, match="style picture has changed"):
        resume(checkpoint, content=content, styles=[255 - style])
    with pytest.raises(CheckpointError, match="2 style pictures were given"):
        resume(checkpoint, content=content, styles=[style, style])


class _FullDisk(CheckpointStore):
    """A store whose disk is full after some saves."""

    saves_left = 4

    def save(self, snapshot: Snapshot) -> None:
        if self.saves_left == 0:
            raise CheckpointWriteError("No space is left.")
        self.saves_left -= 1
        super().save(snapshot)


def test_a_full_disk_ends_nothing_and_loses_nothing_saved(
    photo: Path, painting: Path, checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = stylize(photo, [painting], SHORT)
    with caplog.at_level(logging.WARNING), _FullDisk(checkpoint) as store:
        painted = paint_prepared(prepare(photo, [painting], SHORT), store=store)
    assert_same(painted, expected)
    assert [record.message for record in caplog.records] == ["No space is left. The run goes on."]
    resumed = resume(checkpoint)
    assert resumed.resumed_from == 3
    assert_same(resumed, expected)


def test_an_executor_changes_nothing(photo: Path, painting: Path, checkpoint: Path) -> None:
    tiled = RUNS["tiled"]
    expected = stylize(photo, [painting], tiled)
    with ThreadPoolExecutor(2) as executor:
        stylize(
            photo,
            [painting],
            tiled,
            callback=stop_after(6),
            checkpoint=checkpoint,
            workers=Workers(executor),
        )
        assert_same(resume(checkpoint, workers=Workers(executor)), expected)


def test_strips_are_cut_as_before_whatever_the_memory_is_today(
    photo: Path, painting: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other strips would add up in another order."""
    tiled = RUNS["tiled"]
    expected = stylize(photo, [painting], tiled)
    stylize(photo, [painting], tiled, callback=stop_after(6), checkpoint=checkpoint)
    monkeypatch.setattr("impasto.engine.plan.ROWS", (32,))
    monkeypatch.setattr("impasto.engine.plan.available_memory", lambda: 2**40)
    assert_same(resume(checkpoint), expected)
