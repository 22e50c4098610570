"""Saves that are killed, interrupted or out of disk: the old snapshot or the new one, whole."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
from pathlib import Path

import counted_snapshots
import pytest
from counted_snapshots import at_line, count_of, snapshot_of

from impasto.engine.checkpoint import CheckpointStore, Snapshot, has_snapshot, load_snapshot
from impasto.errors import CheckpointWriteError

PRELUDE = """
import itertools, os, signal, sys
from pathlib import Path

import numpy as np

from counted_snapshots import at_line, count_of, snapshot_of
from impasto.engine.checkpoint import CheckpointStore, Snapshot, has_snapshot, load_snapshot
from impasto.errors import CheckpointWriteError

directory = Path(sys.argv[1])
"""

# Writes a dot before each line of the store's code, and the count after each save.
SAVE_WITHOUT_END = """
store = CheckpointStore(directory)
first = count_of(store.load()) + 1 if has_snapshot(directory) else 0
with at_line(0, lambda: os.write(1, b".")):
    for count in itertools.count(first):
        store.save(snapshot_of(count))
        os.write(1, b" %d " % count)
"""

# Forks a process for every line of a save, which kills itself there, and looks what it has left.
KILL_AT_EVERY_LINE = """
kill = lambda: os.kill(os.getpid(), signal.SIGKILL)
os.fsync = lambda _: None  # slow, and only for what also ends the system
outcomes = []
if sys.argv[2] == "later":
    with CheckpointStore(directory) as store:
        store.save(snapshot_of(5))
for line in itertools.count(1):
    before = count_of(load_snapshot(directory)) if has_snapshot(directory) else -1
    child = os.fork()
    if child == 0:
        store = CheckpointStore(directory)
        if before >= 0:
            store.load()
        with at_line(line, kill):
            store.save(snapshot_of(before + 1))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    after = count_of(load_snapshot(directory)) if has_snapshot(directory) else -1
    outcomes.append(after - before)
    if status == 0:
        break
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, status
    if sys.argv[2] == "first" and after >= 0:
        CheckpointStore(directory).finish()
print(*outcomes)
"""

# The limit on a file's size stands for a full disk; Python ignores the signal it comes with.
RUN_OUT_OF_DISK = """
import resource

def names():
    return sorted(os.listdir(directory))

store = CheckpointStore(directory)
store.save(snapshot_of(0))
before = names()
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
large = Snapshot({}, {"small": np.ones(9, np.float32), "x": np.ones((3, 999, 999), np.float32)})
for limit in (0, 1, 2**20 + 1, 10**6):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        store.save(large)
    except CheckpointWriteError as error:
        print(error)
    assert names() == before, names()
    assert count_of(load_snapshot(directory)) == 0
# The arrays fit, and the manifest does not.
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
try:
    store.save(Snapshot({"text": "-" * 4000}, {"x": np.ones(9, np.float32)}))
except CheckpointWriteError as error:
    print(error)
assert names() == before, names()
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
store.save(snapshot_of(1))
assert count_of(load_snapshot(directory)) == 1
"""


def command(program: str, *arguments: str | Path) -> list[str]:
    return [sys.executable, "-c", PRELUDE + program, *map(str, arguments)]


def environment() -> dict[str, str]:
    paths = [str(Path(counted_snapshots.__file__).parent), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def run(program: str, *arguments: str | Path) -> str:
    done = subprocess.run(
        command(program, *arguments), env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_killed_at_random_moments(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    moments = random.Random(seed)
    last = -1
    for _ in range(20):
        with subprocess.Popen(
            command(SAVE_WITHOUT_END, tmp_path),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            seen = process.stdout.read(1)
            lines = moments.randrange(500)
            while len(seen) < lines and (more := process.stdout.read(lines - len(seen))):
                seen += more
            process.kill()
            seen += process.stdout.read()
            assert process.stderr.read() == b""
        # A number between spaces is a save that had returned, so that it has to be there.
        promised = [last, *map(int, seen.replace(b".", b"").split())]
        if has_snapshot(tmp_path):
            count = count_of(load_snapshot(tmp_path))
            assert count in (promised[-1], promised[-1] + 1)
            last = count
        else:
            assert promised == [-1]
    assert last > 0


@pytest.mark.parametrize("save", ["first", "later"])
def test_killed_at_every_line_of_a_save(tmp_path: Path, save: str) -> None:
    outcomes = list(map(int, run(KILL_AT_EVERY_LINE, tmp_path, save).split()))
    assert outcomes[0] == 0
    assert outcomes[-1] == 1
    # It changes once: where the manifest is replaced.
    assert outcomes == sorted(outcomes)
    assert outcomes.count(0) > 20
    assert outcomes.count(1) > 3


# A file that is open on its way into its `with` statement is closed when it is collected.
@pytest.mark.filterwarnings("ignore:.*unclosed file:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:.*FileIO:pytest.PytestUnraisableExceptionWarning")
def test_interrupted_at_every_line_of_a_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interruption(BaseException):
        pass

    def interrupt() -> None:
        raise Interruption

    monkeypatch.setattr(os, "fsync", lambda _: None)
    store = CheckpointStore(tmp_path)
    store.save(snapshot_of(0))
    files = set()
    for line in range(1, 10_000):
        before = count_of(load_snapshot(tmp_path))
        try:
            with at_line(line, interrupt):
                store.save(snapshot_of(before + 1))
        except Interruption:
            assert count_of(load_snapshot(tmp_path)) in (before, before + 1)
            # The run that was interrupted saves once more.
            store.save(snapshot_of(before + 1))
            assert count_of(load_snapshot(tmp_path)) == before + 1
            files.add(len(os.listdir(tmp_path)))
        else:
            break
    assert line > 100
    assert max(files) == len(["manifest", "lock", *snapshot_of(9).arrays, *snapshot_of(9).pairs])


def test_a_full_disk_leaves_the_snapshot_before_and_no_pieces(tmp_path: Path) -> None:
    messages = run(RUN_OUT_OF_DISK, tmp_path).splitlines()
    assert len(messages) == 5
    for message in messages:
        assert f"The checkpoint in {tmp_path} could not be written: File too large" in message
        assert "Make room" in message


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_failing_disk_leaves_the_old_snapshot_or_the_new(
    tmp_path: Path, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    works, calls = getattr(os, function), 0

    def failing(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == failing_call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return works(*arguments)

    store = CheckpointStore(tmp_path)
    store.save(snapshot_of(0))
    failing_call, failures = 0, 0
    monkeypatch.setattr(os, function, failing)
    while failures == failing_call:
        failing_call, calls = failing_call + 1, 0
        before = count_of(load_snapshot(tmp_path))
        try:
            store.save(snapshot_of(before + 1))
        except CheckpointWriteError as error:
            failures += 1
            message = str(error)
            assert count_of(load_snapshot(tmp_path)) in (before, before + 1)
            # One more go, without the fault.
            store.save(snapshot_of(before + 1))
            assert count_of(load_snapshot(tmp_path)) == before + 1
    assert "No space left on device" in message
    assert failures == (
        1 if function == "replace" else len(["x", "best", "s", "manifest", "directory"])
    )
    assert len(os.listdir(tmp_path)) == 2 + 2 + 2


def test_a_power_cut_finds_every_file_on_the_disk_before_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    events: list[str] = []
    fsync, replace, unlink = os.fsync, os.replace, os.unlink

    def recorded_fsync(descriptor: int) -> None:
        fsync(descriptor)
        synced.append(os.fstat(descriptor).st_ino)
        events.append("fsync")

    def recorded_replace(source: Path, target: Path) -> None:
        new = {path.stat().st_ino for path in tmp_path.glob("*.f32")} - old
        assert {*new, source.stat().st_ino} == set(synced)
        replace(source, target)
        events.append("replace")

    def recorded_unlink(path: Path) -> None:
        if path.exists():
            events.append("unlink")
        unlink(path)

    store = CheckpointStore(tmp_path)
    store.save(snapshot_of(5))
    old = {path.stat().st_ino for path in tmp_path.glob("*.f32")}
    for name, function in (
        ("fsync", recorded_fsync),
        ("replace", recorded_replace),
        ("unlink", recorded_unlink),
    ):
        monkeypatch.setattr(os, name, function)
    store.save(snapshot_of(6))
    # Two arrays, a pair, the manifest; its new name; and only then the old arrays and pair go.
    assert events == ["fsync"] * 4 + ["replace", "fsync"] + ["unlink"] * 3
    assert synced[-1] == tmp_path.stat().st_ino


def test_finish_says_what_it_could_not_remove(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CheckpointStore(tmp_path)
    store.save(Snapshot({}))

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        with pytest.raises(CheckpointWriteError, match="could not be removed: Read-only"):
            store.finish()
    CheckpointStore(tmp_path).finish()
    assert not tmp_path.exists()
