"""The sizes of a coarse-to-fine run."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto import Options
from impasto.engine.scales import scale_sizes, scales_for
from impasto.errors import OptionError


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [
        ("auto", 256, (256,)),
        ("auto", 512, (512,)),
        ("auto", 513, (257, 513)),
        ("auto", 4096, (512, 1024, 2048, 4096)),
        ("1", 4096, (4096,)),
        ("3", 1000, (250, 500, 1000)),
        ("256,512,1024", 1024, (256, 512, 1024)),
        ("256, 512", 1024, (256, 512, 1024)),
        ("256", 1024, (256, 1024)),
    ],
)
def test_what_scales_mean(text: str, size: int, expected: tuple[int, ...]) -> None:
    assert scale_sizes(text, size) == expected


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 512),
        ("", 512),
        ("many", 512),
        ("-2", 512),
        ("512,256", 512),
        ("256,256,512", 512),
        ("256,1024", 512),
        ("5", 64),
        ("16,64", 64),
        ("1.5", 512),
        ("999999999999", 512),
        ("²", 512),
        ("٣", 512),
        ("9" * 5000, 512),
        ("256,,512", 512),
    ],
)
def test_other_texts_are_refused(text: str, size: int) -> None:
    with pytest.raises(OptionError, match="--scales"):
        scale_sizes(text, size)
    with pytest.raises(OptionError, match="--scales"):
        Options(scales=text, size=size)


@given(st.text("0123456789,², auto-", max_size=12) | st.text(max_size=6), st.integers(16, 5000))
def test_any_text_is_a_list_of_growing_sizes_or_an_option_error(text: str, size: int) -> None:
    with suppress(OptionError):
        sizes = scale_sizes(text, size)
        assert sizes[-1] == size
        assert all(before < after for before, after in pairwise(sizes))
        assert len(sizes) == 1 or sizes[0] >= 32


@given(st.integers(1, 7), st.integers(2048, 131072))
def test_a_number_of_scales_is_that_many_each_half_the_next(count: int, size: int) -> None:
    sizes = scale_sizes(str(count), size)
    assert len(sizes) == count
    assert all(abs(2 * before - after) <= 1.5 for before, after in pairwise(sizes))


def test_iterations_halve_down_to_five() -> None:
    scales = scales_for("32,64,128,256,512", 512, 30)
    assert [scale.iterations for scale in scales] == [30, 15, 8, 5, 5]
    assert [scale.before for scale in scales] == [0, 30, 45, 53, 58]
    assert [scale.iterations for scale in scales_for("32,64", 64, 2)] == [2, 2]


@given(st.integers(16, 131072), st.integers(1, 10**6))
def test_automatic_scales_grow_to_the_size_with_ever_fewer_iterations(
    size: int, iterations: int
) -> None:
    scales = scales_for("auto", size, iterations)
    assert scales[-1].longest_side == size
    assert scales[0].iterations == iterations
    assert len(scales) == 1 or scales[0].longest_side <= 512
    for before, after in pairwise(scales):
        assert after.longest_side in (2 * before.longest_side, 2 * before.longest_side - 1)
        assert min(5, iterations) <= after.iterations <= max(before.iterations, 5)
        assert after.before == before.before + before.iterations
