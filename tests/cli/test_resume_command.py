"""`impasto resume`: the picture is the one the run would have given, however it was stopped."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from stopped_runs import SHORT, stop_after

from impasto import Iterate, stylize
from impasto.engine.checkpoint import CheckpointStore, has_snapshot, load_snapshot
from impasto.errors import CheckpointWriteError

Impasto = Callable[..., Any]

RUN = (
    *("--size", "64", "--scales", "2", "--iterations", "40", "--seed", "1"),
    *("--content-layers", "relu2_1", "--style-layers", "relu1_1,relu2_1"),
    *("--backend", "onnxruntime", "--precision", "f32", "--threads", "1"),
)
STEPS = 60
BRIEF = (*RUN, "--iterations", "5")
"""5 steps at 32 pixels and 5 at 64."""

SAVING_ALWAYS = "import impasto.engine.autosave as autosave; autosave.INTERVAL = 0.0;"
SMALL_FILES = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000));"
MAIN = "from impasto.cli import main; main()"


@pytest.fixture
def checkpoint(pictures: Path) -> Path:
    return pictures / "checkpoint"


@pytest.fixture
def job(pictures: Path) -> tuple[str | Path, ...]:
    return ("paint", pictures / "photo.png", pictures / "painting.png", "-o", pictures / "out.png")


def pixels(path: Path) -> Any:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def start(program: str, *arguments: str | Path) -> subprocess.Popen[str]:
    """Start a process of its own, with pipes for its output."""
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def refused(result: Any, *words: str) -> None:
    """Check that a command was refused in one line with these words."""
    assert result.code == 2
    assert result.out == ""
    assert len(result.err.splitlines()) == len(result.messages) == 1
    for word in words:
        assert word in result.err


# -- SIGKILL -------------------------------------------------------------------------------------


def kill(process: subprocess.Popen[str], after: int, checkpoint: Path, spins: int) -> bool:
    """Kill a run after so many lines of progress and a moment more; return whether it was at work.

    After 0 lines is when it has a checkpoint, which comes before its first step.
    """
    assert process.stderr is not None
    while after == 0 and not has_snapshot(checkpoint) and process.poll() is None:
        pass
    while after > 0 and (line := process.stderr.readline()):
        after -= line.startswith("iteration ")
    for _ in range(spins):
        has_snapshot(checkpoint)
    process.kill()
    process.communicate()
    return process.returncode == -signal.SIGKILL and has_snapshot(checkpoint)


@pytest.mark.parametrize(
    ("flags", "kills"),
    [
        (("--optimizer", "lbfgs-numpy", "--history", "5"), 8),
        (("--optimizer", "adam"), 7),
        (("--tile", "16", "--init", "noise"), 5),
    ],
)
def test_a_run_killed_at_any_moment_resumes_to_the_same_picture(
    flags: tuple[str, ...],
    kills: int,
    impasto: Impasto,
    job: tuple[str | Path, ...],
    checkpoint: Path,
) -> None:
    out = Path(job[-1])
    expected = json.loads(impasto(*job, *RUN, *flags, "--json").out)
    picture = pixels(out)
    seed = secrets.randbits(32)
    print("seed", seed)  # shown if the test fails
    chance = random.Random(seed)
    killing = (*job, *RUN, *flags, "--print-every", "1", "--checkpoint", checkpoint)
    killed = attempts = 0
    while killed < kills:
        attempts += 1
        assert attempts <= 4 * kills, "The runs end before they can be killed."
        out.unlink()
        after = 0 if killed == 0 else chance.randrange(1, STEPS - 15)
        spins = chance.randrange(5000)
        print("kill after", after, "lines, spins", spins)
        stopped = kill(start(SAVING_ALWAYS + MAIN, *killing), after, checkpoint, spins)
        if stopped and killed % 4 == 3:
            again = start(SAVING_ALWAYS + MAIN, "resume", checkpoint)
            stopped = kill(again, chance.randrange(10), checkpoint, chance.randrange(5000))
        if stopped:
            killed += 1
            report = json.loads(impasto("resume", checkpoint, "--json").out)
            # A line is printed before its step is saved.
            assert max(0, after - 1) <= report["resumed_from"] <= STEPS
            for key in ("status", "iterations", "evaluations", "loss", "losses", "scales"):
                assert report[key] == expected[key]
            assert not checkpoint.exists()
        np.testing.assert_array_equal(pixels(out), picture)


# -- Ctrl-C --------------------------------------------------------------------------------------


@pytest.fixture
def press_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let Ctrl-C be pressed in `paint` or `resume` after a step, once or several times."""

    def prepare(iteration: int, times: int = 1) -> None:
        def report(iterate: Iterate) -> None:
            if iterate.iteration == iteration:
                for _ in range(times):
                    signal.raise_signal(signal.SIGINT)

        @contextlib.contextmanager
        def progress(*_: object) -> Iterator[Callable[[Iterate], None]]:
            yield report

        monkeypatch.setattr("impasto.cli.session.painting_progress", progress)
        monkeypatch.setattr("impasto.cli.resume.painting_progress", progress)

    return prepare


@pytest.fixture
def stopped(
    impasto: Impasto,
    job: tuple[str | Path, ...],
    checkpoint: Path,
    press_ctrl_c: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """The checkpoint of a run that was stopped after 3 steps."""
    monkeypatch.setattr("impasto.engine.autosave.INTERVAL", 0.0)
    press_ctrl_c(3)
    assert impasto(*job, *BRIEF, "--checkpoint", checkpoint).code == 130
    press_ctrl_c(0)
    return checkpoint


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_says_how_to_go_on(
    times: int,
    impasto: Impasto,
    job: tuple[str | Path, ...],
    checkpoint: Path,
    press_ctrl_c: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("impasto.engine.autosave.INTERVAL", 0.0)
    out = Path(job[-1])
    assert impasto(*job, *BRIEF).code == 0
    expected = pixels(out)
    out.unlink()

    press_ctrl_c(7, times)
    result = impasto(*job, *BRIEF, "--checkpoint", checkpoint)
    assert result.code == 130
    assert result.messages[-1] == f"impasto: `impasto resume {checkpoint}` goes on with this run."
    assert pixels(out).shape == expected.shape
    assert np.any(pixels(out) != expected)

    # The second Ctrl-C comes before the step is saved.
    press_ctrl_c(9)
    result = impasto("resume", checkpoint)
    assert result.code == 130
    assert f"impasto: resumed from iteration {8 - times}." in result.messages

    press_ctrl_c(0)
    result = impasto("resume", checkpoint, "--json")
    assert result.code == 0
    assert json.loads(result.out)["resumed_from"] == 9
    np.testing.assert_array_equal(pixels(out), expected)
    assert not checkpoint.exists()


def test_ctrl_c_before_the_first_step_can_be_resumed(
    impasto: Impasto,
    job: tuple[str | Path, ...],
    checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = Path(job[-1])
    assert impasto(*job, *BRIEF).code == 0
    expected = pixels(out)
    out.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(
            "impasto.engine.stylize.verified", lambda *_: signal.raise_signal(signal.SIGINT)
        )
        result = impasto(*job, *BRIEF, "--checkpoint", checkpoint)
    assert result.code == 130
    assert f"nothing was saved. `impasto resume {checkpoint}` goes on." in result.messages[-1]
    assert not out.exists()
    report = json.loads(impasto("resume", checkpoint, "--json").out)
    assert report["resumed_from"] == 0
    np.testing.assert_array_equal(pixels(out), expected)


def test_milestones_go_on(
    impasto: Impasto,
    job: tuple[str | Path, ...],
    checkpoint: Path,
    press_ctrl_c: Callable[..., None],
) -> None:
    out = Path(job[-1])

    def milestones() -> dict[str, Any]:
        return {path.name: pixels(path) for path in out.parent.glob("out_*.png")}

    assert impasto(*job, *BRIEF, "--save-every", "2").code == 0
    expected = milestones()
    assert sorted(expected) == [f"out_{k}.png" for k in (2, 4, 6, 8)]
    for name in expected:
        out.with_name(name).unlink()
    press_ctrl_c(5)
    stopping = ("--overwrite", "--save-every", "2", "--checkpoint", checkpoint)
    assert impasto(*job, *BRIEF, *stopping).code == 130
    assert sorted(milestones()) == ["out_2.png", "out_4.png"]
    assert impasto("resume", checkpoint).code == 0
    found = milestones()
    assert found.keys() == expected.keys()
    for name, picture in expected.items():
        np.testing.assert_array_equal(found[name], picture)


# -- where checkpoints are -----------------------------------------------------------------------


def test_a_checkpoint_is_not_replaced_unasked(
    impasto: Impasto, job: tuple[str | Path, ...], stopped: Path
) -> None:
    Path(job[-1]).unlink()
    before = load_snapshot(stopped).header
    again = (*job, *BRIEF, "--checkpoint", stopped, "--print-every", "0")
    refused(impasto(*again), f"`impasto resume {stopped}`", "--overwrite starts again")
    assert load_snapshot(stopped).header == before
    assert impasto(*again, "--overwrite").code == 0
    assert not stopped.exists()


def test_a_directory_of_other_files_is_no_place_for_a_checkpoint(
    impasto: Impasto, job: tuple[str | Path, ...], pictures: Path
) -> None:
    quiet = (*job, *BRIEF, "--print-every", "0")
    refused(impasto(*quiet, "--checkpoint", pictures), "holds no checkpoint")
    assert (pictures / "photo.png").exists()


@pytest.mark.parametrize(
    ("large", "flags", "made"),
    [(63, (), True), (64, (), False), (63, ("--checkpoint", "off"), False)],
)
def test_large_pictures_have_a_checkpoint_beside_them(
    large: int,
    flags: tuple[str, ...],
    made: bool,
    impasto: Impasto,
    job: tuple[str | Path, ...],
    press_ctrl_c: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("impasto.cli.session.LARGE", large)
    press_ctrl_c(3)
    result = impasto(*job, *BRIEF, *flags)
    assert result.code == 130
    beside = Path(f"{job[-1]}.checkpoint")
    assert beside.exists() == made
    assert ("impasto resume" in result.err) == made
    if made:
        assert impasto("resume", beside).code == 0
        assert not beside.exists()


# -- where the picture goes ----------------------------------------------------------------------


def test_the_picture_goes_where_it_was_to_go_from_any_directory(
    impasto: Impasto,
    job: tuple[str | Path, ...],
    checkpoint: Path,
    press_ctrl_c: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = Path(job[-1]).parent
    monkeypatch.chdir(folder)
    press_ctrl_c(3)
    relative = ("paint", "photo.png", "painting.png", "-o", "out.png")
    assert impasto(*relative, *BRIEF, "--checkpoint", "checkpoint").code == 130
    monkeypatch.chdir(folder / "nothing")
    result = impasto("resume", checkpoint)
    assert result.code == 0
    assert result.last_line == str(folder / "out.png")


def test_another_file_can_be_given(impasto: Impasto, stopped: Path, pictures: Path) -> None:
    unfinished = pixels(pictures / "out.png")
    refused(impasto("resume", stopped, "-o", pictures / "old.png"), "old.png", "--overwrite")
    refused(impasto("resume", stopped, "-o", pictures / "photo.png", "--overwrite"), "photo.png")
    other = pictures / "other.png"
    result = impasto("resume", stopped, "-o", other)
    assert result.code == 0
    assert result.last_line == str(other)
    assert np.any(pixels(other) != unfinished)
    np.testing.assert_array_equal(pixels(pictures / "out.png"), unfinished)


def test_a_run_of_a_program_has_to_be_told_where_its_picture_goes(
    impasto: Impasto, pictures: Path, checkpoint: Path
) -> None:
    stylize(
        pictures / "photo.png",
        [pictures / "painting.png"],
        replace(SHORT, print_every=0),
        callback=stop_after(3),
        checkpoint=checkpoint,
    )
    refused(impasto("resume", checkpoint), "-o FILE")
    assert impasto("resume", checkpoint, "-o", pictures / "out.png").code == 0
    assert pixels(pictures / "out.png").shape == (48, 64, 3)


@pytest.mark.parametrize(
    "output", ["photo.png", "painting.png", "nowhere/out.png", "out.txt", "a\0b.png", "\ud800.png"]
)
def test_a_made_up_output_is_refused(
    output: str, impasto: Impasto, stopped: Path, pictures: Path
) -> None:
    before = pixels(pictures / "photo.png"), pixels(pictures / "painting.png")
    with CheckpointStore(stopped, create=False) as store:
        snapshot = store.load()
        note = {"output": f"{pictures}/{output}"}
        store.save(replace(snapshot, header={**snapshot.header, "note": note}))
    refused(impasto("resume", stopped))
    after = pixels(pictures / "photo.png"), pixels(pictures / "painting.png")
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


# -- what cannot be resumed ----------------------------------------------------------------------


def _no_directory(checkpoint: Path) -> None:
    checkpoint.rename(checkpoint.with_name("elsewhere"))


def _no_checkpoint(checkpoint: Path) -> None:
    (checkpoint / "manifest.json").unlink()


def _changed_photo(checkpoint: Path) -> None:
    photo = checkpoint.with_name("photo.png")
    Image.fromarray(255 - pixels(photo)).save(photo)


def _changed_painting(checkpoint: Path) -> None:
    painting = checkpoint.with_name("painting.png")
    Image.fromarray(255 - pixels(painting)).save(painting)


def _cut_array(checkpoint: Path) -> None:
    os.truncate(next(checkpoint.glob("*.f32")), 100)


def _cut_manifest(checkpoint: Path) -> None:
    os.truncate(checkpoint / "manifest.json", 500)


def _other_version(checkpoint: Path) -> None:
    with CheckpointStore(checkpoint, create=False) as store:
        snapshot = store.load()
        store.save(replace(snapshot, header={**snapshot.header, "run": 2}))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_no_directory, "There is no checkpoint in"),
        (_no_checkpoint, "There is no checkpoint in"),
        (_changed_photo, "photo.png has changed"),
        (_changed_painting, "painting.png has changed"),
        (_cut_array, "should be of"),
        (_cut_manifest, "manifest"),
        (_other_version, "version 2"),
    ],
)
def test_what_cannot_be_resumed_is_refused_in_one_line(
    spoil: Callable[[Path], None], words: str, impasto: Impasto, stopped: Path
) -> None:
    spoil(stopped)
    refused(impasto("resume", stopped), words)


def test_a_run_that_is_going_on_is_left_alone(impasto: Impasto, stopped: Path) -> None:
    with CheckpointStore(stopped, create=False):
        refused(impasto("resume", stopped), "in use by another run")


# -- a full disk ---------------------------------------------------------------------------------


def test_a_full_disk_is_told_once_and_the_run_goes_on(
    impasto: Impasto, job: tuple[str | Path, ...], checkpoint: Path
) -> None:
    """No file can be larger than 20 kB: the images of the second scale are, its PNG is not."""
    out = Path(job[-1])
    assert impasto(*job, *BRIEF).code == 0
    expected = pixels(out)
    out.unlink()
    process = start(
        SMALL_FILES + SAVING_ALWAYS + MAIN, *job, *BRIEF, "--checkpoint", checkpoint, "--json"
    )
    printed, messages = process.communicate()
    assert process.returncode == 0, messages
    assert len(re.findall("could not be written", messages)) == 1
    assert "The run goes on." in messages
    assert json.loads(printed)["status"] == "finished"
    np.testing.assert_array_equal(pixels(out), expected)


def test_nobody_is_sent_to_a_checkpoint_that_could_not_be_saved(
    impasto: Impasto,
    job: tuple[str | Path, ...],
    checkpoint: Path,
    press_ctrl_c: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise CheckpointWriteError("No space is left.")

    monkeypatch.setattr(CheckpointStore, "save", full)
    press_ctrl_c(3)
    result = impasto(*job, *BRIEF, "--checkpoint", checkpoint)
    assert result.code == 130
    assert result.messages.count("impasto: warning: No space is left. The run goes on.") == 1
    assert "impasto resume" not in result.err
    assert Path(job[-1]).exists()
