"""What cannot be done as asked is refused before any work: one line, exit code 2, no file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

PHOTO, PAINTING, OUT = "{at}/photo.png", "{at}/painting.png", ("-o", "{at}/out.png")
JOB = ("paint", PHOTO, PAINTING, *OUT)

REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    # Outputs
    "no output": (("paint", PHOTO, PAINTING), "Missing option '-o'"),
    "existing output": (("paint", PHOTO, PAINTING, "-o", "{at}/old.png"), "exists.*--overwrite"),
    "no directory": (("paint", PHOTO, PAINTING, "-o", "{at}/no/out.png"), "no directory .*/no"),
    "output is a directory": (("paint", PHOTO, PAINTING, "-o", "{at}/a.png"), "is a directory"),
    "unknown suffix": (("paint", PHOTO, PAINTING, "-o", "{at}/out.xyz"), "suffix '.xyz'.*.png"),
    "no suffix": (("paint", PHOTO, PAINTING, "-o", "{at}/out"), "no suffix.*.png"),
    "output is the photo": (
        ("paint", PHOTO, PAINTING, "-o", PHOTO, "--overwrite"),
        "of the inputs",
    ),
    "output is a style": (("paint", PHOTO, PAINTING, "-o", PAINTING, "--overwrite"), "the inputs"),
    "output is the first image": (
        (*JOB[:3], "-o", "{at}/old.png", "--overwrite", "--init", "{at}/old.png"),
        "of the inputs",
    ),
    "output is in the style directory": (
        ("paint", PHOTO, "{at}/paintings", "-o", "{at}/paintings/first.png", "--overwrite"),
        "of the inputs",
    ),
    "too long for WebP": ((*JOB[:3], "-o", "{at}/o.webp", "--size", "20000"), "16383 pixels"),
    "existing milestone": (
        (*JOB[:3], "-o", "{at}/old.bmp", "--save-every", "2"),
        "old_4.bmp exists.*--overwrite",
    ),
    # Pictures
    "no styles": (("paint", PHOTO, *OUT), "Missing argument 'STYLE"),
    "missing photo": (("paint", "{at}/no.png", PAINTING, *OUT), "no.png: there is no such file"),
    "missing style": (("paint", PHOTO, "{at}/no.png", *OUT), "no.png: there is no such file"),
    "missing first image": ((*JOB, "--init", "{at}/no.png"), "no.png: there is no such file"),
    "empty file": (("paint", "{at}/empty.png", PAINTING, *OUT), "empty.png is empty"),
    "no picture": (("paint", PHOTO, "{at}/words.png", *OUT), "words.png is not a picture"),
    "cut picture": (("paint", "{at}/cut.png", PAINTING, *OUT), "cut.png cannot be decoded"),
    "photo is a directory": (("paint", "{at}/paintings", PAINTING, *OUT), "is a directory"),
    "empty style directory": (("paint", PHOTO, "{at}/nothing", *OUT), "nothing.*no picture"),
    # Numbers
    "zero size": ((*JOB, "--size", "0"), "--size is 0; it takes a number from 16"),
    "negative size": ((*JOB, "--size", "-512"), "--size is -512; it takes a number from 16"),
    "size in words": ((*JOB, "--size", "large"), "--size is 'large'; it takes a whole number"),
    "zero iterations": ((*JOB, "--iterations", "0"), "--iterations is 0; it takes"),
    "negative iterations": ((*JOB, "--num-iterations", "-1"), "--iterations is -1; it takes"),
    "fraction of an iteration": ((*JOB, "--iterations", "1.5"), "'1.5'; it takes a whole number"),
    "content weight is no number": ((*JOB, "--content-weight", "nan"), "--content-weight is nan"),
    "infinite style weight": ((*JOB, "--style-weight", "inf"), "--style-weight is inf"),
    "negative TV weight": ((*JOB, "--tv-weight", "-1"), "--tv-weight is -1"),
    "an average of everything": ((*JOB, "--average", "1"), "--average is 1.0; it takes a number"),
    "another TV norm": ((*JOB, "--tv-norm", "l2"), "'l2'.*squared.*l1"),
    "normalised gradients with a line search": (
        (*JOB, "--optimizer", "lbfgs", "--normalize-gradients"),
        "not the derivative of the loss.*lbfgs-numpy or adam",
    ),
    "negative threads": ((*JOB, "--threads", "-1"), "--threads is -1"),
    "no value": ((*JOB, "--size"), "'--size' requires an argument"),
    # Blend weights
    "too many blend weights": ((*JOB, "--style-blend-weights", "1,2"), "2 entries for 1 style"),
    "other blend weights": (
        ("paint", PHOTO, "{at}/paintings", PAINTING, *OUT, "--style-blend-weights", "1,2,3,4"),
        "4 entries for 3 style",
    ),
    "blend weights in words": ((*JOB, "--style-blend-weights", "a"), "numbers separated by commas"),
    "infinite blend weight": ((*JOB, "--style-blend-weights", "inf"), "must be finite"),
    "zero blend weights": ((*JOB, "--style-blend-weights", "0"), "not all zero"),
    # Names
    "unknown content layer": ((*JOB, "--content-layers", "relu4_5"), "'relu4_5'.*'relu4_4'"),
    "unknown style layer": ((*JOB, "--style-layers", "relu1_1,conv9"), "layer 'conv9'"),
    "layer of another model": (
        (*JOB, "--model", "vgg16-caffe", "--style-layers", "relu5_4"),
        "5_4",
    ),
    "no layers": ((*JOB, "--content-layers", "", "--style-layers", ""), "nothing to paint"),
    "layer too deep": ((*JOB, "--size", "16", "--style-layers", "pool5"), "too small for pool5"),
    "unknown model": ((*JOB, "--model", "vgg_19"), "Unknown model 'vgg_19'.*'vgg19'"),
    "unknown optimizer": ((*JOB, "--optimizer", "sgd"), "--optimizer 'sgd'.*lbfgs"),
    "unknown backend": ((*JOB, "--backend", "tpu"), "--backend 'tpu'.*openvino"),
    "unknown precision": ((*JOB, "--precision", "f64"), "--precision 'f64'.*bf16"),
    "unknown pooling": ((*JOB, "--pooling", "min"), "--pooling 'min'.*avg"),
    "unknown preset": ((*JOB, "--preset", "nim"), "preset 'nim'.*'nin'"),
    "unknown flag": ((*JOB, "--sise", "48"), "No such option: --sise"),
    "unknown command": (("pain", PHOTO), "No such command 'pain'"),
    "a GPU that is not there": ((*JOB, "--backend", "cuda", "--device", "1023"), "(?i)cuda"),
    # Weights
    "weights to fetch": ((*JOB, "--model", "vgg19-caffe"), "impasto fetch vgg19-caffe.*--weights"),
    "weights of the nin preset": ((*JOB, "--preset", "nin"), "impasto fetch nin.*https://"),
    "missing weights file": ((*JOB, "--weights", "{at}/no.pth"), "no.pth: no such weights file"),
    "no weights": ((*JOB, "--weights", "{at}/words.pth"), "words.pth"),
    # Other commands
    "export to an existing file": (("export", "vgg19", "-o", "{at}/old.png"), "exists"),
    "export to no directory": (("export", "vgg19", "-o", "{at}/no/a.onnx"), "no directory"),
    "export of an unknown model": (("export", "vgg", "-o", "{at}/a.onnx"), "Unknown model 'vgg'"),
    "export of an unknown kind": (
        ("export", "vgg19", "-o", "{at}/a.onnx", "--kind", "gradients"),
        "--kind 'gradients'.*'gradient'",
    ),
    "export over its weights": (
        ("export", "vgg19", "-o", "{at}/words.pth", "--weights", "{at}/words.pth", "--overwrite"),
        "of the inputs",
    ),
    "fetch of an unknown model": (("fetch", "nix"), "Unknown model 'nix'.*'nin'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_line(
    case: str,
    impasto: Callable[..., Any],
    pictures: Path,
    files: Callable[[Path], Mapping[Path, bytes]],
) -> None:
    arguments, message = REFUSED[case]
    (pictures / "a.png").mkdir()
    (pictures / "old_4.bmp").write_bytes(b"an earlier run's")
    before = files(pictures)
    result = impasto(*(each.format(at=pictures) for each in arguments))
    assert result.code == 2
    assert result.out == ""
    (line,) = result.err.splitlines()
    assert line.startswith("impasto: ")
    assert re.search(message, line)
    assert files(pictures) == before
