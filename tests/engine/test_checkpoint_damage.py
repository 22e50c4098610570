"""Damaged, changed and made-up checkpoints: exactly what was saved, or a CheckpointError."""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.engine.checkpoint import CheckpointStore, Snapshot, load_snapshot
from impasto.errors import CheckpointError

HEADER = {"iteration": 12, "loss": 1.5e-7, "inputs": [{"name": "cat.jpg", "sha256": "0f"}]}
X = np.linspace(0, 255, 120, dtype=np.float32).reshape(3, 5, 8)
PAIR = np.arange(7, dtype=np.float32)
WHOLE = (HEADER, {"x": (X.shape, X.tobytes())}, {"s0": (PAIR.shape, PAIR.tobytes())})

Edit = Callable[[dict[str, Any]], object]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    with CheckpointStore(tmp_path / "checkpoint") as store:
        store.save(Snapshot(HEADER, {"x": X}, {"s0": PAIR}))
    return tmp_path / "checkpoint"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("saved")
    with CheckpointStore(directory) as store:
        store.save(Snapshot(HEADER, {"x": X}, {"s0": PAIR}))
    return directory


def contents(snapshot: Snapshot) -> tuple[object, object, object]:
    arrays, pairs = (
        {name: (array.shape, array.tobytes()) for name, array in group.items()}
        for group in (snapshot.arrays, snapshot.pairs)
    )
    return snapshot.header, arrays, pairs


def array_file(checkpoint: Path) -> Path:
    return next(path for path in checkpoint.glob("*.f32") if path.stat().st_size == X.nbytes)


def write_manifest(checkpoint: Path, whole: dict[str, Any]) -> None:
    """Write a manifest with a right checksum, whatever it says."""
    content = json.dumps(whole["content"], separators=(",", ":")).encode()
    text = json.dumps({**whole, "crc32": zlib.crc32(content)})
    (checkpoint / "manifest.json").write_text(text)


def edit_manifest(checkpoint: Path, edit: Edit) -> None:
    whole = json.loads((checkpoint / "manifest.json").read_text())
    edit(whole)
    write_manifest(checkpoint, whole)


def x_of(whole: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = whole["content"]["arrays"]["x"]
    return found


@settings(deadline=None, derandomize=True, max_examples=400)
@given(st.data())
def test_damage_is_found_or_harmless(
    saved: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("damaged") / "checkpoint"
    shutil.copytree(saved, directory)
    names = sorted(path.name for path in directory.iterdir())
    path = directory / data.draw(st.sampled_from(names), "file")
    before = path.read_bytes()
    begin = data.draw(st.integers(0, len(before)), "begin")
    end = data.draw(st.integers(begin, min(len(before), begin + 8)), "end")
    new = data.draw(st.binary(max_size=8) | st.just(b"\0" * (end - begin)), "new")
    after = before[:begin] + new + before[end:]
    path.write_bytes(data.draw(st.sampled_from([after, before[:begin]]), "after"))
    try:
        snapshot = load_snapshot(directory)
    except CheckpointError as found:
        error = str(found)
    else:
        assert contents(snapshot) == WHOLE
        return
    assert str(path) in error


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.data())
def test_a_digit_changed_in_the_manifest_is_found(
    saved: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("changed") / "checkpoint"
    shutil.copytree(saved, directory)
    path = directory / "manifest.json"
    text = path.read_text()
    place = data.draw(st.sampled_from([i for i, c in enumerate(text) if c.isdigit()]))
    digit = data.draw(st.sampled_from([d for d in "0123456789" if d != text[place]]))
    path.write_text(text[:place] + digit + text[place + 1 :])
    with pytest.raises(CheckpointError):
        load_snapshot(directory)


def test_an_edited_manifest_with_the_right_checksum_is_read(checkpoint: Path) -> None:
    edit_manifest(checkpoint, lambda whole: whole["content"]["header"].update(iteration=13))
    assert load_snapshot(checkpoint).header == {**HEADER, "iteration": 13}


def test_a_missing_file_is_named(checkpoint: Path) -> None:
    path = array_file(checkpoint)
    path.unlink()
    with pytest.raises(CheckpointError, match=f"{path.name} should be there, and is missing"):
        load_snapshot(checkpoint)


def test_a_truncated_file_is_named_with_both_sizes(checkpoint: Path) -> None:
    path = array_file(checkpoint)
    os.truncate(path, 100)
    with pytest.raises(CheckpointError, match=f"{path.name} should be of 480 bytes, and is of 100"):
        load_snapshot(checkpoint)


def test_a_changed_file_is_named_with_both_checksums(checkpoint: Path) -> None:
    path = array_file(checkpoint)
    changed = bytearray(path.read_bytes())
    changed[77] ^= 1
    path.write_bytes(changed)
    found, expected = zlib.crc32(changed), zlib.crc32(X.tobytes())
    message = f"{path.name} should be of CRC-32 {expected:08x}, and is of {found:08x}"
    with pytest.raises(CheckpointError, match=message):
        load_snapshot(checkpoint)


def test_a_file_truncated_after_loading_is_noticed(checkpoint: Path) -> None:
    snapshot = load_snapshot(checkpoint)
    os.truncate(array_file(checkpoint), 100)
    with pytest.raises(CheckpointError, match="of 480 bytes, and is of 100"):
        snapshot.arrays["x"]


@pytest.mark.parametrize("name", ["array", "manifest.json"])
@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
def test_what_is_no_regular_file_is_not_opened(checkpoint: Path, name: str, kind: str) -> None:
    path = array_file(checkpoint) if name == "array" else checkpoint / name
    # A link to the very same bytes: it is the link that is refused.
    path.rename(checkpoint.parent / "elsewhere")
    match kind:
        case "link":
            path.symlink_to(checkpoint.parent / "elsewhere")
        case "fifo":
            os.mkfifo(path)
        case _:
            path.mkdir()
    with pytest.raises(CheckpointError, match=f"{path.name} should be a regular file"):
        load_snapshot(checkpoint)


def test_a_lock_that_is_a_link_is_not_followed(checkpoint: Path) -> None:
    lock = next(checkpoint.glob("*.lock"))
    lock.unlink()
    lock.symlink_to(checkpoint.parent / "victim")
    with pytest.raises(CheckpointError, match="cannot be locked"):
        CheckpointStore(checkpoint)
    assert not (checkpoint.parent / "victim").exists()


def test_leftovers_that_are_links_are_removed_not_followed(checkpoint: Path) -> None:
    victim = checkpoint.parent / "victim"
    victim.write_text("precious")
    for name in ("manifest.json.tmp", "0123456789abcdef.f32"):
        (checkpoint / name).symlink_to(victim)
    with CheckpointStore(checkpoint) as store:
        (checkpoint / "manifest.json.tmp").symlink_to(victim)
        store.save(Snapshot({}))
    assert victim.read_text() == "precious"
    assert not any(path.is_symlink() for path in checkpoint.iterdir())


@pytest.mark.parametrize(
    "name",
    [
        "../outside.f32",
        "/etc/passwd",
        "C:\\outside.f32",
        "sub/0123456789abcdef.f32",
        "manifest.json",
        "0123456789abcdef.f32\n",
        "0123456789ABCDEF.f32",
        "\u0660123456789abcdef.f32",
        "\ud800",
        "",
        None,
        7,
    ],
)
def test_a_manifest_names_no_files_but_the_stores(checkpoint: Path, name: object) -> None:
    (checkpoint.parent / "outside.f32").write_bytes(X.tobytes())
    edit_manifest(checkpoint, lambda whole: x_of(whole).update(file=name))
    with pytest.raises(CheckpointError, match="names a file") as caught:
        load_snapshot(checkpoint)
    str(caught.value).encode()


@pytest.mark.parametrize(
    "shape",
    [
        [2**62],
        [2**40, 2**40, 0],
        [10**4000],
        [-120],
        [-3, -5, 8],
        [1] * 33,
        [120.0],
        [True, 120],
        ["120"],
        [[120]],
        120,
        None,
        {},
    ],
    ids=lambda shape: f"{shape!r:.20}",
)
def test_hostile_shapes_are_refused_before_anything_is_read(
    checkpoint: Path, shape: object
) -> None:
    edit_manifest(checkpoint, lambda whole: x_of(whole).update(shape=shape))
    with pytest.raises(CheckpointError, match="a shape"):
        load_snapshot(checkpoint)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda whole: x_of(whole).update(shape=[121]), "480 bytes for shape"),
        (lambda whole: x_of(whole).update(shape=[121], bytes=484), "of 484 bytes, and is of 480"),
        (lambda whole: x_of(whole).update(shape=[2**50], bytes=2**52), f"of {2**52} bytes"),
        (lambda whole: x_of(whole).update(bytes=480.0), "not a whole number"),
        (lambda whole: x_of(whole).update(crc32=True), "not a whole number"),
        (lambda whole: x_of(whole).update(crc32=-1), "not a whole number"),
        (lambda whole: x_of(whole).update(dtype="O"), "arrays of 'O'"),
        (lambda whole: x_of(whole).update(extra=1), "the keys"),
        (lambda whole: x_of(whole).pop("bytes"), "the keys"),
        (lambda whole: whole.update({"\ud800": 0}), "the keys"),
        (lambda whole: whole["content"].update(code="import os"), "the keys"),
        (lambda whole: whole["content"].update(header=[]), "'header' is no object"),
        (lambda whole: whole["content"].update(pairs=None), "'pairs' is no object"),
        (lambda whole: whole["content"].update(arrays={"x": []}), "'x' is no object"),
        (lambda whole: whole["content"]["arrays"].update(y=x_of(whole)), "a file twice"),
        (lambda whole: whole["content"]["pairs"].update(y=x_of(whole)), "a file twice"),
        (lambda whole: whole["content"]["arrays"].update({"n" * 201: x_of(whole)}), "201 char"),
        (lambda whole: whole["content"]["header"].update(a=float("nan")), "Out of range float"),
        (lambda whole: whole["content"]["header"].update(a=-float("inf")), "Out of range float"),
        (
            lambda whole: whole["content"]["header"].update(a="x" * 2**26),
            f"more than {2**25 + 2**20}",
        ),
        (lambda whole: whole.update(format="something else"), "not of the format"),
        (lambda whole: whole.update(version="1"), "of version '1'"),
        (lambda whole: whole.update(version=True), "of version True"),
        (lambda whole: whole.pop("version"), "of version None"),
    ],
)
def test_manifests_are_refused_for_what_is_wrong(
    checkpoint: Path, edit: Edit, message: str
) -> None:
    edit_manifest(checkpoint, edit)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_snapshot(checkpoint)
    str(caught.value).encode()
    assert str(checkpoint) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "0" * 5000,
        "9" * 5000,
        "[" * 10**5,
        '{"a":' * 10**5,
        '{"format":"impasto checkpoint","version":1,"version":1,"crc32":0,"content":{}}',
        '{"format":"impasto checkpoint","version":1,"crc32":0,"content":{"header":1e999}}',
        '{"format":"impasto checkpoint","version":1,"crc32":0,"content":' + "[" * 900 + "]" * 900,
    ],
    ids=lambda text: f"{text:.60}",
)
def test_what_is_no_manifest_is_refused(checkpoint: Path, text: str) -> None:
    (checkpoint / "manifest.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"manifest\.json should be the manifest that was"):
        load_snapshot(checkpoint)


def test_bytes_that_are_no_text_are_no_manifest(checkpoint: Path) -> None:
    (checkpoint / "manifest.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(CheckpointError, match=r"manifest\.json should be"):
        load_snapshot(checkpoint)


@pytest.mark.parametrize("version", [0, 2, -1, 10**4000], ids=lambda version: f"{version!s:.5}")
def test_another_version_is_told_with_ours(checkpoint: Path, version: int) -> None:
    # Whatever else such a manifest may have in it.
    text = f'{{"format":"impasto checkpoint","version":{version},"unknown":[]}}'
    (checkpoint / "manifest.json").write_text(text)
    with pytest.raises(
        CheckpointError, match=rf"version {str(version)[:20]}, and .* version 1\."
    ) as caught:
        load_snapshot(checkpoint)
    assert str(checkpoint) in str(caught.value)
