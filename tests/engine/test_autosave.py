"""States are saved now and then, at once where it matters, and a full disk ends nothing."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from impasto.engine.autosave import INTERVAL, Autosave
from impasto.engine.checkpoint import CheckpointStore, Snapshot, load_snapshot
from impasto.errors import CheckpointWriteError


class _Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class _Store(CheckpointStore):
    """A store whose disk can be full."""

    full = False

    def save(self, snapshot: Snapshot) -> None:
        if self.full:
            raise CheckpointWriteError("No space is left.")
        super().save(snapshot)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    clock = _Clock()
    monkeypatch.setattr("impasto.engine.autosave.time", clock)
    return clock


@pytest.fixture
def store(tmp_path: Path) -> _Store:
    return _Store(tmp_path / "checkpoint")


def saved(store: CheckpointStore) -> object:
    return load_snapshot(store.directory).header["step"]


def test_the_first_save_is_made_and_then_one_each_interval(store: _Store, clock: _Clock) -> None:
    autosave = Autosave(store)
    autosave(lambda: Snapshot({"step": 0}))
    assert saved(store) == 0
    clock.now += 0.9 * INTERVAL
    autosave(lambda: pytest.fail("nothing is to be gathered if nothing is saved"))
    clock.now += 0.2 * INTERVAL
    autosave(lambda: Snapshot({"step": 2}))
    assert saved(store) == 2


@pytest.mark.usefixtures("clock")
def test_what_matters_is_saved_at_once(store: _Store) -> None:
    autosave = Autosave(store)
    for step in range(3):
        autosave(lambda step=step: Snapshot({"step": step}), now=True)  # type: ignore[misc]
        assert saved(store) == step


def test_without_a_store_nothing_is_gathered() -> None:
    Autosave(None)(lambda: pytest.fail("nobody wants it"), now=True)


def test_a_full_disk_is_told_once_until_a_save_succeeds(
    store: _Store, clock: _Clock, caplog: pytest.LogCaptureFixture
) -> None:
    autosave = Autosave(store)
    told = []
    for step, full in enumerate([False, True, True, False, True]):
        store.full = full
        clock.now += 2 * INTERVAL
        with caplog.at_level(logging.WARNING):
            autosave(lambda step=step: Snapshot({"step": step}))  # type: ignore[misc]
        told.append(len(caplog.records))
    assert told == [0, 1, 1, 1, 2]
    assert saved(store) == 3
    assert caplog.records[0].message == "No space is left. The run goes on."


def test_a_mistake_in_a_snapshot_is_no_full_disk(store: _Store) -> None:
    with pytest.raises(ValueError, match="JSON"):
        Autosave(store)(lambda: Snapshot({"step": float("nan")}))
