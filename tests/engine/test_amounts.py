"""Amounts as people write them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto import Options
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


@given(st.integers(1, 10**6), st.sampled_from("KMGT"), st.sampled_from(["", "B", "iB", "ib", "b"]))
def test_units_are_powers_of_1024_however_they_are_written(
    number: int, unit: str, ending: str
) -> None:
    expected = number * 2 ** (10 * (1 + "KMGT".index(unit)))
    for text in (f"{number}{unit}{ending}", f" {number} {unit.lower()}{ending} "):
        assert bytes_from(text, "--memory") == expected


@given(st.integers(2**20, 2**50))
def test_what_is_told_can_be_asked_for(amount: int) -> None:
    """A budget copied from a message is the one meant, up to the digits shown."""
    again = bytes_from(memory_text(amount), "--memory")
    assert abs(again - amount) <= (0.051 * 2**30 if amount >= 2**30 else 0.51 * 2**20)


def test_options_check_the_memory() -> None:
    assert Options(memory="8G").memory == "8G"
    with pytest.raises(OptionError, match="--memory is 'much'"):
        Options(memory="much")


@pytest.mark.parametrize("text", ["", "0", "-8", "1.5", "half", "²", "٣", "9" * 5000, "131073"])
def test_options_check_the_tile(text: str) -> None:
    assert [Options(tile=each).tile for each in ("auto", "whole", "1")] == ["auto", "whole", "1"]
    with pytest.raises(OptionError, match="--tile is"):
        Options(tile=text)


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
