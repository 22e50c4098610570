"""``impasto texture``: a style without a photo."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

Impasto = Callable[..., Any]

QUICK = ("--style-layers", "relu1_1,relu2_1", "--iterations", "3", "--threads", "1")


def test_it_writes_a_picture_of_the_size_asked(impasto: Impasto, pictures: Path) -> None:
    out = pictures / "out.png"
    result = impasto(*("texture", pictures / "painting.png", "-o", out, "--size", "64x48", *QUICK))
    assert (result.code, result.last_line) == (0, str(out))
    assert "64x48 pixels, 3 iterations" in result.err
    assert ", seed " in result.messages[-1]
    with Image.open(out) as image:
        assert image.size == (64, 48)
        told = json.loads(image.text["Impasto"])["options"]  # type: ignore[attr-defined]
    assert (told["content_layers"], told["init"], told["size"]) == ([], "noise", 64)


def test_a_directory_of_styles_and_json(impasto: Impasto, pictures: Path) -> None:
    out = pictures / "out.jpg"
    options = ("--style-blend-weights", "1,2", "--size", "48", "--seed", "5", "--json")
    result = impasto("texture", pictures / "paintings", "-o", out, *options, *QUICK)
    report = json.loads(result.out)
    assert report["size"] == [48, 48]
    assert report["losses"].keys() == {"tv_loss", "style_loss.relu1_1", "style_loss.relu2_1"}
    assert report["options"]["seed"] == 5


def test_a_preset_s_content_layers_do_not_matter(impasto: Impasto, pictures: Path) -> None:
    out = pictures / "out.png"
    job = ("texture", pictures / "painting.png", "-o", out, "--json", "--size", "48")
    flags = ("--iterations", "2", "--style-layers", "relu1_1", "--threads", "1")
    report = json.loads(impasto(*job, "--preset", "neural-style", *flags).out)
    assert report["options"]["history"] == 100
    assert report["losses"].keys() == {"tv_loss", "style_loss.relu1_1"}


def test_the_plan_makes_nothing(impasto: Impasto, pictures: Path) -> None:
    before = sorted(pictures.iterdir())
    job = ("texture", pictures / "painting.png", "--size", "1024x512", "--plan", "--memory", "6G")
    text = impasto(*job)
    assert text.code == 0
    assert [line.split()[0] for line in text.out.splitlines()[1:3]] == ["512x256", "1024x512"]
    report = json.loads(impasto(*job, "--json").out)
    assert [scale["size"] for scale in report["scales"]] == [[512, 256], [1024, 512]]
    assert sorted(pictures.iterdir()) == before


@pytest.mark.parametrize(
    "size", ["0x0", "-5x5", "5x-5", "99999x99999", "1e9", "3x3x3", "", "x", "15", "512.0"]
)
def test_hostile_sizes_are_refused(size: str, impasto: Impasto, pictures: Path) -> None:
    out = pictures / "out.png"
    result = impasto(
        *("texture", pictures / "painting.png", "-o", out, f"--size={size}", "--memory", "2G")
    )
    assert result.code == 2
    (message,) = result.messages
    assert "--size" in message
    assert not out.exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--init", "content"), "'content', but a texture has no content picture"),
        (("--init", "recolored"), "'recolored', but a texture has no content picture"),
        (("--content-weight", "5"), "--content-weight"),
        (("--content-layers", "relu4_2"), "--content-layers"),
        (("--original-colors",), "--original-colors"),
        (("--style-layers", ""), "nothing to paint"),
        (("--style-layers", "relu9_9"), "relu9_9"),
        (("--init", "absent.png"), "absent.png"),
        (("--preset", "mosaic"), "mosaic"),
        (("--tileable", "--size", "50x48"), "48x48 or 64x48"),
        (("--style-blend-weights", "1,2"), "2 entries for 1 style"),
    ],
)
def test_what_cannot_be_done_is_refused(
    flags: tuple[str, ...], words: str, impasto: Impasto, pictures: Path
) -> None:
    out = pictures / "out.png"
    result = impasto("texture", pictures / "painting.png", "-o", out, "--size", "48", *flags)
    assert result.code == 2
    (message,) = result.messages
    assert words in message
    assert "Traceback" not in result.err
    assert not out.exists()


def test_outputs_are_checked(impasto: Impasto, pictures: Path) -> None:
    painting = pictures / "painting.png"
    for output, words in (
        ((), "-o FILE"),
        (("-o", painting, "--overwrite"), "one of the inputs"),
        (("-o", pictures / "old.png"), "exists"),
        (("-o", pictures / "out.gif"), ".gif"),
    ):
        result = impasto("texture", painting, *output, "--size", "48", *QUICK)
        assert result.code == 2
        assert words in result.messages[0]


def test_resume_goes_on_with_a_texture(
    impasto: Impasto, pictures: Path, impasto_process: Callable[..., Any]
) -> None:
    out = pictures / "out.png"
    job = ("texture", pictures / "painting.png", "--size", "48x64", "--seed", "3", *QUICK)
    flags = ("--iterations", "400", "--backend", "onnxruntime", "--precision", "f32")
    checkpoint = pictures / "state"
    process = impasto_process(
        *job, *flags, "-o", out, "--checkpoint", checkpoint, "--print-every", "1"
    )
    for line in process.stderr:
        if line.startswith("iteration 2/"):
            break
    process.terminate()
    process.communicate()
    assert process.returncode == 143
    with Image.open(out) as image:
        assert image.size == (48, 64)
    result = impasto("resume", checkpoint, "--json")
    assert result.code == 0
    report = json.loads(result.out)
    assert report["iterations"] == 400
    assert 0 < report["resumed_from"] < 400
    assert report["size"] == [48, 64]
    assert not checkpoint.exists()


def test_a_tileable_texture_says_so(impasto: Impasto, pictures: Path) -> None:
    out = pictures / "out.png"
    job = ("texture", pictures / "painting.png", "-o", out, "--size", "48x64", "--tileable")
    report = json.loads(impasto(*job, "--json", *QUICK).out)
    assert report["options"]["tileable"] is True
    assert report["size"] == [48, 64]
    plan = json.loads(impasto(*job, "--plan", "--json", "--tile", "16", *QUICK).out)
    assert plan["execution"]["mode"] == "tiled"
