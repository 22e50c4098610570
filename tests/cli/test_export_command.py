"""`impasto export`: files that any ONNX program reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

Impasto = Callable[..., Any]
SHALLOW = ("--content-layers", "relu2_1", "--style-layers", "relu1_1,relu2_1")


def outputs(path: Path) -> set[str]:
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    return {output.name for output in model.graph.output}


def test_gradient_graph(impasto: Impasto, tmp_path: Path) -> None:
    out = tmp_path / "gradient.onnx"
    result = impasto("export", "vgg19", *SHALLOW, "-o", out)
    assert (result.code, result.out, result.err) == (0, f"{out}\n", "")
    assert outputs(out) == {
        *("loss", "gradient", "tv_loss"),
        *("content_loss.relu2_1", "style_loss.relu1_1", "style_loss.relu2_1"),
    }
    assert list(tmp_path.iterdir()) == [out]


def test_feature_graph(impasto: Impasto, tmp_path: Path) -> None:
    out = tmp_path / "features.onnx"
    assert impasto("export", "vgg19", *SHALLOW, "--kind", "features", "-o", out).code == 0
    assert outputs(out) == {"features.relu2_1", "gram.relu1_1", "gram.relu2_1"}


@pytest.mark.parametrize(("pooling", "op"), [("max", "MaxPool"), ("avg", "AveragePool")])
def test_pooling(pooling: str, op: str, impasto: Impasto, tmp_path: Path) -> None:
    out = tmp_path / "features.onnx"
    job = ("export", "vgg19", *SHALLOW, "--kind", "features", "-o", out)
    assert impasto(*job, "--pooling", pooling).code == 0
    assert op in {node.op_type for node in onnx.load(out).graph.node}


@pytest.mark.parametrize("kind", ["features", "gradient"])
def test_a_torus(kind: str, impasto: Impasto, tmp_path: Path) -> None:
    out = tmp_path / "torus.onnx"
    assert impasto("export", "vgg19", *SHALLOW, "--tileable", "--kind", kind, "-o", out).code == 0
    assert outputs(out)
    model = onnx.load(out)
    pads = [
        pad
        for node in model.graph.node
        for attribute in node.attribute
        if attribute.name == "pads" and node.op_type == "Conv"
        for pad in attribute.ints
    ]
    assert pads
    assert not any(pads)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata["impasto.torus"] == "height and width are multiples of 2"
    assert impasto("export", "nin", "--tileable", "-o", tmp_path / "nin.onnx").code == 2


def test_other_losses_say_so(impasto: Impasto, tmp_path: Path) -> None:
    plain, other = tmp_path / "plain.onnx", tmp_path / "other.onnx"
    assert impasto("export", "vgg19", *SHALLOW, "-o", plain).code == 0
    asked = ("--tv-norm", "l1", "--normalize-gradients")
    assert impasto("export", "vgg19", *SHALLOW, *asked, "-o", other).code == 0
    assert outputs(other) == outputs(plain)
    one, two = (
        {entry.key: entry.value for entry in onnx.load(path).metadata_props}
        for path in (plain, other)
    )
    assert {key for key in two if one.get(key) != two[key]} == {
        "impasto.tv_loss",
        "impasto.gradient",
    }
    assert two["impasto.tv_loss"] == "w sum over the (H-1)(W-1) interior of (|dx| + |dy|)"
    assert two["impasto.gradient"].endswith("Not the derivative of loss")


def test_overwrite(impasto: Impasto, tmp_path: Path) -> None:
    out = tmp_path / "features.onnx"
    out.write_text("old")
    job = ("export", "vgg19", *SHALLOW, "--kind", "features", "-o", out)
    assert impasto(*job).code == 2
    assert out.read_text() == "old"
    assert impasto(*job, "--overwrite").code == 0
    assert outputs(out)


def test_layers_of_nin_are_those_of_its_preset(impasto: Impasto, tmp_path: Path) -> None:
    result = impasto("export", "nin", "-o", tmp_path / "nin.onnx")
    # Its weights are not part of the package; its default layers are not what is refused.
    assert result.code == 2
    assert "impasto fetch nin" in result.err
