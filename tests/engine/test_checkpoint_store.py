"""Checkpoint directories: what is saved comes back, and whose directory it is."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from impasto.engine.checkpoint import (
    CheckpointStore,
    Snapshot,
    has_snapshot,
    load_snapshot,
    picture_digest,
)
from impasto.engine.checkpoint.lock import DirectoryLock
from impasto.engine.result import FloatArray
from impasto.errors import CheckpointError, CheckpointWriteError, ImpastoError, UsageError

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Paths that are not UTF-8 have lone surrogates in them.
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
ARRAYS = st.dictionaries(
    st.text(max_size=10),
    hnp.arrays("<f4", hnp.array_shapes(min_dims=0, min_side=0), elements=st.floats(width=32)),
    max_size=3,
)


def filled(value: float, *shape: int) -> FloatArray:
    return np.full(shape, value, np.float32)


def bits(arrays: Mapping[str, FloatArray]) -> dict[str, tuple[tuple[int, ...], bytes]]:
    return {name: (array.shape, array.tobytes()) for name, array in arrays.items()}


def pair_files(directory: Path, size: int) -> dict[str, tuple[int, int]]:
    """Return inode and time of the last change of the array files of one size."""
    stats = {path.name: path.stat() for path in directory.glob("*.f32")}
    return {n: (s.st_ino, s.st_mtime_ns) for n, s in stats.items() if s.st_size == size}


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.dictionaries(st.text(), JSON), ARRAYS, ARRAYS)
def test_what_is_saved_comes_back_bit_by_bit(
    tmp_path_factory: pytest.TempPathFactory,
    header: dict[str, object],
    arrays: dict[str, FloatArray],
    pairs: dict[str, FloatArray],
) -> None:
    directory = tmp_path_factory.mktemp("checkpoint")
    with CheckpointStore(directory) as store:
        store.save(Snapshot(header, arrays, pairs))
    loaded = load_snapshot(directory)
    assert repr(loaded.header) == repr(header)
    assert bits(loaded.arrays) == bits(arrays)
    assert bits(loaded.pairs) == bits(pairs)


def test_arrays_in_any_memory_order_and_larger_than_a_part(tmp_path: Path) -> None:
    image = np.random.default_rng(3).random((700, 3, 500), np.float32)
    views = {"transposed": image.T, "stepped": image[::-2, 1], "whole": image}
    with CheckpointStore(tmp_path) as store:
        store.save(Snapshot({}, views))
    loaded = load_snapshot(tmp_path).arrays
    assert list(loaded) == list(views)
    for name, view in views.items():
        np.testing.assert_array_equal(loaded[name], view)
        assert loaded[name].dtype == np.float32
        assert not loaded[name].flags.writeable


def test_each_save_replaces_the_last_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with CheckpointStore(tmp_path) as store:
        for count in range(3):
            store.save(Snapshot({"count": count}, {"x": filled(count, 4)}))
            loaded = load_snapshot(tmp_path)
            assert loaded.header == {"count": count}
            assert loaded.arrays["x"].tolist() == [count] * 4
            assert len(os.listdir(tmp_path)) == len(["array", "manifest", "lock"])


def test_loaded_arrays_outlive_their_files(tmp_path: Path) -> None:
    with CheckpointStore(tmp_path) as store:
        store.save(Snapshot({}, {"x": filled(1, 5000)}))
        before = store.load().arrays["x"]
        store.save(Snapshot({}, {"x": filled(2, 5000)}))
    assert before.min() == before.max() == 1


def test_pairs_are_written_once_and_removed_when_no_longer_named(tmp_path: Path) -> None:
    pairs = {name: filled(index, 6) for index, name in enumerate("abc")}
    with CheckpointStore(tmp_path) as store:
        store.save(Snapshot({}, {"x": filled(0, 2)}, {name: pairs[name] for name in "ab"}))
        first = pair_files(tmp_path, 24)
        store.save(Snapshot({}, {"x": filled(1, 2)}, {name: pairs[name] for name in "bc"}))
        second = pair_files(tmp_path, 24)
    assert len(first) == len(second) == 2
    assert len(first.items() & second.items()) == 1
    # Also by the run that goes on.
    with CheckpointStore(tmp_path, create=False) as store:
        snapshot = store.load()
        assert bits(snapshot.pairs) == bits({name: pairs[name] for name in "bc"})
        store.save(Snapshot({}, {}, {"c": pairs["c"]}))
        third = pair_files(tmp_path, 24)
    assert len(third) == 1
    assert third.items() <= second.items()


def test_a_new_run_takes_no_pairs_from_an_old_one(tmp_path: Path) -> None:
    for value in (1, 2):
        with CheckpointStore(tmp_path) as store:
            store.save(Snapshot({}, {}, {"a": filled(value, 3)}))
    assert load_snapshot(tmp_path).pairs["a"].tolist() == [2, 2, 2]


def test_a_pair_that_somebody_removed_is_written_again(tmp_path: Path) -> None:
    with CheckpointStore(tmp_path) as store:
        for _ in range(2):
            store.save(Snapshot({}, {}, {"a": filled(1, 3)}))
            if len(pair_files(tmp_path, 12)) == 1:
                (tmp_path / next(iter(pair_files(tmp_path, 12)))).unlink()
        store.save(Snapshot({}, {}, {"a": filled(1, 3)}))
    assert load_snapshot(tmp_path).pairs["a"].tolist() == [1, 1, 1]


def test_a_pair_of_another_shape_is_another_pair(tmp_path: Path) -> None:
    with CheckpointStore(tmp_path) as store:
        store.save(Snapshot({}, {}, {"a": filled(1, 3)}))
        store.save(Snapshot({}, {}, {"a": filled(2, 4)}))
    assert load_snapshot(tmp_path).pairs["a"].tolist() == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("snapshot", "message"),
    [
        (Snapshot({}, {"x": np.zeros(2)}), "float64, not float32"),  # type: ignore[dict-item]
        (Snapshot({"x": float("nan")}), "Out of range float"),
        (Snapshot({"x": "-" * 2**25}), "at most"),
        (Snapshot({"x": object()}), "not JSON serializable"),
        (Snapshot({1: 0, "1": 0}), "same key twice"),  # type: ignore[dict-item]
        (Snapshot({}, {"x" * 201: filled(0, 1)}), "201 characters"),
        (
            Snapshot({"x": "-" * 33_554_000}, {f"{n:é>200}": filled(0, 0) for n in range(1700)}),
            "more than",
        ),
    ],
    ids=["float64", "nan", "large", "object", "keys", "name", "many"],
)
def test_what_could_not_be_loaded_is_not_saved(
    tmp_path: Path, snapshot: Snapshot, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # for so many files it takes its time
    with CheckpointStore(tmp_path) as store:
        store.save(Snapshot({"good": True}, {"x": filled(1, 2)}))
        before = sorted(os.listdir(tmp_path))
        with pytest.raises((ValueError, TypeError), match=message):
            store.save(snapshot)
        assert sorted(os.listdir(tmp_path)) == before
    assert load_snapshot(tmp_path).header == {"good": True}


def test_two_runs_cannot_have_one_directory(tmp_path: Path) -> None:
    with CheckpointStore(tmp_path) as store:
        store.save(Snapshot({"run": 1}))
        for create in (True, False):
            with pytest.raises(CheckpointError, match="in use by another run"):
                CheckpointStore(tmp_path, create=create)
        program = (
            "import sys, pathlib; from impasto.engine.checkpoint import CheckpointStore\n"
            "CheckpointStore(pathlib.Path(sys.argv[1]))"
        )
        other = subprocess.run(
            [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=False
        )
        assert "in use by another run" in other.stderr
    CheckpointStore(tmp_path).close()


def test_a_lock_on_a_file_that_lost_its_name_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    flock = fcntl.flock
    seen: list[int] = []

    def removed_by_another_run(descriptor: int, operation: int) -> None:
        if not seen:
            path.unlink()
        seen.append(os.fstat(descriptor).st_nlink)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", removed_by_another_run)
    lock = DirectoryLock(path)
    assert seen == [0, 1]
    with pytest.raises(CheckpointError, match="in use"):
        DirectoryLock(path)
    lock.remove()
    assert not path.exists()


@pytest.mark.parametrize("user_file", [None, "notes.txt"])
def test_finish_removes_what_the_store_made_and_nothing_else(
    tmp_path: Path, user_file: str | None
) -> None:
    directory = tmp_path / "some" / "checkpoint"
    store = CheckpointStore(directory)
    store.save(Snapshot({}, {"x": filled(1, 2)}, {"a": filled(1, 3)}))
    (directory / "manifest.json.tmp").touch()
    if user_file:
        (directory / user_file).touch()
    store.finish()
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert left == (
        ["some", "some/checkpoint", "some/checkpoint/notes.txt"] if user_file else ["some"]
    )
    with pytest.raises(ValueError, match="closed"):
        store.save(Snapshot({}))
    store.close()


def test_opening_removes_leftovers_and_keeps_the_snapshot(tmp_path: Path) -> None:
    with CheckpointStore(tmp_path) as store:
        store.save(Snapshot({}, {"x": filled(1, 2)}))
    before = sorted(os.listdir(tmp_path))
    for name in ("0123456789abcdef.f32", "manifest.json.tmp"):
        (tmp_path / name).write_bytes(b"1234")
    CheckpointStore(tmp_path).close()
    assert sorted(os.listdir(tmp_path)) == before


def test_a_directory_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    for name in ("holiday.jpg", "manifest.json", "0123456789abcdef.f32"):
        (tmp_path / name).write_text('{"format": "something else"}')
    with pytest.raises(CheckpointError, match="not empty and holds no checkpoint"):
        CheckpointStore(tmp_path)
    assert len(os.listdir(tmp_path)) == 3


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="cannot be made or read: File exists"):
        CheckpointStore(tmp_path / "file")


def test_no_snapshot_is_no_checkpoint_and_nothing_is_made(tmp_path: Path) -> None:
    assert not has_snapshot(tmp_path)
    for directory in (tmp_path, tmp_path / "missing"):
        with pytest.raises(CheckpointError, match=r"no checkpoint in .*no manifest\.json"):
            CheckpointStore(directory, create=False)
        with pytest.raises(CheckpointError, match="no checkpoint"):
            load_snapshot(directory)
    assert os.listdir(tmp_path) == []


def test_a_copied_checkpoint_goes_on_without_its_lock(tmp_path: Path) -> None:
    with CheckpointStore(tmp_path / "one") as store:
        store.save(Snapshot({}, {"x": filled(1, 2)}))
    shutil.copytree(tmp_path / "one", tmp_path / "two", ignore=shutil.ignore_patterns("*.lock"))
    for create in (True, False):
        with CheckpointStore(tmp_path / "two", create=create) as store:
            assert store.load().arrays["x"].tolist() == [1, 1]
        next((tmp_path / "two").glob("*.lock")).unlink()


def test_a_damaged_checkpoint_may_be_begun_anew(tmp_path: Path) -> None:
    with CheckpointStore(tmp_path) as store:
        store.save(Snapshot({}, {"x": filled(1, 2)}))
    (tmp_path / "manifest.json").write_text("{")
    with CheckpointStore(tmp_path) as store:
        assert len(pair_files(tmp_path, 8)) == 1  # nobody can tell whether it is a leftover
        with pytest.raises(CheckpointError, match=r"manifest\.json should be"):
            store.load()
        store.save(Snapshot({}, {"x": filled(2, 3)}))
    assert pair_files(tmp_path, 8) == {}
    assert load_snapshot(tmp_path).arrays["x"].tolist() == [2, 2, 2]


def test_errors_say_whose_fault_it_is() -> None:
    assert issubclass(CheckpointError, UsageError)
    assert issubclass(CheckpointWriteError, ImpastoError)
    assert not issubclass(CheckpointWriteError, UsageError)


def test_a_digest_is_of_size_and_pixels() -> None:
    picture = np.arange(36, dtype=np.uint8).reshape(2, 6, 3)
    other = picture.copy()
    other[1, 5, 2] ^= 1
    digests = {picture_digest(p) for p in (picture, other, picture.reshape(6, 2, 3))}
    assert len(digests) == 3
    assert picture_digest(np.asfortranarray(picture)) == picture_digest(picture)
    # Checkpoints keep it: it must not change between versions.
    expected = "42cc7fa83d76bf15c1aecd326040646167fc733049e315a75da95761051a3edc"
    assert picture_digest(picture) == expected


@pytest.mark.parametrize("shape", [(2, 2), (2, 2, 4)])
def test_a_digest_is_of_pictures_only(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(H, W, 3\)"):
        picture_digest(np.zeros(shape, np.uint8))
