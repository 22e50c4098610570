"""Files, directories and patterns stand for the pictures one would expect."""

from __future__ import annotations

from pathlib import Path

import pytest

from impasto.engine.listing import is_many, is_pattern, pictures_named
from impasto.errors import ImageFileError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        *("b.jpg", "a.png", ".hidden.png", "notes.txt", "trip [2]/c.JPG", "trip [2]/odd*.png"),
        *("trip [2]/deep/d.webp", ".secret/e.png", "painted/a.png", "painted/b.png", "empty/x.raw"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def named(*given: str, leave_out: str | None = None) -> list[str]:
    return [path.as_posix() for path in pictures_named(given, leave_out)]


def test_a_directory_stands_for_the_pictures_right_in_it(folder: Path) -> None:
    assert named(".") == ["a.png", "b.jpg"]
    assert named("trip [2]") == ["trip [2]/c.JPG", "trip [2]/odd*.png"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*", ["a.png", "b.jpg"]),
        ("*.jpg", ["b.jpg"]),
        ("./[ab].*", ["a.png", "b.jpg"]),
        ("trip [2]/*", ["trip [2]/c.JPG", "trip [2]/odd*.png"]),
        ("trip [2]/**/*", ["trip [2]/c.JPG", "trip [2]/deep/d.webp", "trip [2]/odd*.png"]),
        ("**/*.png", ["a.png", "painted/a.png", "painted/b.png", "trip [2]/odd*.png"]),
        ("*/?.png", ["painted/a.png", "painted/b.png"]),
    ],
)
def test_patterns(folder: Path, pattern: str, found: list[str]) -> None:
    assert is_pattern(pattern)
    assert named(pattern) == found
    assert named(str(folder / pattern)) == [(folder / each).as_posix() for each in found]


def test_a_name_there_is_is_no_pattern(folder: Path) -> None:
    assert not is_pattern("trip [2]/odd*.png")
    assert named("trip [2]/odd*.png") == ["trip [2]/odd*.png"]
    assert is_many("trip [2]")
    assert not is_many("a.png")


def test_each_picture_counts_once_in_the_order_given(folder: Path) -> None:
    (folder / "link.png").symlink_to("a.png")
    assert named("b.jpg", "*.png", "./a.png", ".") == ["b.jpg", "a.png"]


def test_what_was_painted_before_is_not_painted_again(folder: Path) -> None:
    assert "painted/a.png" in named("**/*.png")
    assert named("**/*.png", leave_out="painted") == ["a.png", "trip [2]/odd*.png"]
    # Looked for on purpose, or painted into the very directory that is searched.
    assert named("painted/*.png", leave_out="painted") == ["painted/a.png", "painted/b.png"]
    assert named("*.png", leave_out=".") == ["a.png"]
    assert named("painted", leave_out="painted") == ["painted/a.png", "painted/b.png"]


def test_links_to_directories_are_not_followed_at_any_depth(folder: Path) -> None:
    (folder / "trip [2]" / "back").symlink_to(folder, target_is_directory=True)
    assert len(named("trip [2]/**/*")) == 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("missing.png", "no such file"),
        ("empty", "no picture in this directory"),
        ("empty/*", "no picture matches.*1 other files"),
        ("missing/*.png", "no picture matches"),
        ("**.png", "no p(icture|attern)"),
        ("a\0*.png", "no p(icture|attern)"),
    ],
)
def test_nothing_found_is_an_error(folder: Path, given: str, message: str) -> None:
    with pytest.raises(ImageFileError, match=message):
        pictures_named([given])
