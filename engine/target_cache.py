"""Gram matrices (and means) of style pictures, kept from run to run.

They depend on the style's pixels, the network, and what computes them, and not on the content: the
next picture in the same style need not compute them again. An entry is a safetensors file of
float32 matrices by layer, with a checksum. Entries only save time: one that is absent, damaged,
hostile or cannot be written is as good as none.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from impasto.engine.backends.base import Backend, FloatArray
from impasto.engine.machine import processor_name
from impasto.engine.network import Network
from impasto.engine.remembered import key_of
from impasto.engine.style_targets import mean_layers, raw_shapes
from impasto.engine.verify import graph_sources

__all__ = ["TargetCache", "grams_of_styles"]

logger = logging.getLogger(__name__)

Grams = dict[str, FloatArray]

LIMIT = 256 * 2**20
"""Bytes of all entries. One of VGG-19 and five layers has 2.4 million."""

CHECKSUM = "checksum"
CHECKSUM_BYTES = 16
HEADER_BYTES = 64 * 2**10
"""More than the names and shapes of any network's layers take."""


@dataclass(frozen=True)
class TargetCache:
    """A directory of entries, of which the least recently used go when there are too many.

    Parameters
    ----------
    directory : Path
        It need not exist.
    limit : int
        Bytes of all entries together.
    """

    directory: Path
    limit: int = LIMIT

    def find(self, key: str, shapes: Mapping[str, tuple[int, ...]]) -> Grams | None:
        """Return the matrices kept under `key`, or None.

        Parameters
        ----------
        key : str
            A file name.
        shapes : mapping of str to tuple of int
            The matrices that are expected; an entry of anything else counts as none.
        """
        path = self._path(key)
        try:
            found = _parsed(_bytes_of(path, shapes), key, shapes)
        except (OSError, SafetensorError, ValueError) as error:
            logger.debug("%s is not used: %s", path.name, error)
            return None
        try:
            os.utime(path)  # used just now
        except OSError as error:
            logger.debug("%s keeps its age: %s", path.name, error)
        return found

    def keep(self, key: str, grams: Mapping[str, FloatArray]) -> None:
        """Write `grams`, to be found under `key`; there is no error if that fails."""
        if not all(np.isfinite(gram).all() for gram in grams.values()):
            return
        checksum = np.frombuffer(_checksum(key, grams), np.uint8)
        entry = save({**grams, CHECKSUM: checksum})
        if len(entry) > self.limit:
            return
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            _write(self._path(key), entry)
            self._make_room()
        except OSError as error:
            logger.info("The style's targets are not kept: %s", error)

    def _path(self, key: str) -> Path:
        return self.directory / f"{key}.safetensors"

    def _make_room(self) -> None:
        """Remove the least recently used files until the rest is within the limit."""
        files = []
        with os.scandir(self.directory) as entries:
            for entry in entries:
                found = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(found.st_mode):
                    files.append((found.st_mtime_ns, found.st_size, Path(entry.path)))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self.limit:
                break
            path.unlink(missing_ok=True)
            total -= size


def grams_of_styles(
    cache: TargetCache | None,
    backend: Backend,
    network: Network,
    form: object,
    styles: Sequence[FloatArray],
    guides: Sequence[Mapping[str, FloatArray]],
    compute: Callable[[FloatArray, Mapping[str, FloatArray]], Grams],
) -> list[Grams]:
    """Return the Gram matrices and means of each style, computing those that are not kept.

    Parameters
    ----------
    cache : TargetCache, optional
        None computes all.
    backend : Backend
        What computes them.
    network : Network
    form : object
        How they are computed, told by its ``repr``: other strips sum in another order, and round
        otherwise.
    styles : sequence of ndarray of shape (1, 3, h, w)
        As the network reads them.
    guides : sequence of mapping of str to ndarray
        For each style, how much of what counts, by name; empty mappings where all does.
    compute : callable
        Takes one style and its guides, and returns arrays that stay as they are.
    """
    if cache is None:
        return [compute(*each) for each in zip(styles, guides, strict=True)]
    shared = _key_of_all(backend, network, form)
    shapes = raw_shapes(network)
    found = []
    for style, own in zip(styles, guides, strict=True):
        parts: list[str | memoryview] = [repr(style.shape), str(style.dtype)]
        parts.append(np.ascontiguousarray(style).data)
        for name, guide in sorted(own.items()):
            parts += [name, repr(guide.shape), np.ascontiguousarray(guide).data]
        key = key_of(shared, *parts)
        grams = cache.find(key, shapes)
        if grams is None:
            grams = compute(style, own)
            cache.keep(key, grams)
        found.append(grams)
    return found


def _key_of_all(backend: Backend, network: Network, form: object) -> str:
    """Return a digest of everything the matrices depend on but the style."""
    encoder = network.encoder
    names = [layer.name for layer in encoder.layers]
    last = max((names.index(name) for name in network.style_layers), default=-1)
    used = encoder.layers[: last + 1]
    weights = hashlib.blake2b()
    for layer in used:
        if layer.kind == "convolution":
            for name in (f"{layer.name}.weight", f"{layer.name}.bias"):
                weights.update(np.ascontiguousarray(encoder.arrays[name]).data)
    return key_of(
        graph_sources(),
        backend.fingerprint,
        backend.precision,
        processor_name(),
        repr(getattr(backend, "threads", None)),  # they share sums out, and so round otherwise
        repr(form),
        encoder.name,
        repr(used),
        repr(encoder.preprocessing),
        repr((network.style_layers, mean_layers(network))),
        weights.hexdigest(),
    )


def _bytes_of(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """Return what a file holds, unless it is larger than such an entry can be."""
    most = HEADER_BYTES + CHECKSUM_BYTES + sum(4 * int(np.prod(s)) for s in shapes.values())
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is not a plain file")
    if found.st_size > most:
        raise ValueError(f"it has {found.st_size} bytes, and at most {most} are possible")
    with path.open("rb") as stream:
        return stream.read(most)


def _parsed(entry: bytes, key: str, shapes: Mapping[str, tuple[int, ...]]) -> Grams:
    """Return the matrices of an entry, checked.

    Raises
    ------
    SafetensorError
        If it is no safetensors file.
    ValueError
        If it is not an entry under this key, of these shapes.
    """
    tensors = dict(deserialize(entry))  # type: ignore[no-untyped-call]
    told = {name: (each["dtype"], tuple(each["shape"])) for name, each in tensors.items()}
    expected = {name: ("F32", shape) for name, shape in shapes.items()}
    if told != {**expected, CHECKSUM: ("U8", (CHECKSUM_BYTES,))}:
        raise ValueError("it holds something else")
    grams = {
        name: np.frombuffer(tensors[name]["data"], "<f4").astype(np.float32).reshape(shape)
        for name, shape in shapes.items()
    }
    if bytes(tensors[CHECKSUM]["data"]) != _checksum(key, grams):
        raise ValueError("its checksum is wrong")
    if not all(np.isfinite(gram).all() for gram in grams.values()):
        raise ValueError("it holds values that are not finite")
    return grams


def _checksum(key: str, grams: Mapping[str, FloatArray]) -> bytes:
    digest = hashlib.blake2b(key.encode(), digest_size=CHECKSUM_BYTES)
    for name in sorted(grams):
        digest.update(name.encode())
        digest.update(grams[name].astype("<f4").tobytes())
    return digest.digest()


def _write(path: Path, entry: bytes) -> None:
    """Write a file, whole or not at all."""
    handle, name = tempfile.mkstemp(prefix=path.stem, suffix=".tmp", dir=path.parent)
    try:
        with open(handle, "wb") as stream:
            stream.write(entry)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
