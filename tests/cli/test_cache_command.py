"""`impasto cache`: what is kept is told and removed, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_what_is_kept_is_told_and_removed(
    impasto: Callable[..., Any],
    pictures: Path,
    quick: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = pictures / "cache"
    monkeypatch.setenv("IMPASTO_CACHE", str(home))
    nothing = json.loads(impasto("cache", "--json").out)
    assert {kind: each["files"] for kind, each in nothing.items()} == {
        "targets": 0,
        "verdicts": 0,
        "speeds": 0,
    }
    job = ("paint", pictures / "photo.png", pictures / "painting.png", "-o", pictures / "o.png")
    assert impasto(*job, *quick).code == 0
    found = json.loads(impasto("cache", "--json").out)
    assert found["targets"] == {
        "directory": str(home / "targets"),
        "files": 1,
        "bytes": sum(path.stat().st_size for path in (home / "targets").iterdir()),
    }
    assert found["verdicts"]["files"] >= 1
    # Neither weights, nor what is not ours, nor what a link leads to.
    (home / "weights").mkdir()
    (home / "weights" / "vgg.pth").touch()
    (home / "targets" / "folder").mkdir()
    (home / "targets" / "folder" / "file").touch()
    (home / "targets" / "link").symlink_to(pictures / "photo.png")
    page = impasto("cache", "--clear")
    assert page.code == 0
    assert page.out.splitlines()[0].split()[:3] == ["targets", "0", "files"]
    assert {path.name for path in home.rglob("*")} == {
        *("weights", "vgg.pth", "targets", "folder", "file", "link")
    }
    assert (pictures / "photo.png").exists()
