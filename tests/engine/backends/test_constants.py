"""Constants in the pages of a file: the same numbers, and out of memory when nobody reads them."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper, numpy_helper

from impasto.engine.backends import open_backend
from impasto.engine.backends.constants import PagedArrays, PagedConstants
from impasto.engine.machine import rss_bytes
from impasto.errors import OptionError
from impasto.export.light import LightModel

MIB = 2**20

arrays = hnp.arrays(
    st.sampled_from([np.float32, np.float64, np.int64]),
    hnp.array_shapes(min_dims=0, max_dims=4, max_side=9),
    elements=st.integers(-100, 100),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_arrays=st.lists(arrays, min_size=1, max_size=5))
def test_arrays_are_the_same_before_and_after_they_leave_memory(
    tmp_path: Path, given_arrays: list[np.ndarray]
) -> None:
    constants = {f"constant{number}": value for number, value in enumerate(given_arrays)}
    paged = PagedConstants(constants, tmp_path)
    for _ in range(2):
        assert list(paged.arrays) == list(constants)
        for name, value in constants.items():
            held = paged.arrays[name]
            assert (held.dtype, held.shape) == (value.dtype, value.shape)
            np.testing.assert_array_equal(held, value)
            assert held.ctypes.data % 64 == 0
        paged.release()
    assert not list(tmp_path.iterdir())  # the file has no name


def test_released_constants_leave_resident_memory(tmp_path: Path) -> None:
    constants = {"large": np.ones(64 * MIB // 4, np.float32)}
    paged = PagedConstants(constants, tmp_path)
    assert paged.arrays["large"].sum() == 64 * MIB // 4  # all of it is read
    before = rss_bytes()
    paged.release()
    after = rss_bytes()
    assert before is not None
    assert after is not None
    assert before - after > 48 * MIB


def test_no_constants_need_no_file() -> None:
    assert PagedConstants.of({}) is None


def test_a_directory_that_cannot_be_made_keeps_them_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "file" / "cache"))
    constants = {"one": np.ones(3, np.float32)}
    with pytest.raises(OptionError, match="cannot be made"):
        PagedConstants(constants)
    with caplog.at_level(logging.INFO):
        assert PagedConstants.of(constants) is None
    assert "stay in memory" in caplog.text


def test_paged_arrays_are_copies_made_when_they_are_asked_for(tmp_path: Path) -> None:
    constants = {"a": np.arange(5.0), "b": np.ones((2, 3), np.float32)}
    mapping = PagedArrays(PagedConstants(constants, tmp_path))
    assert dict(mapping).keys() == constants.keys()
    assert len(mapping) == 2
    first = mapping["a"]
    first += 1
    np.testing.assert_array_equal(mapping["a"], constants["a"])
    with pytest.raises(KeyError):
        mapping["c"]


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_graph_computes_the_same_with_its_constants_apart(name: str) -> None:
    weight = np.random.default_rng(3).normal(size=(64, 64, 3, 3)).astype(np.float32)
    shape = (1, 64, 20, 24)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])],
        "convolution",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(weight, "w")],
    )
    opset = [helper.make_opsetid("", 20)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opset, ir_version=10)
    light = LightModel.of(model)
    assert set(light.constants) == {"w"}
    image = np.random.default_rng(4).normal(size=shape).astype(np.float32)
    backend = open_backend(name, "f32", 1)
    whole, apart = (backend.compile(each).run({"x": image})["y"].copy() for each in (model, light))
    np.testing.assert_array_equal(apart, whole)
