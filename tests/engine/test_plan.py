"""The plan: within its budget, the fastest that fits, and honest when nothing does."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streamed_networks import network_of, streamed_in_double, task_of

from impasto.engine import plan as plan_module
from impasto.engine.backends import open_backend
from impasto.engine.keepings import keepings
from impasto.engine.network import network_for
from impasto.engine.optimizers import history_of
from impasto.engine.options import Options
from impasto.engine.plan import Plan, Request, budget_of, largest_size, plan_run
from impasto.engine.presets import preset_options
from impasto.engine.streaming import Keeping
from impasto.errors import OptionError
from impasto.export.encoder import Encoder
from impasto.models import load_model
from impasto.models.layer import Pooling, PoolRounding
from impasto.models.registry import model_spec
from impasto.models.weights.random_weights import random_weights

GB = 2**30


def request(options: Options, budget: float | None, base: int = 200 << 20) -> Request:
    backend = open_backend("onnxruntime", "f32", 1)
    network = network_for(load_model("vgg19"), options)
    size = (3000, 4000)
    return Request(
        options, network, backend, size, [size], base, None if budget is None else int(budget)
    )


def last_of(plan: Plan) -> tuple[str, float]:
    return plan.scales[-1].execution.mode, plan.scales[-1].work


def test_small_pictures_are_computed_in_one_piece() -> None:
    plan = plan_run(request(Options(), 8 * GB))
    (scale,) = plan.scales
    assert scale.size == (384, 512)
    assert scale.execution.mode == "whole"
    assert scale.execution.part_size is None
    assert scale.execution.history == 30


@pytest.mark.parametrize("gigabytes", [2, 3, 4, 6, 8, 12, 24])
def test_every_scale_fits_the_budget(gigabytes: float) -> None:
    plan = plan_run(request(Options(size=1536), gigabytes * GB))
    assert plan.peak <= gigabytes * GB
    assert [scale.size[1] for scale in plan.scales] == [384, 768, 1536]


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs-numpy"])
@pytest.mark.parametrize("size", [512, 2048])
def test_no_plan_that_fits_is_better_than_the_first_plain_one(size: int, optimizer: Any) -> None:
    """Looking ends there; here it goes on."""
    asked = request(Options(size=size, scales="1", optimizer=optimizer), None)
    (scale,) = asked.options.schedule
    every = list(plan_module._scale_plans(asked, scale, asked.base))
    assert every[0].execution.is_plain
    assert len(every) > 5
    best = min(every, key=lambda plan: plan_module._order(plan, leanest=False))
    assert best == every[0]


def test_more_memory_is_never_slower() -> None:
    options = Options(size=2048, optimizer="adam")
    work = [last_of(plan_run(request(options, n * GB)))[1] for n in (2, 3, 4, 6, 8, 16, 32)]
    assert work == sorted(work, reverse=True)
    assert work[0] > work[-1]


def test_large_pictures_are_cut_and_without_a_limit_they_are_not() -> None:
    options = Options(size=4096, scales="1", optimizer="adam")
    cut = plan_run(request(options, 6 * GB)).scales[-1].execution
    assert cut.mode == "tiled"
    assert cut.parts > 10
    assert plan_run(request(options, None)).scales[-1].execution.mode == "whole"


def test_a_tile_that_was_asked_for_is_taken() -> None:
    tiled = plan_run(request(Options(tile="48"), 8 * GB)).scales[-1].execution
    assert (tiled.mode, tiled.part_size) == ("tiled", 48)
    whole = plan_run(request(Options(size=2048, scales="1", tile="whole"), 64 * GB))
    assert whole.scales[-1].execution.mode == "whole"
    with pytest.raises(OptionError, match="with --tile whole needs about"):
        plan_run(request(Options(size=2048, scales="1", tile="whole"), 4 * GB))


def test_what_does_not_fit_is_refused_with_the_largest_size_that_does() -> None:
    asked = request(Options(size=8192, memory="2G"), 2 * GB)
    with pytest.raises(OptionError) as caught:
        plan_run(asked)
    told = re.search(r"largest --size that fits is (\d+)", str(caught.value))
    assert told
    assert "--memory 2G" in str(caught.value)
    largest = int(told[1])
    assert largest == largest_size(asked)
    assert plan_run(replace(asked, options=replace(asked.options, size=largest))).peak <= 2 * GB
    with pytest.raises(OptionError):
        plan_run(replace(asked, options=replace(asked.options, size=largest + 64)))


def test_nothing_fits_into_almost_nothing() -> None:
    with pytest.raises(OptionError, match="No size fits"):
        plan_run(request(Options(), 0.1 * GB))


def test_little_memory_shortens_the_history_or_puts_it_on_disk() -> None:
    options = Options(size=4096, scales="1", history=100, iterations=100)
    seen = set()
    for gigabytes in (5, 6, 8, 12, 16, 128):
        execution = plan_run(request(options, gigabytes * GB)).scales[-1].execution
        seen.add((execution.history, execution.on_disk))
        assert execution.reduced == (execution.history < 100)
    assert (100, False) in seen
    assert any(history < 100 or on_disk for history, on_disk in seen)


@pytest.mark.parametrize("history", [0, 30])
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_only_the_float32_l_bfgs_changes_its_history(optimizer: str, history: int) -> None:
    options = Options(size=1024, optimizer=optimizer, history=history)  # type: ignore[arg-type]
    for scale in plan_run(request(options, 6 * GB)).scales:
        assert scale.execution.history == history_of(options)
        assert not scale.execution.on_disk


@pytest.mark.parametrize(("work", "better"), [(0.95, False), (0.85, True)])
def test_half_the_pairs_have_to_save_a_tenth_of_the_work(work: float, better: bool) -> None:
    plan = plan_run(request(Options(), 8 * GB)).scales[-1]
    fewer = replace(plan, work=work * plan.work, execution=replace(plan.execution, history=15))
    orders = [plan_module._order(each, leanest=False) for each in (fewer, plan)]
    assert (orders[0] < orders[1]) == better


def test_optimizers_have_histories_of_their_own() -> None:
    assert history_of(Options()) == 30
    assert history_of(Options(preconditioner="none")) == 20
    assert history_of(Options(optimizer="lbfgs")) == 10
    assert history_of(Options(optimizer="lbfgs", history=7)) == 7
    assert plan_run(request(Options(history=7), 8 * GB)).scales[-1].execution.history == 7


def test_signs_are_kept_only_where_they_tell_a_maximum() -> None:
    names = {"floor": True, "ceil": False}
    for rounding, expected in names.items():
        options = Options(pool_rounding=rounding)  # type: ignore[arg-type]
        network = network_for(load_model("vgg19"), options)
        assert any(kept.signs for kept in keepings(network, "f32")) is expected
        assert not any(kept.signs or kept.features for kept in keepings(network, "bf16"))
    spec, options = model_spec("nin"), preset_options("nin", {})
    chain = spec.architecture.truncated(options.content_layers)
    encoder = Encoder(
        "nin", chain.layers, random_weights(spec.architecture, seed=1), spec.preprocessing
    )
    nin = replace(network_for(load_model("vgg19"), Options()), encoder=encoder)
    assert not any(kept.signs for kept in keepings(nin, "f32"))


def test_the_budget_is_what_was_asked_for_or_what_is_free() -> None:
    assert budget_of(Options(memory="1.5G")) == 3 * 2**29
    free = budget_of(Options())
    assert free is None or free > 2**28


@settings(max_examples=4, derandomize=True, deadline=None)
@given(
    st.sampled_from([Options(size=2048, scales="1"), Options(size=3000, optimizer="adam")]),
    st.lists(st.integers(1 << 30, 40 << 30), min_size=2, max_size=2, unique=True),
)
def test_no_budget_is_better_used_by_less_memory(options: Options, budgets: list[int]) -> None:
    """Each scale is as fast with more memory, but for the evaluations that few pairs cost."""
    few, much = (plan_or_none(request(options, budget)) for budget in sorted(budgets))
    if few is None:
        return
    assert much is not None
    for lean, rich in zip(few.scales, much.scales, strict=True):
        assert rich.work <= lean.work or rich.execution.history > lean.execution.history
        assert lean.memory.peak <= min(budgets)
        assert rich.memory.peak <= max(budgets)


def plan_or_none(asked: Request) -> Plan | None:
    try:
        return plan_run(asked)
    except OptionError:
        return None


@pytest.mark.parametrize("size", [(100, 1000), (1000, 90)])
@pytest.mark.parametrize("changes", [{}, {"tile": "16"}, {"style_scale": 0.1}], ids=str)
@pytest.mark.parametrize("megabytes", [1, 900])
def test_the_largest_size_is_one_that_the_network_takes(
    megabytes: int, changes: dict[str, Any], size: tuple[int, int]
) -> None:
    """Long pictures at small sizes have no features at all, which is no reason to fail."""
    asked = replace(
        request(Options(**changes), megabytes << 20),
        content=(400, 1000),
        styles=[size, (100, 1000)],
    )
    largest = largest_size(asked)
    assert largest % 32 == 0
    if largest:
        assert plan_or_none(replace(asked, options=at(asked.options, largest)))
        assert not plan_or_none(replace(asked, options=at(asked.options, largest + 32)))


def at(options: Options, size: int) -> Options:
    return replace(options, size=size, scales="1")


@pytest.mark.parametrize("pooling", ["max", "avg"])
@pytest.mark.parametrize(
    ("name", "rounding"), [("vgg19", "ceil"), ("vgg19", "floor"), ("nin", None)]
)
def test_whatever_is_planned_can_be_computed(
    name: str, rounding: PoolRounding | None, pooling: Pooling
) -> None:
    """Overlapping poolings and those that round up have no signs; and nothing else is refused."""
    task = task_of(name, (67, 75), pooling, rounding)
    wide = network_of(name, pooling, rounding, narrowed=1)
    planned = {Keeping()}
    for gigabytes in (1, 1.25, 1.5, 2, 4, 8):
        budget = int(gigabytes * GB)
        asked = replace(request(Options(size=2048, scales="1"), budget), network=wide)
        plan = plan_or_none(asked)
        keeping = plan and plan.scales[-1].execution.keeping
        planned |= {keeping} if keeping else set()
    assert len(planned) > 1
    for keeping in planned:
        loss, gradient = streamed_in_double(task, 16, keeping)(task.image)
        assert loss == pytest.approx(sum(task.losses.values()), rel=1e-10)
        assert np.abs(gradient[0] - task.gradient).max() <= 1e-10 * np.abs(task.gradient).max()
