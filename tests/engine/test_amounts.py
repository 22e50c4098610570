"""Amounts as people write them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.engine.amounts import bytes_from, duration_text, memory_text
from impasto.errors import OptionError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8G", 8 * 2**30),
        ("8g", 8 * 2**30),
        ("1.5GiB", 3 * 2**29),
        ("900M", 900 * 2**20),
        ("900 MB", 900 * 2**20),
        ("2T", 2 * 2**40),
        ("4096", 4096),
        ("64kb", 64 * 1024),
    ],
)
def test_amounts_of_memory(text: str, expected: int) -> None:
    assert bytes_from(text, "--memory") == expected


@pytest.mark.parametrize(
    "text", ["", "G", "-1G", "0", "0G", "8X", "8GG", "1e9", "nan", "inf", "8 G B", "٣G"]
)
def test_other_texts_are_refused_with_examples(text: str) -> None:
    with pytest.raises(OptionError, match=r"--memory is .*8G"):
        bytes_from(text, "--memory")


@given(st.text(max_size=40))
def test_any_text_is_an_amount_or_an_option_error(text: str) -> None:
    with suppress(OptionError):
        assert bytes_from(text, "--memory") >= 0


@pytest.mark.parametrize(
    ("amount", "expected"), [(850 * 2**20, "850 MB"), (2**30, "1.0 GB"), (5.94 * 2**30, "5.9 GB")]
)
def test_memory_for_a_person(amount: float, expected: str) -> None:
    assert memory_text(amount) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"), [(41.2, "41 s"), (99, "99 s"), (720, "12 min"), (12600, "3.5 h")]
)
def test_durations_for_a_person(seconds: float, expected: str) -> None:
    assert duration_text(seconds) == expected
