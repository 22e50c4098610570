"""Pictures to paint, and the command line run in this process or in one of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.cli import main


@dataclass(frozen=True)
class Finished:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        return self.out.splitlines()[-1]

    @property
    def messages(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("impasto: ")]


Impasto = Callable[..., Finished]


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_works() -> None:
    """Shells start background jobs with Ctrl-C ignored, and processes inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the tests away from the user's cache, and let them share what they verify."""
    directory = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMPASTO_CACHE", str(directory))
        patch.setenv("COLUMNS", "80")
        yield directory


@pytest.fixture
def impasto(capfd: pytest.CaptureFixture[str]) -> Impasto:
    """Run the command line in this process."""

    def run(*arguments: str | Path) -> Finished:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(each) for each in arguments])
        out, err = capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return Finished(ended.value.code, out, err)

    return run


@pytest.fixture
def impasto_process() -> Callable[..., subprocess.Popen[str]]:
    """Start the command line in a process of its own, with pipes for its output."""

    def start(*arguments: str | Path, **popen: object) -> subprocess.Popen[str]:
        # A test run in the background ignores SIGINT, and its children would as well.
        program = (
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
            "from impasto.cli import main; main()"
        )
        pipes: dict[str, object] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
            [sys.executable, "-c", program, *map(str, arguments)],
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            **{**pipes, **popen},
        )

    return start


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with a photo, two paintings, a folder of paintings, and files that are wrong."""
    rng = np.random.default_rng(20150826)
    photo = np.kron(rng.integers(0, 256, (6, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    painting = np.kron(rng.integers(0, 256, (16, 14, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    Image.fromarray(painting).save(tmp_path / "painting.png")
    Image.fromarray(painting[::-1]).save(tmp_path / "other.jpg")
    paintings = tmp_path / "paintings"
    paintings.mkdir()
    Image.fromarray(painting).save(paintings / "first.png")
    Image.fromarray(painting[:, ::-1]).save(paintings / "second.png")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "empty.png").touch()
    (tmp_path / "words.png").write_text("no picture at all")
    (tmp_path / "cut.png").write_bytes((tmp_path / "photo.png").read_bytes()[:120])
    (tmp_path / "words.pth").write_text("no weights at all")
    (tmp_path / "old.png").write_bytes((tmp_path / "photo.png").read_bytes())
    return tmp_path


def snapshot(folder: Path) -> Mapping[Path, bytes]:
    """Return every file below `folder` with its content."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def files() -> Callable[[Path], Mapping[Path, bytes]]:
    """Take a snapshot of a folder."""
    return snapshot


QUICK = ("--content-layers", "relu2_1", "--style-layers", "relu1_1,relu2_1", "--size", "48")


@pytest.fixture
def quick() -> tuple[str, ...]:
    """Flags of a picture that takes a moment."""
    return (*QUICK, "--iterations", "3", "--threads", "1")
