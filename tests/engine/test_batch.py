"""A batch: the jobs there are, what is refused before it begins, and what it does with failures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stopped_runs import SHORT, write_pictures

from impasto import Done, Options, Outcome, StylizeResult, load_image, paint_batch, stylize
from impasto.engine.batch import Job, check_jobs, jobs_of, run_jobs
from impasto.errors import ImageFileError, OptionError, OutputPathError

QUICK = replace(SHORT, size=48, scales="1", iterations=3)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path_factory.getbasetemp() / "impasto-cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photos of two sizes, one that is none, and two paintings."""
    photo, painting = write_pictures(tmp_path)
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, turn in (("a.png", 0), ("b.png", 1), ("c.png", 2)):
        with Image.open(photo) as image:
            image.rotate(90 * turn, expand=True).save(photos / name)
    (photos / "broken.png").write_text("no picture")
    with Image.open(painting) as image:
        image.rotate(180).save(tmp_path / "other.png")
    return tmp_path


def outcomes(done: Iterator[Done]) -> list[tuple[str, str]]:
    return [(each.job.output.name, each.outcome.value) for each in done]


def test_a_batch_paints_what_each_run_alone_would(folder: Path) -> None:
    styles = [folder / "painting.png", folder / "other.png"]
    done = list(paint_batch([folder / "photos"], styles, folder / "out", QUICK, each_style=True))
    names = [f"{photo}-{style}" for photo in "abc" for style in ("painting", "other")]
    painted = [each for each in done if each.outcome is Outcome.PAINTED]
    assert [each.job.output.stem for each in painted] == names
    assert {path.stem for path in (folder / "out").iterdir()} == set(names)
    for each in painted:
        alone = stylize(each.job.content, list(each.job.styles), QUICK)
        np.testing.assert_array_equal(load_image(each.job.output), alone.image)
        assert each.result
        assert each.result.loss == alone.loss
    failed = [each for each in done if each.outcome is Outcome.FAILED]
    assert [each.job.content.name for each in failed] == ["broken.png"] * 2
    assert "is not a picture" in failed[0].reason


def test_several_styles_are_blended_unless_each_is_asked_for(folder: Path) -> None:
    styles = [folder / "painting.png", folder / "other.png"]
    (job, *_) = jobs_of([folder / "photos"], styles, folder / "out", QUICK)
    assert (job.styles, job.output.name) == (tuple(styles), "a.png")
    alone = stylize(job.content, styles, QUICK)
    done = next(paint_batch([job.content], styles, folder / "out", QUICK))
    assert done.result
    np.testing.assert_array_equal(done.result.image, alone.image)


def test_existing_pictures_are_left_replaced_or_refused(folder: Path) -> None:
    out = folder / "out"
    out.mkdir()
    (out / "b.png").write_bytes(b"painted before")
    job = ([folder / "photos"], [folder / "painting.png"], out, QUICK)
    with pytest.raises(OutputPathError, match=r"1 of 4 outputs exist: .*b.png.*--skip-existing"):
        paint_batch(*job)
    assert not (out / "a.png").exists()
    assert outcomes(paint_batch(*job, existing="skip")) == [
        *(
            ("a.png", "painted"),
            ("b.png", "skipped"),
            ("broken.png", "failed"),
            ("c.png", "painted"),
        )
    ]
    assert (out / "b.png").read_bytes() == b"painted before"
    assert [how for _, how in outcomes(paint_batch(*job, existing="skip"))] == [
        *("skipped", "skipped", "failed", "skipped")
    ]
    assert outcomes(paint_batch(*job, existing="replace"))[1] == ("b.png", "painted")
    assert load_image(out / "b.png").shape == (48, 36, 3)


def test_a_cancelled_picture_ends_the_batch_and_is_not_saved(folder: Path) -> None:
    done = paint_batch(
        [folder / "photos"], [folder / "other.png"], folder / "out", QUICK, callback=lambda _: False
    )
    assert outcomes(done) == [("a.png", "unfinished")]
    assert not list((folder / "out").iterdir())


def test_fail_fast_stops_at_the_first_failure(folder: Path) -> None:
    jobs = jobs_of([folder / "photos"], [folder / "other.png"], folder / "out", QUICK)
    check_jobs(jobs, "refuse")
    errors = [MemoryError(), OSError(28, "No space left on device"), ZeroDivisionError("a bug")]
    seen = []

    def paint(job: Job) -> StylizeResult:
        seen.append(job.number)
        raise errors[job.number - 1]

    (done,) = run_jobs(jobs, paint, fail_fast=True)
    assert (done.outcome, seen) == (Outcome.FAILED, [1])
    reasons = [each.reason for each in run_jobs(jobs[:3], paint)]
    assert "memory" in reasons[0]
    assert "No space left" in reasons[1]
    assert "ZeroDivisionError: a bug" in reasons[2]


def test_ctrl_c_ends_a_batch(folder: Path) -> None:
    jobs = jobs_of([folder / "photos"], [folder / "other.png"], folder / "out", QUICK)

    def paint(_: Job) -> StylizeResult:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(run_jobs(jobs, paint))


def test_two_pictures_never_get_one_name(folder: Path) -> None:
    photos, style = folder / "photos", folder / "other.png"
    with Image.open(photos / "a.png") as image:
        image.save(photos / "A.jpg")
    with pytest.raises(OutputPathError, match=r"A.jpg and .*a.png would both .*'A.png' and 'a.p"):
        jobs_of([photos], [style], folder / "out", QUICK)
    with pytest.raises(OutputPathError, match="both"):
        jobs_of(
            [photos],
            [style, folder / "painting.png"],
            folder / "out",
            QUICK,
            each_style=True,
            name="{content}.{ext}",
        )
    assert len(jobs_of([photos], [style], folder / "out", QUICK, name="{content}.{ext}")) == 5
    assert len(jobs_of([photos], [style], folder / "out", QUICK, name="{number:02}.png")) == 5


def test_what_cannot_be_painted_is_refused_at_once(folder: Path) -> None:
    photos, style, out = folder / "photos", folder / "other.png", folder / "out"
    with pytest.raises(OutputPathError, match="is one of the inputs"):
        paint_batch([photos], [style], photos, QUICK, existing="replace")
    with pytest.raises(OutputPathError, match="is one of the inputs"):
        paint_batch([photos], [style], photos, QUICK, existing="skip")
    with pytest.raises(OptionError, match=r"Give --seed N"):
        paint_batch([photos], [style], out, replace(QUICK, seed=-1), name="{seed}-{content}.png")
    with pytest.raises(ImageFileError, match="no such file"):
        paint_batch([photos, folder / "none.png"], [style], out, QUICK)
    blend = replace(QUICK, style_blend_weights=(1, 1))
    with pytest.raises(OptionError, match="2 entries for 1 style picture"):
        paint_batch([photos], [style, folder / "painting.png"], out, blend, each_style=True)
    with pytest.raises(OptionError, match="at least one"):
        paint_batch([photos], [], out, QUICK)
    (folder / "file").touch()
    with pytest.raises(OutputPathError, match=r"--out-dir .*file"):
        paint_batch([photos], [style], folder / "file" / "out", QUICK)
    assert not out.exists()


def test_a_dangling_link_counts_as_an_output_that_exists(folder: Path) -> None:
    out = folder / "out"
    out.mkdir()
    (out / "a.png").symlink_to(folder / "elsewhere.png")
    with pytest.raises(OutputPathError, match=r"a\.png"):
        paint_batch([folder / "photos"], [folder / "other.png"], out, Options())
