"""The size of a texture: what is read of it, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.engine.canvas import LEAST_SIDE, Canvas, canvas_of, parsed_size
from impasto.engine.options import MAX_SIZE
from impasto.errors import OptionError


@pytest.mark.parametrize(
    ("text", "size"),
    [("512", (512, 512)), ("768x512", (768, 512)), ("16X99", (16, 99)), (" 20x30 ", (20, 30))],
)
def test_sizes_are_width_times_height(text: str, size: tuple[int, int]) -> None:
    assert parsed_size(text) == size
    width, height = size
    assert canvas_of(size) == Canvas(height, width)


NO_SIZES = (
    *("", "x", "5x", "x5", "-5x5", "5x-5", "1e9", "3x3x3", "5,5", "5 x 5", "nan", "٣x٣"),
    *("9" * 9, "1" * 100_000),
)


@pytest.mark.parametrize("text", NO_SIZES, ids=range(len(NO_SIZES)))
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match=r"^--size is .*it takes WIDTHxHEIGHT") as refused:
        parsed_size(text)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("size", [(0, 0), (15, 512), (512, 15), (MAX_SIZE + 1, 16), (-5, 5)])
def test_sides_out_of_range_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(OptionError, match=f"{LEAST_SIDE} to {MAX_SIZE}"):
        canvas_of(size)


@pytest.mark.parametrize(
    "size", ["64", 64.0, (64,), (64, 64, 64), (64, "64"), True, None, (1.5, 2)]
)
def test_sizes_of_another_type_are_refused(size: Any) -> None:
    with pytest.raises(OptionError, match="it takes"):
        canvas_of(size)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(text=st.text("0123456789xX-. e\n", max_size=12))
def test_any_text_is_a_size_or_a_refusal(text: str) -> None:
    try:
        width, height = parsed_size(text)
    except OptionError:
        return
    assert width >= 0
    assert height >= 0


@settings(deadline=None, derandomize=True)
@given(
    told=st.dictionaries(
        st.sampled_from(["width", "height", "depth"]),
        st.one_of(st.integers(), st.text(max_size=3), st.none(), st.booleans(), st.floats()),
    )
)
def test_a_canvas_of_a_file_is_one_or_refused(told: dict[str, Any]) -> None:
    try:
        canvas = Canvas.from_dict(told)
    except (ValueError, OptionError):
        return
    assert canvas.to_dict() == told
