"""``impasto plan`` tells what a run would take, and computes none of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from encoded_pictures import png
from PIL import Image

Impasto = Callable[..., Any]

KEYS = {"budget_bytes", "peak_bytes", "iterations", "seconds", "largest_size", "execution"}


@pytest.fixture
def asked(pictures: Path) -> tuple[str, ...]:
    return ("plan", str(pictures / "photo.png"), str(pictures / "painting.png"))


def test_a_table_and_two_sentences(impasto: Impasto, asked: tuple[str, ...]) -> None:
    result = impasto(*asked, "--size", "1024", "--memory", "6G", "--backend", "onnxruntime")
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[0].split()[:2] == ["size", "iterations"]
    assert lines[1].split()[1] == "200"
    assert lines[2].split()[1] == "100"
    assert "Budget: 6.0 GB. The largest --size that fits is " in result.out
    assert lines[-1].endswith("with onnxruntime f32.")


def test_json_has_the_same_numbers(impasto: Impasto, asked: tuple[str, ...]) -> None:
    result = impasto(
        *asked,
        "--size",
        "256",
        "--tile",
        "32",
        "--memory",
        "6G",
        "--backend",
        "onnxruntime",
        "--json",
    )
    report = json.loads(result.out)
    assert set(report) > KEYS
    assert report["budget_bytes"] == 6 * 2**30
    assert 2**28 < report["peak_bytes"] < 2**31
    assert report["execution"]["mode"] == "tiled"
    assert report["execution"]["part_size"] == 32
    assert report["execution"]["parts"] > 5
    (scale,) = report["scales"]
    assert scale["size"][0] == 256
    memory = scale["memory_bytes"]
    assert memory["peak"] == memory["base"] + max(
        memory["targets"], memory["gradient"] + memory["optimizer"]
    )
    assert set(scale["seconds"]) == {"targets", "gradient", "optimizer"}
    assert min(scale["seconds"].values()) >= 0
    assert report["seconds"] == pytest.approx(sum(scale["seconds"].values()), abs=0.2)


def test_what_does_not_fit_is_an_error_with_the_largest_size(
    impasto: Impasto, asked: tuple[str, ...]
) -> None:
    result = impasto(*asked, "--size", "8192", "--memory", "4G", "--backend", "onnxruntime")
    assert result.code == 2
    assert result.out == ""
    assert "The largest --size that fits is" in result.err
    assert "--memory 4G" in result.err


def test_no_pixel_is_read(impasto: Impasto, asked: tuple[str, ...], tmp_path: Path) -> None:
    """A picture that is cut off after its head has a size, and that is all the plan needs."""
    whole = tmp_path / "whole.png"
    Image.new("1", (9000, 6000)).save(whole)
    head = tmp_path / "head.png"
    head.write_bytes(whole.read_bytes()[:200])
    result = impasto("plan", head, asked[2], "--size", "300", "--backend", "onnxruntime")
    assert result.code == 0
    assert "300x200" in result.out


def test_huge_pictures_are_planned_in_a_moment(
    impasto: Impasto, asked: tuple[str, ...], tmp_path: Path
) -> None:
    huge = tmp_path / "huge.png"
    huge.write_bytes(png(20000, 20000, depth=1, colour_type=0, rows=b""))
    flags = ("--size", "256", "--backend", "onnxruntime", "--json")
    refused = impasto("plan", huge, asked[2], *flags)
    assert refused.code != 0
    assert "20000x20000" in refused.err
    planned = impasto("plan", huge, asked[2], *flags, "--max-pixels", "400000000")
    assert planned.code == 0
    (scale,) = json.loads(planned.out)["scales"]
    assert scale["size"] == [256, 256]


def test_the_largest_size_that_is_told_can_be_planned(
    impasto: Impasto, asked: tuple[str, ...]
) -> None:
    flags = ("--memory", "4G", "--backend", "onnxruntime", "--json")
    largest = json.loads(impasto(*asked, *flags).out)["largest_size"]
    # Both run in this process, which has grown by what the first has measured with.
    size = largest * 9 // 10
    report = json.loads(impasto(*asked, *flags, "--scales", "1", "--size", str(size)).out)
    assert max(report["scales"][-1]["size"]) == size
    assert report["peak_bytes"] <= report["budget_bytes"] == 4 * 2**30
