"""What a checkpoint says of its run is checked before it is believed."""

from __future__ import annotations

import contextlib
import copy
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from stopped_runs import SHORT, CopyingStore, stop_after, write_pictures

from impasto import stylize
from impasto.engine.checkpoint import CheckpointStore, Snapshot, load_snapshot
from impasto.engine.preparation import prepare
from impasto.engine.progress import Progress, progress_of, snapshot_of
from impasto.engine.resumption import OLDEST, recorded_in
from impasto.engine.stylize import paint_prepared, resume
from impasto.errors import CheckpointError, UsageError

KINDS = {
    "lbfgs-numpy": SHORT,
    "adam": replace(SHORT, optimizer="adam"),
    "lbfgs": replace(SHORT, optimizer="lbfgs"),
    "tiled": replace(SHORT, tile="16"),
}
MOMENTS = (0, 3, 5, 6, 8)
"""Number of the save; 6 is the one between the scales."""


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMPASTO_CACHE", str(tmp_path_factory.getbasetemp() / "impasto-cache"))
        patch.setattr("impasto.engine.autosave.INTERVAL", 0.0)
        yield


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Checkpoints of runs of every kind, stopped at several moments."""
    folder = tmp_path_factory.mktemp("stopped")
    photo, painting = write_pictures(folder)
    first = folder / "first.png"
    shutil.copy(painting, first)
    found: dict[str, Path] = {}
    for name, options in KINDS.items():
        prepared = prepare(photo, [painting], replace(options, init=str(first)))
        with CopyingStore(folder / "checkpoint", folder / name) as store:
            paint_prepared(prepared, store=store, note={"output": "painted.png"})
            store.finish()
        found |= {f"{name} {moment}": folder / name / str(moment) for moment in MOMENTS}
    return found


@pytest.fixture
def checkpoint(stopped: Mapping[str, Path], tmp_path: Path) -> Path:
    """A checkpoint to spoil, with pictures of its own."""
    photo, painting = write_pictures(tmp_path)
    first = tmp_path / "first.png"
    shutil.copy(painting, first)
    options = replace(SHORT, init=str(first))
    directory = tmp_path / "checkpoint"
    stylize(photo, [painting], options, callback=stop_after(3), checkpoint=directory)
    return directory


def test_a_checkpoint_as_it_was_written_is_read(stopped: Mapping[str, Path]) -> None:
    recorded = recorded_in(load_snapshot(stopped["adam 8"]))
    assert recorded.options == replace(KINDS["adam"], init=recorded.options.init)
    assert recorded.note == {"output": "painted.png"}
    assert recorded.candidate == {
        "backend": "onnxruntime",
        "precision": "f32",
        "lowering": recorded.candidate["lowering"],
    }
    assert recorded.iterations == 10
    assert Path(recorded.content or "").is_absolute()


def test_progress_is_told_exactly(stopped: Mapping[str, Path]) -> None:
    snapshot = load_snapshot(stopped["lbfgs-numpy 8"])
    progress = progress_of(snapshot, [(24, 32), (48, 64)])
    again = snapshot_of({}, progress)
    assert again.header["progress"] == snapshot.header["progress"]
    assert again.arrays.keys() == snapshot.arrays.keys()
    assert again.pairs.keys() == snapshot.pairs.keys()
    assert len(again.pairs) > 0


def test_an_average_is_told_with_what_is_in_it(stopped: Mapping[str, Path]) -> None:
    sizes = [(24, 32), (48, 64)]
    progress = progress_of(load_snapshot(stopped["lbfgs-numpy 8"]), sizes)
    averaged = replace(progress, average=progress.best, averaged=3)
    snapshot = snapshot_of({}, averaged)
    again = progress_of(snapshot, sizes)
    assert again.averaged == 3
    np.testing.assert_array_equal(again.average, progress.best)
    for changes in ({"averaged": 0}, {"averaged": -3}, {"averaged": 3.0}, {"averaged": None}):
        header = {"progress": {**snapshot.header["progress"], **changes}}
        with pytest.raises(CheckpointError, match="'averaged'"):
            progress_of(replace(snapshot, header=header), sizes)
    without = {name: value for name, value in snapshot.arrays.items() if name != "average"}
    with pytest.raises(CheckpointError, match="'averaged'"):
        progress_of(replace(snapshot, arrays=without), sizes)
    small = {**snapshot.arrays, "average": np.zeros((1, 3, 24, 32), np.float32)}
    with pytest.raises(CheckpointError, match="image is of shape"):
        progress_of(replace(snapshot, arrays=small), sizes)


def test_a_run_that_has_not_begun_has_no_arrays() -> None:
    snapshot = snapshot_of({}, Progress())
    assert not snapshot.arrays
    assert progress_of(snapshot, [(48, 64)]) == Progress()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("photo.png", "The content picture .*photo.png has changed"),
        ("painting.png", "The style picture .*painting.png has changed"),
        ("first.png", "The init picture has changed"),
    ],
)
def test_a_picture_that_changed_is_named(checkpoint: Path, name: str, message: str) -> None:
    path = checkpoint.with_name(name)
    pixels = np.array(Image.open(path))
    pixels[:24] //= 2
    Image.fromarray(pixels).save(path)
    with pytest.raises(CheckpointError, match=message):
        resume(checkpoint)


def test_a_picture_saved_again_without_loss_is_the_same(checkpoint: Path) -> None:
    path = checkpoint.with_name("photo.png")
    with Image.open(path) as picture:
        picture.save(path, compress_level=1)
    assert resume(checkpoint).iterations == 10


def test_a_picture_that_is_gone_is_named(checkpoint: Path) -> None:
    checkpoint.with_name("painting.png").unlink()
    with pytest.raises(UsageError, match="painting"):
        resume(checkpoint)


def test_there_is_no_such_directory(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(CheckpointError, match="There is no checkpoint in"):
        resume(missing)
    assert not missing.exists()


def test_a_directory_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("Dear diary")
    with pytest.raises(CheckpointError, match="There is no checkpoint in"):
        resume(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["diary.txt"]


def test_a_run_that_is_going_on_is_left_alone(checkpoint: Path) -> None:
    with (
        CheckpointStore(checkpoint, create=False),
        pytest.raises(CheckpointError, match="in use by another run"),
    ):
        resume(checkpoint)


def test_another_version_of_the_format_is_refused(checkpoint: Path) -> None:
    manifest = checkpoint / "manifest.json"
    told = json.loads(manifest.read_text())
    told["version"] = 2
    manifest.write_text(json.dumps(told))
    with pytest.raises(CheckpointError, match="format version 2"):
        resume(checkpoint)


@pytest.mark.parametrize("run", [0, 2, "1", None, [1]])
def test_another_version_of_the_run_is_refused(checkpoint: Path, run: object) -> None:
    _rewrite(checkpoint, lambda header: header | {"run": run})
    with pytest.raises(CheckpointError, match="run is of version"):
        resume(checkpoint)


@pytest.mark.parametrize("change", [{"brush_size": 3}, {"history": None}])
def test_options_of_another_version_are_refused(
    checkpoint: Path, change: Mapping[str, int | None]
) -> None:
    def changed(header: dict[str, Any]) -> dict[str, Any]:
        options = {**header["options"], **change}
        kept = {name: value for name, value in options.items() if value is not None}
        return header | {"options": {**kept, "weights": None}}

    _rewrite(checkpoint, changed)
    with pytest.raises(CheckpointError, match=f"differ in {next(iter(change))}"):
        resume(checkpoint)


@pytest.mark.parametrize(("old", "color"), [(True, "content-luma"), (False, "style")])
def test_options_of_an_older_version_are_read(checkpoint: Path, old: bool, color: str) -> None:
    def aged(header: dict[str, Any]) -> dict[str, Any]:
        options = {k: v for k, v in header["options"].items() if k in OLDEST and k != "color"}
        return header | {"options": {**options, "original_colors": old}}

    before = recorded_in(load_snapshot(checkpoint)).options
    _rewrite(checkpoint, aged)
    found = recorded_in(load_snapshot(checkpoint)).options
    assert found == replace(before, color=color)  # type: ignore[arg-type]
    assert resume(checkpoint).options.color == color


def test_options_out_of_range_are_damage(checkpoint: Path) -> None:
    _rewrite(checkpoint, lambda header: header | {"options": {**header["options"], "size": 1}})
    with pytest.raises(CheckpointError, match="options are damaged: --size is 1"):
        resume(checkpoint)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", 10**400),
        ("content_weight", -(10**400)),
        ("content_layers", [{}]),
        ("style_layers", [1]),
        ("style_blend_weights", ["1"]),
        ("style_blend_weights", [10**400, None]),
    ],
)
def test_odd_values_of_options_are_damage(checkpoint: Path, name: str, value: object) -> None:
    _rewrite(checkpoint, lambda header: header | {"options": {**header["options"], name: value}})
    flag = "--" + name.replace("_", "-")
    with pytest.raises(CheckpointError, match=f"options are damaged: {flag}"):
        resume(checkpoint)


@pytest.mark.parametrize(
    "change", [{"seconds": 10**400}, {"loss": -(10**400)}, {"losses": {"tv_loss": 10**400}}]
)
def test_numbers_no_float_can_hold_are_damage(checkpoint: Path, change: dict[str, object]) -> None:
    _rewrite(checkpoint, lambda header: header | {"progress": {**header["progress"], **change}})
    with pytest.raises(CheckpointError, match="'progress' is not what it should be"):
        resume(checkpoint)


def _rewrite(checkpoint: Path, change: Any) -> None:
    """Change the header, and keep the rest and every checksum right."""
    with CheckpointStore(checkpoint, create=False) as store:
        snapshot = store.load()
        header = change(copy.deepcopy(dict(snapshot.header)))
        store.save(replace(snapshot, header=header))


# -- made-up headers -----------------------------------------------------------------------------

WORDS = (
    *("", "auto", "whole", "off", "1", "16", "3", "32,48", "99999999", "content", "noise"),
    *("adam", "lbfgs", "lbfgs-numpy", "cuda", "onnxruntime", "f32", "bf16", "relu1_1", "nothing"),
    *("/", "..", "\0", "\ud800", "a" * 300, "-1", "1e400", "²"),
)
NUMBERS = (-1, 0, 1, 2, 5, 100, 2**31, 2**63, 10**30, 10**400, -(10**400), 0.5, -0.0, 1e300)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.sampled_from(NUMBERS), st.sampled_from(WORDS), st.text(max_size=3)
)
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.dictionaries(st.sampled_from(WORDS), SCALARS, max_size=2),
    st.lists(st.dictionaries(st.sampled_from(WORDS), SCALARS, max_size=1), max_size=2),
)


def _places(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything inside a JSON value."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        yield (*path, key)
        yield from _places(inner, (*path, key))


@st.composite
def made_up(draw: st.DrawFn, header: Mapping[str, Any]) -> dict[str, Any]:
    """Return a header with one or two changes."""
    changed = copy.deepcopy(dict(header))
    for _ in range(draw(st.integers(1, 2))):
        # By the top key first: otherwise nearly all changes fall into the many options.
        places = list(_places(changed))
        top = draw(st.sampled_from(sorted({place[0] for place in places})))
        *way, last = draw(st.sampled_from([place for place in places if place[0] == top]))
        group: Any = changed
        for key in way:
            group = group[key]
        if draw(st.integers(0, 9)) == 9:
            del group[last]
        else:
            group[last] = draw(VALUES)
    return changed


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_a_made_up_header_is_refused_or_works(
    stopped: Mapping[str, Path], data: st.DataObject
) -> None:
    snapshot = load_snapshot(stopped[data.draw(st.sampled_from(sorted(stopped)))])
    header = data.draw(made_up(snapshot.header))
    with tempfile.TemporaryDirectory() as folder:
        with CheckpointStore(Path(folder) / "checkpoint") as store:
            store.save(Snapshot(header, dict(snapshot.arrays), dict(snapshot.pairs)))
        with contextlib.suppress(UsageError):
            # A made-up number of iterations may be a large one.
            result = resume(Path(folder) / "checkpoint", callback=lambda _: False)
            assert result.image.shape == (48, 64, 3)
