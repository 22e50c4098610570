"""The script that made the embedded VGG-19: what it takes, and that it would make it again."""

from __future__ import annotations

import importlib.util
import zipfile
from importlib import resources
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from impasto.models.architectures.vgg import VGG19

DATA = Path(str(resources.files("impasto.models.data"))) / "vgg19.safetensors"
SCRIPT = Path(__file__).parents[2] / "scripts" / "encode_vgg19.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("encode_vgg19", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def source_tensors() -> dict[str, NDArray[np.generic]]:
    """Return the embedded tensors under the names they have in the source."""
    kinds = {"indices": "W_q", "codebook": "W_table", "bias": "b"}
    stored = load_file(DATA)
    return {
        f"block{layer.name[4]}_conv{layer.name[6]}_{kind}": stored[f"{layer.name}.{name}"]
        for layer in VGG19.convolutions
        for name, kind in kinds.items()
    }


def test_encoding_again_gives_the_same_bytes(script: ModuleType) -> None:
    assert save(script.encode(source_tensors()), script.METADATA) == DATA.read_bytes()


def test_tensors_that_were_not_expected_are_not_dropped(script: ModuleType) -> None:
    source = source_tensors() | {"fc1_W_q": np.zeros(4, np.uint8)}
    with pytest.raises(SystemExit, match="49 tensors in the source, 48 used"):
        script.encode(source)


@pytest.mark.parametrize("wheel", [False, True])
def test_another_file_is_refused(script: ModuleType, tmp_path: Path, wheel: bool) -> None:
    path = tmp_path / "source"
    path.write_bytes(b"something else")
    if wheel:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(script.MEMBER, b"something else")
    with pytest.raises(SystemExit, match=r"git blob SHA-1 [0-9a-f]{40}, expected bfcf2869"):
        script.source_bytes(path)


def test_git_blob_sha1(script: ModuleType) -> None:
    # `printf 'what is up, doc?' | git hash-object --stdin`, from the Pro Git book, section 10.2.
    assert script.git_blob_sha1(b"what is up, doc?") == "bd9dbf5aae1a3862dd1526723246b20206e5fc37"
