"""Pictures painted one after another share what they can, and come out as if painted alone."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from stopped_runs import SHORT, assert_same, write_pictures

from impasto import Options, load_image, stylize
from impasto.engine.backends.onnxruntime_cpu import OnnxRuntimeCpu, OnnxRuntimeGraph
from impasto.engine.inputs import Image
from impasto.engine.studio import Studio
from impasto.export.light import LightModel

QUICK = replace(SHORT, size=48, scales="1", iterations=4)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path_factory.getbasetemp() / "impasto-cache"))


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[list[Image], Path]:
    """Photos of which the first two and the last two are of one size, and a painting."""
    photo, painting = write_pictures(tmp_path)
    first = load_image(photo)
    upright = np.ascontiguousarray(first.transpose(1, 0, 2))
    return [first, first[::-1].copy(), upright, upright[:, ::-1].copy()], painting


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note the first output of every graph that is compiled."""
    names: list[str] = []
    compile_it = OnnxRuntimeCpu.compile

    def noting(
        self: OnnxRuntimeCpu,
        model: onnx.ModelProto | LightModel,
        outputs: Sequence[str] | None = None,
        *,
        one_of_many: bool = False,
    ) -> OnnxRuntimeGraph:
        names.append(LightModel.of(model).model.graph.output[0].name)
        return compile_it(self, model, outputs, one_of_many=one_of_many)

    monkeypatch.setattr(OnnxRuntimeCpu, "compile", noting)
    return names


@pytest.mark.parametrize(
    "options",
    [
        QUICK,
        replace(QUICK, scales="2", size=64),
        replace(QUICK, tile="16"),
        replace(QUICK, init="noise", optimizer="adam"),
    ],
    ids=["whole", "two scales", "strips", "noise with Adam"],
)
def test_each_is_what_it_would_be_alone(
    options: Options, pictures: tuple[list[Image], Path]
) -> None:
    photos, painting = pictures
    studio = Studio(options)
    for photo in photos:
        together = studio.paint(studio.prepare(photo, [painting]))
        assert_same(together, stylize(photo, [painting], options))


def test_the_gradient_is_compiled_once_a_size(
    pictures: tuple[list[Image], Path], compiled: list[str]
) -> None:
    photos, painting = pictures
    stylize(photos[0], [painting], QUICK)  # verified, and the style's targets kept
    stylize(photos[2], [painting], QUICK)
    compiled.clear()
    studio = Studio(QUICK)
    for photo in photos:
        studio.paint(studio.prepare(photo, [painting]))
    assert compiled.count("loss") == 2
    assert not any(name.startswith("gram.") for name in compiled)
    compiled.clear()
    for photo in photos:
        stylize(photo, [painting], QUICK)
    assert compiled.count("loss") == 4


def test_what_the_budget_has_no_room_for_is_not_kept(
    pictures: tuple[list[Image], Path], compiled: list[str]
) -> None:
    photos, painting = pictures
    stylize(photos[0], [painting], QUICK)
    plan = Studio(QUICK).prepare(photos[0], [painting]).plan
    memory = plan.scales[-1].memory
    # Enough for the picture, but not for the next one's targets beside its gradient.
    tight = memory.peak + memory.targets // 2
    options = replace(QUICK, memory=f"{tight / 0.9 / 2**20:.2f}M")
    compiled.clear()
    studio = Studio(options)
    for photo in photos[:2]:
        studio.paint(studio.prepare(photo, [painting]))
    assert compiled.count("loss") == 2


def test_nothing_of_a_picture_stays(pictures: tuple[list[Image], Path]) -> None:
    photos, painting = pictures
    studio = Studio(QUICK)
    kept = []
    for photo in [*photos, *photos]:
        prepared = studio.prepare(photo, [painting])
        result = studio.paint(prepared)
        kept += [weakref.ref(prepared.inputs.content), weakref.ref(result.image)]
        del prepared, result
        gc.collect()
        # Counted, and not listed: a list would keep them.
        assert sum(type(each) is OnnxRuntimeGraph for each in gc.get_objects()) <= 1
    assert not [ref for ref in kept if ref() is not None]


def test_a_picture_that_fails_does_not_spoil_the_next(pictures: tuple[list[Image], Path]) -> None:
    photos, painting = pictures
    studio = Studio(QUICK)

    def fail(_: object) -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        studio.paint(studio.prepare(photos[0], [painting]), callback=fail)
    together = studio.paint(studio.prepare(photos[1], [painting]))
    assert_same(together, stylize(photos[1], [painting], QUICK))
