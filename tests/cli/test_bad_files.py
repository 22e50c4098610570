"""The corpus of bad files, in every place of the command line where a picture can be given."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bad_pictures import BAD_PICTURES, MAKERS_OF_ODD_ONES

Impasto = Callable[..., Any]

PLACES = {
    "content": ("{bad}", "{at}/painting.png"),
    "style": ("{at}/photo.png", "{bad}"),
    "first image": ("{at}/photo.png", "{at}/painting.png", "--init", "{bad}"),
    "mask": ("{at}/photo.png", "{at}/painting.png", "--mask", "{bad}"),
    "style mask": ("{at}/photo.png", "{at}/painting.png", "--style-mask", "{bad}"),
    "content mask": ("{at}/photo.png", "{at}/painting.png", "--content-mask", "{bad}"),
}


@pytest.mark.parametrize("bad", BAD_PICTURES)
def test_a_bad_file_is_refused_wherever_it_is_given(
    impasto: Impasto, pictures: Path, quick: tuple[str, ...], bad: str
) -> None:
    path = pictures / "bad picture.png"
    BAD_PICTURES[bad](path)
    for place, arguments in PLACES.items():
        if (bad, place) == ("directory", "style"):
            continue  # all pictures in it are meant
        job = (each.format(bad=path, at=pictures) for each in arguments)
        result = impasto("paint", *job, *quick, "-o", pictures / "out.png")
        assert result.code == 2, (place, result.err)
        assert result.out == ""
        (line,) = result.err.splitlines()
        assert line.startswith("impasto: ")
        assert str(path) in line, place
        assert not (pictures / "out.png").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_refused(
    impasto: Impasto, pictures: Path, quick: tuple[str, ...]
) -> None:
    (pictures / "photo.png").chmod(0)
    job = ("paint", pictures / "photo.png", pictures / "painting.png")
    result = impasto(*job, *quick, "-o", pictures / "out.png")
    assert result.code == 2
    assert "no permission" in result.err


@pytest.mark.parametrize("odd", MAKERS_OF_ODD_ONES)
def test_what_is_wrong_and_does_not_matter_is_no_reason_to_refuse(
    impasto: Impasto, pictures: Path, quick: tuple[str, ...], odd: str
) -> None:
    path = pictures / "odd picture.jpg"
    MAKERS_OF_ODD_ONES[odd](path)
    job = ("paint", path, pictures / "painting.png", *quick, "--iterations", "1")
    result = impasto(*job, "-o", pictures / "out.png")
    assert result.code == 0, result.err


def test_a_name_of_two_lines_is_told_in_one(
    impasto: Impasto, pictures: Path, quick: tuple[str, ...]
) -> None:
    path = pictures / "two\nlines\x1b[2J.png"
    path.write_text("no picture")
    result = impasto("paint", path, pictures / "painting.png", *quick, "-o", pictures / "out.png")
    assert result.code == 2
    assert "\x1b" not in result.err
    assert len(result.err.splitlines()) == 1
