"""The checker itself: it must catch a rule that is nearly right."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from impasto.errors import DifferentiationError
from impasto.export.checks import check_vjp, separated_values
from impasto.export.graph import GraphBuilder
from impasto.export.registry import PORTABLE, Cotangents, VjpContext


def tanh_model() -> onnx.ModelProto:
    graph = GraphBuilder(dtype=np.float64)
    graph.output(graph.op("Tanh", graph.input("x", (2, 3))), "y", (2, 3))
    return graph.build("tanh")


def test_a_right_rule_passes() -> None:
    check_vjp(tanh_model(), ["x"], seed=1)


def test_an_error_of_a_billionth_is_caught_and_described() -> None:
    def nearly_tanh(ctx: VjpContext) -> Cotangents:
        (right,) = PORTABLE.rules["Tanh"](ctx)
        return [ctx.op("Mul", str(right), ctx.constant(1 + 1e-9))]

    with pytest.raises(AssertionError) as caught:
        check_vjp(tanh_model(), ["x"], seed=1, rules=PORTABLE.override(Tanh=nearly_tanh))
    message = str(caught.value)
    assert "Tanh" in message
    assert "seed 1" in message
    assert message.count("= ") >= 2  # both numbers


def test_a_gradient_of_another_shape_is_caught() -> None:
    def flat_tanh(ctx: VjpContext) -> Cotangents:
        (right,) = PORTABLE.rules["Tanh"](ctx)
        return [ctx.op("ReduceSum", str(right), ctx.constant([0]))]

    with pytest.raises(AssertionError, match=r"shape \(1, 3\), the input has \(2, 3\)"):
        check_vjp(tanh_model(), ["x"], rules=PORTABLE.override(Tanh=flat_tanh))


def test_a_symbolic_input_needs_values() -> None:
    graph = GraphBuilder(dtype=np.float64)
    graph.output(graph.op("Relu", graph.input("x", ("n",))), "y", ("n",))
    model = graph.build("relu")
    with pytest.raises(DifferentiationError, match="symbolic size: give feeds"):
        check_vjp(model, ["x"])
    check_vjp(model, ["x"], {"x": separated_values((5,), np.random.default_rng(0))})


def test_default_values_keep_their_distance() -> None:
    values = np.sort(separated_values((4, 25), np.random.default_rng(0)).ravel())
    assert np.diff(values).min() > 0.019
    assert np.abs(values).min() > 0.009
