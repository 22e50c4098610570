"""The manifest of a checkpoint: what is in it, as strict JSON with a checksum of its own."""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from impasto.engine.checkpoint.files import (
    ArrayFile,
    damaged,
    is_array_name,
    open_regular,
    sync_directory,
    unreadable,
)
from impasto.errors import CheckpointError

__all__ = ["DRAFT", "MANIFEST", "VERSION", "Manifest", "read_manifest", "write_manifest"]

MANIFEST = "manifest.json"
DRAFT = "manifest.json.tmp"
"""What a manifest is called while it is being written."""

VERSION = 1
"""Of the format; to be raised whenever an older Impasto would misread what is written."""

_FORMAT = "impasto checkpoint"
_DTYPE = "<f4"
_MAX_HEADER = 2**25
"""Bytes. An L-BFGS with 1000 pairs, which is the most, tells half as much of them."""
_MAX_MANIFEST = _MAX_HEADER + 2**20
_MAX_NAME = 200
_MAX_DIMENSIONS = 32
_MAX_BYTES = 2**60


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint holds.

    Parameters
    ----------
    header : mapping
        The snapshot's own, plain JSON.
    arrays, pairs : mapping of str to ArrayFile
        Files by the snapshot's names.
    """

    header: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, ArrayFile] = field(default_factory=dict)
    pairs: Mapping[str, ArrayFile] = field(default_factory=dict)

    @property
    def files(self) -> frozenset[str]:
        """Names of the array files."""
        return frozenset(file.name for group in self._groups() for file in group.values())

    def encode(self) -> bytes:
        """Return the manifest's bytes, which :meth:`decode` has read back.

        Raises
        ------
        ValueError, TypeError
            If the header is not plain JSON or larger than 32 MiB, or names are too long or many.
        """
        header = _dumped(self.header)
        if len(header) > _MAX_HEADER:
            raise ValueError(f"The header takes {len(header)} bytes, and {_MAX_HEADER} at most.")
        arrays, pairs = (
            {name: _described(file) for name, file in group.items()} for group in self._groups()
        )
        content = {"header": self.header, "arrays": arrays, "pairs": pairs}
        crc32 = zlib.crc32(_dumped(content))
        whole = {"format": _FORMAT, "version": VERSION, "crc32": crc32, "content": content}
        encoded = _dumped(whole) + b"\n"
        self.decode(encoded)
        return encoded

    @classmethod
    def decode(cls, encoded: bytes) -> Manifest:
        """Return the manifest that is in these bytes, whoever wrote them.

        Raises
        ------
        CheckpointError
            If they are of another version of the format.
        ValueError, RecursionError
            If they are not a manifest, or not the one that was written.
        """
        if len(encoded) > _MAX_MANIFEST:
            raise ValueError(f"it has more than {_MAX_MANIFEST} bytes")
        whole = json.loads(encoded.decode("utf-8"), object_pairs_hook=_unique)
        if not isinstance(whole, dict) or whole.get("format") != _FORMAT:
            raise ValueError(f"it is not of the format {_FORMAT!r}")
        _check_version(whole.get("version"))
        _check_keys(whole, {"format", "version", "crc32", "content"})
        content = _object(whole, "content")
        # NaN and infinities, which Python's parser lets pass, end here as well.
        if _integer(whole, "crc32") != zlib.crc32(_dumped(content)):
            raise ValueError("it has another checksum")
        _check_keys(content, {"header", "arrays", "pairs"})
        groups = [_object(content, key) for key in ("arrays", "pairs")]
        arrays, pairs = ({name: _array(name, g) for name in g} for g in groups)
        manifest = cls(_object(content, "header"), arrays, pairs)
        if len(manifest.files) != len(arrays) + len(pairs):
            raise ValueError("it names a file twice")
        return manifest

    def _groups(self) -> tuple[Mapping[str, ArrayFile], Mapping[str, ArrayFile]]:
        return self.arrays, self.pairs


def read_manifest(directory: Path) -> Manifest:
    """Return the manifest in a directory.

    Raises
    ------
    CheckpointError
        If there is none, or it is damaged or of another version.
    """
    path = directory / MANIFEST
    try:
        with open_regular(path) as file:
            encoded = file.read(_MAX_MANIFEST + 1)
    except FileNotFoundError:
        raise CheckpointError(
            f"There is no checkpoint in {directory}: it has no {MANIFEST}. Give the directory that "
            "a run was started with, or start a run."
        ) from None
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        return Manifest.decode(encoded)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except (ValueError, RecursionError) as error:
        found = f"something else ({str(error).rstrip('.')})"
        raise damaged(path, "the manifest that was saved", found) from error


def write_manifest(directory: Path, encoded: bytes) -> None:
    """Put a manifest in the place of the one before, if any, in one step that lasts.

    Raises
    ------
    OSError
        If it cannot be written. The one before is then still there, unless all that failed was to
        learn that the new one has reached the disk.
    """
    draft = directory / DRAFT
    draft.unlink(missing_ok=True)
    with draft.open("xb") as file:
        file.write(encoded)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(directory / MANIFEST)
    sync_directory(directory)


def _dumped(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")


def _described(file: ArrayFile) -> dict[str, Any]:
    return {
        "file": file.name,
        "dtype": _DTYPE,
        "shape": list(file.shape),
        "bytes": file.size,
        "crc32": file.crc32,
    }


def _array(name: str, group: Mapping[str, Any]) -> ArrayFile:
    if len(name) > _MAX_NAME:
        raise ValueError(f"it has a name of {len(name)} characters")
    described = _object(group, name)
    _check_keys(described, {"file", "dtype", "shape", "bytes", "crc32"})
    file = described["file"]
    if not isinstance(file, str) or not is_array_name(file):
        raise ValueError(f"it names a file {file!r:.60}, as none is called here")
    if described["dtype"] != _DTYPE:
        raise ValueError(f"it has arrays of {described['dtype']!r:.60}, not {_DTYPE!r}")
    found = ArrayFile(file, _shape(described["shape"]), _integer(described, "crc32"))
    if _integer(described, "bytes") != found.size:
        raise ValueError(f"it has {described['bytes']} bytes for shape {found.shape}")
    return found


def _shape(found: Any) -> tuple[int, ...]:
    if not isinstance(found, list) or len(found) > _MAX_DIMENSIONS:
        raise ValueError(f"it has a shape {found!r:.60}")
    if any(type(length) is not int or length < 0 for length in found):
        raise ValueError(f"it has a shape {found!r:.60}")
    # NumPy's own bound, which an axis of length 0 does not lift.
    if math.prod(max(1, length) for length in found) > _MAX_BYTES:
        raise ValueError(f"it has a shape {found!r:.60}")
    return tuple(found)


def _object(group: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = group[key]
    if not isinstance(found, dict):
        raise ValueError(f"its {key!r:.60} is no object")  # noqa: TRY004
    return found


def _integer(group: Mapping[str, Any], key: str) -> int:
    found = group[key]
    if type(found) is not int or found < 0:
        raise ValueError(f"its {key} is {found!r:.60}, not a whole number")
    return found


def _check_version(found: Any) -> None:
    if type(found) is not int:
        raise ValueError(f"it is of version {found!r:.60}")
    if found != VERSION:
        raise CheckpointError(
            f"The checkpoint is of format version {str(found)[:20]}, and this Impasto reads and "
            f"writes version {VERSION}. Resume it with the Impasto that wrote it, or start the run "
            "again."
        )


def _check_keys(found: Mapping[str, Any], expected: set[str]) -> None:
    if found.keys() != expected:
        keys = ", ".join(f"{key:.20}" for key in sorted(found)[:8])
        raise ValueError(f"it has the keys {keys!r}, not {', '.join(sorted(expected))}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("it has the same key twice")
    return found
