"""What a run needs to go on, in a directory that holds it whole at every moment.

::

    manifest.json              header, and name, shape, size and checksum of every array
    3f0c91d27ab85e46.f32       an array: raw little-endian float32, under a name of the store's
    impasto-checkpoint.lock    locked by the run that writes here; means nothing by itself

Array files are never changed. A save writes new ones, brings them to the disk, and then replaces
the manifest in one step, so that a run that is killed, or a power cut, leaves the old snapshot or
the new one. Files no manifest names are leftovers; the next save or opening removes them.

A checkpoint is read as if somebody had made it up: nothing in it is a path, and every size is
checked against the file before it is used.

What is in a snapshot is the caller's business.
"""

from __future__ import annotations

from impasto.engine.checkpoint.digest import picture_digest
from impasto.engine.checkpoint.store import (
    CheckpointStore,
    Snapshot,
    has_snapshot,
    load_snapshot,
)

__all__ = ["CheckpointStore", "Snapshot", "has_snapshot", "load_snapshot", "picture_digest"]
