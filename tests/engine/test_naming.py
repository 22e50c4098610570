"""Names made of file names are plain file names, whatever the files are called."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from impasto.engine.naming import FIELDS, NameTemplate, collisions
from impasto.engine.options import Options
from impasto.errors import OptionError, OutputPathError

OPTIONS = Options(size=384, iterations=80, seed=7)
WAVE, STREET = Path("art/wave.jpg"), Path("art/street.png")


def name(template: str, content: str = "trip/pagoda.JPG", *styles: Path) -> str:
    return NameTemplate(template).name(3, Path(content), styles or (WAVE,), OPTIONS)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{content}.png", "pagoda.png"),
        ("{folder}-{content}.{ext}", "trip-pagoda.jpg"),
        ("{number:03}_{number}_{style}.webp", "003_3_wave.webp"),
        ("{size} px, {iterations} its, {seed:4}.tif", "384 px, 80 its,    7.tif"),
        ("{{{content}}}.PNG", "{pagoda}.PNG"),
    ],
)
def test_fields(template: str, expected: str) -> None:
    assert name(template) == expected


def test_several_styles_are_joined() -> None:
    assert name("{style}.png", "a.jpg", WAVE, STREET) == "wave+street.png"
    assert name("{style}.png", "a.jpg", *[WAVE] * 30) == "wave+29.png"


def test_a_suffix_that_is_not_written_becomes_png() -> None:
    assert name("{content}.{ext}", "a.gif") == "a.png"


@pytest.mark.parametrize(
    "template",
    [
        *("{content.__class__}.png", "{content[0]}.png", "{0}.png", "{}.png", "{content!r}.png"),
        *("{content:>9999999}.png", "{number:999}.png", "{number:{size}}.png", "{other}.png"),
        *("{content", "}.png", "../{content}.png", "a/{content}.png", "a\\{content}.png"),
        *("\n{content}.png", "C:{content}.png", "{content}\0.png"),
    ],
)
def test_a_template_is_no_format_string_nor_a_path(template: str) -> None:
    with pytest.raises(OptionError, match="--name is"):
        NameTemplate(template)


@pytest.mark.parametrize("template", ["{content}", "{content}.xyz", ".png", "{style}.", ""])
def test_a_name_needs_the_suffix_of_an_output(template: str) -> None:
    with pytest.raises(OutputPathError, match=r"does not end in one of \.png"):
        name(template)


def test_a_long_name_is_refused() -> None:
    with pytest.raises(OutputPathError, match="more than 200 bytes"):
        name("{content}.png", "ä" * 99 + ".jpg")


@settings(deadline=None, derandomize=True, max_examples=300)
@given(stem=st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=40))
@example("..")
@example("con")
@example("LPT9.tar")
@example("a:b|c?")
@example("back\\slash")
@example("\x1b[31mred")
@example("\udcff")
@example("\u2028")
def test_any_file_name_gives_a_plain_name(stem: str) -> None:
    made = name("{content}.png", f"{stem}.jpg")
    assert made == Path(made).name
    assert not set(made) & set('/\\:*?"<>|')
    assert not {unicodedata.category(each) for each in made} & {"Cc", "Cs", "Zl", "Zp"}
    assert made not in ("", ".", "..")
    assert made.split(".")[0].strip().lower() not in ("con", "nul", "lpt9", "com1", "aux", "prn")
    assert Path("out", made).resolve().parent == Path("out").resolve()


def test_names_are_compared_as_the_strictest_file_system_does() -> None:
    assert list(collisions(["a.png", "A.png", "b.png"]).values()) == [["a.png", "A.png"]]
    assert list(collisions(["\u00e9.png", "e\u0301.png"]).values()) == [
        ["\u00e9.png", "e\u0301.png"]
    ]
    assert not collisions(["a.png", "a.jpg"])


def test_every_field_is_filled_in() -> None:
    for field in FIELDS:
        assert name(f"x{{{field}}}.png") not in ("x.png", f"x{{{field}}}.png")
