"""What is benchmarked, and what becomes of processes that fail; nothing is timed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from impasto.engine.backends import available_backends, choose
from impasto.engine.bench import Bench
from impasto.engine.bench_jobs import Configuration, Job, configurations
from impasto.engine.bench_process import TIMED, generated_picture, measure
from impasto.engine.bench_report import Spread
from impasto.engine.machine import available_cores
from impasto.errors import BackendUnavailableError, OptionError, UnknownNameError, WeightsError

SMALL = Configuration("nin", "onnxruntime", "f32", 1, 64)


def test_by_default_everything_of_this_machine_is_measured() -> None:
    here = [
        (info.name, precision)
        for info in available_backends()
        if info.available
        for precision in info.precisions
    ]
    found = configurations()
    assert [(each.backend, each.precision) for each in found] == here
    assert {(each.model, each.size, each.threads) for each in found} == {
        ("vgg19", 512, available_cores())
    }


def test_combinations_are_all_there_and_none_is_twice() -> None:
    found = configurations(
        ["vgg19", "nin"], [64, 128, 64], [1, 2], ["onnxruntime", "onnxruntime"], ["f32", "auto"]
    )
    assert len(found) == len(set(found)) == 2 * 2 * 2
    assert {each.precision for each in found} == {"f32"}


def test_auto_is_what_a_run_chooses() -> None:
    (found,) = configurations(backends=["auto"])
    assert (found.backend, found.precision) == choose()[:2]


@pytest.mark.parametrize(
    ("backends", "precisions"),
    [(["onnxruntime"], ["f32", "bf16"]), (["onnxruntime"], ["bf16"])],
)
def test_a_precision_that_nothing_has_is_refused(
    backends: Sequence[str], precisions: Sequence[str]
) -> None:
    with pytest.raises(BackendUnavailableError, match="bf16"):
        configurations(backends=backends, precisions=precisions)


def test_unknown_names_and_sizes_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="onnxruntim"):
        configurations(backends=["onnxruntim"])
    with pytest.raises(UnknownNameError, match="vgg"):
        configurations(models=["vgg"])
    with pytest.raises(OptionError, match="--size is 3"):
        configurations(sizes=[3])


def test_each_model_has_the_weights_given_in_its_place() -> None:
    files = [Path("first.pth"), Path("second.pth")]
    found = configurations(["vgg19", "vgg19"], [64], [1], ["onnxruntime"], weights=files)
    assert [(each.model, each.weights) for each in found] == [
        ("vgg19", "first.pth"),
        ("vgg19", "second.pth"),
    ]
    assert [each.options.weights for each in found] == files
    with pytest.raises(OptionError, match="1 --weights for 2 --model"):
        configurations(["vgg19", "nin"], weights=files[:1])


def test_layers_are_those_of_the_models_preset() -> None:
    assert SMALL.options.style_layers == ("relu0", "relu3", "relu7", "relu12")
    assert dataclasses.replace(SMALL, model="vgg16-caffe").options.content_layers == ("relu4_2",)


def test_a_job_survives_its_text() -> None:
    job = Job("picture", SMALL, 3, 7, "photo.png", ("a.png", "b.png"))
    assert Job.from_json(job.to_json()) == job


def test_pictures_without_weights_are_refused_before_anything_runs() -> None:
    Bench([SMALL]).check()
    with pytest.raises(WeightsError, match="nin"):
        Bench([SMALL], whole=True).check()


def test_a_failure_is_told_and_not_tried_again() -> None:
    broken = dataclasses.replace(SMALL, lowering="sideways")
    bench = Bench([broken, SMALL], rounds=2, runs=1, optimizers=False)
    assert [job.configuration for job in bench.run()] == [broken, SMALL, SMALL]
    report = bench.report()
    assert [each.configuration for each in report.evaluations] == [SMALL]
    assert len(report.evaluations[0].evaluation.seconds) == 2
    (reason,) = report.failures.values()
    assert "Unknown lowering 'sideways'" in reason


def test_a_process_that_breaks_is_a_failure() -> None:
    bench = Bench([dataclasses.replace(SMALL, size=-1)], rounds=1, optimizers=False)
    assert len(list(bench.run())) == len(bench) == 1
    (reason,) = bench.report().failures.values()
    assert "--size is -1" in reason


def test_nothing_measured_is_an_empty_report() -> None:
    report = Bench([SMALL]).report().to_dict()
    assert report["evaluations"] == report["optimizers"] == report["pictures"] == []
    assert report["rounds_done"] == 0


def test_optimizers_are_timed_once_for_each_size_and_threads() -> None:
    others = [dataclasses.replace(SMALL, model="vgg19"), dataclasses.replace(SMALL, threads=2)]
    kinds = [job.kind for job in Bench([SMALL, *others])._jobs()]
    assert kinds == ["evaluation"] * 3 + ["optimizers"] * 2


def test_an_optimizers_own_time_is_told_by_iterations_that_belong_together() -> None:
    told = measure(Job("optimizers", dataclasses.replace(SMALL, size=32), runs=1))
    for name in ("lbfgs", "lbfgs-numpy", "adam"):
        assert told[name]
        assert all(0 <= second < math.inf for second in told[name])
    assert len(told["adam"]) == TIMED


def test_a_spread_is_of_all_seconds() -> None:
    told = Spread((3.0, 1.0, 2.0, 10.0)).to_dict()
    assert told == {"median": 2.5, "min": 1.0, "max": 10.0, "seconds": [3.0, 1.0, 2.0, 10.0]}


def test_generated_pictures_have_detail_and_are_not_alike() -> None:
    first, second = (generated_picture(48, 64, seed) for seed in (1, 2))
    assert first.shape == (48, 64, 3)
    assert first.dtype == np.uint8
    assert not np.array_equal(first, second)
    assert min(first.std(), second.std()) > 20
