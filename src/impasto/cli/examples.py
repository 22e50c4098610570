"""Example commands at the end of the help pages; a test parses all, and runs most of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["EXAMPLES"]

EXAMPLES: Mapping[str, Sequence[str]] = {
    "paint": (
        "impasto paint photo.jpg painting.jpg -o painted.png",
        "impasto paint photo.jpg painting.jpg -o soft.png --style-weight 100",
        "impasto paint photo.jpg one.jpg two.jpg -o both.png --style-blend-weights 3,1",
        "impasto paint photo.jpg painting.jpg -o mine.png --color content-luma",
        "impasto paint photo.jpg painting.jpg -o large.png --size 2048 --memory 8G",
        "impasto paint photo.jpg painting.jpg -o classic.png --preset neural-style",
        "impasto paint photos painting.jpg --out-dir painted",
    ),
    "texture": ("impasto texture painting.jpg -o texture.png --size 768x512",),
    "video": ("impasto video frames painting.jpg -o painted",),
    "sweep": ("impasto sweep photo.jpg painting.jpg -o sheet.png --over style_weight=100,1000",),
    "plan": ("impasto plan photo.jpg painting.jpg --size 4096 --memory 8G",),
    "resume": (
        "impasto resume painted.png.checkpoint",
        "impasto resume painted.png.checkpoint -o elsewhere.png",
    ),
    "models": ("impasto models", "impasto models --json"),
    "fetch": ("impasto fetch nin",),
    "export": (
        "impasto export vgg19 -o gradient.onnx",
        "impasto export vgg19 -o features.onnx --kind features --style-layers relu3_1",
    ),
    "doctor": ("impasto doctor",),
    "cache": ("impasto cache", "impasto cache --clear"),
    "bench": (
        "impasto bench --size 512 --backend onnxruntime --backend openvino",
        "impasto bench photo.jpg painting.jpg --iterations 20 --json",
    ),
    "show": ("impasto show painted.png", "impasto show painted.png --json"),
    "presets show": (
        "impasto presets show neural-style > ours.toml",
        "impasto paint photo.jpg painting.jpg -o painted.png --preset ours.toml",
    ),
}
"""Lines by a command's whole name. The files are those of nobody in particular."""
