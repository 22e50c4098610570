"""The reverse walk: what is reached, what adds up, what is refused; and an independent oracle."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ad
import onnxruntime
import pytest
from onnx import helper

import impasto.export.vjp  # noqa: F401  (fills the portable table)
from impasto.errors import DifferentiationError
from impasto.export.backward import append_gradient, append_vjp
from impasto.export.graph import GraphBuilder
from impasto.export.losses.style import append_products
from impasto.export.registry import PORTABLE, Cotangents, Rules, VjpContext

F32 = npt.NDArray[np.float32]


def run(model: onnx.ModelProto, **feeds: npt.ArrayLike) -> list[F32]:
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    arrays = {name: np.asarray(value, np.float32) for name, value in feeds.items()}
    found: list[F32] = session.run(None, arrays)
    return found


def finish(graph: GraphBuilder, gradient: str, size: int = 3) -> onnx.ModelProto:
    graph.output(gradient, "gradient", (size,))
    return graph.build("gradient")


# -- the walk ------------------------------------------------------------------------------------


def test_a_value_with_several_consumers_gets_one_sum() -> None:
    graph = GraphBuilder()
    x = graph.input("x", (3,))
    terms = [graph.op("Mul", x, graph.constant(factor)) for factor in (2.0, 3.0, 4.0)]
    total = graph.op("Sum", *terms, x)
    loss = graph.op("ReduceSum", total, keepdims=0)
    model = finish(graph, append_gradient(graph, loss, [x])[x])
    (gradient,) = run(model, x=[1, 2, 3])
    np.testing.assert_array_equal(gradient, [10, 10, 10])
    added = [node.name for node in model.graph.node if node.name.endswith("__grad")]
    assert added == ["x__grad"]


def test_nothing_is_computed_beside_the_path() -> None:
    graph = GraphBuilder()
    x, other = graph.input("x", (3,)), graph.input("other", (3,))
    loss = graph.op("ReduceSum", graph.op("Mul", x, graph.op("Exp", other)), keepdims=0)
    model = finish(graph, append_gradient(graph, loss, [x])[x])
    assert not any("exp" in node.name and "vjp" in node.name for node in model.graph.node)
    assert [node.op_type for node in model.graph.node].count("Exp") == 1


def test_a_value_inside_the_graph_can_be_differentiated_for() -> None:
    graph = GraphBuilder()
    x = graph.input("x", (3,))
    inner = graph.op("Mul", x, x, name="inner")
    loss = graph.op("ReduceSumSquare", inner, keepdims=0)
    gradients = append_gradient(graph, loss, [x, inner])
    assert set(gradients) == {x, inner}
    (gradient,) = run(finish(graph, gradients[inner]), x=[1, 2, 3])
    np.testing.assert_allclose(gradient, [2, 8, 18])


def test_a_seed_replaces_the_cotangent_of_one() -> None:
    graph = GraphBuilder()
    x, seed = graph.input("x", (3,)), graph.input("seed", (3,))
    y = graph.op("Mul", x, x)
    model = finish(graph, append_gradient(graph, y, [x], seed=seed)[x])
    (gradient,) = run(model, x=[1, 2, 3], seed=[1, 0, -1])
    np.testing.assert_array_equal(gradient, [2, 0, -6])


def test_no_gradient_flows_through_a_stop() -> None:
    graph = GraphBuilder()
    x = graph.input("x", (3,))
    mask = graph.op("CastLike", graph.op("Greater", x, graph.constant(1.5)), x)
    loss = graph.op("ReduceSum", graph.op("Mul", x, graph.op("Floor", mask)), keepdims=0)
    rules = PORTABLE.override(CastLike=lambda ctx: [None, None])
    (gradient,) = run(finish(graph, append_gradient(graph, loss, [x], rules)[x]), x=[1, 2, 3])
    np.testing.assert_array_equal(gradient, [0, 1, 1])


def test_an_omitted_output_does_not_reach_an_omitted_input() -> None:
    """Both are called "": a Dropout without its mask must not make Clip's bounds wanted."""
    graph = GraphBuilder()
    x = graph.input("x", (3,))
    kept = graph.op("Dropout", x)
    graph.nodes[-1].output.append("")
    clipped = graph.op("Clip", kept, "", graph.constant(2.5))
    loss = graph.op("ReduceSum", clipped, keepdims=0)
    seen: list[list[bool]] = []

    def clip_vjp(ctx: VjpContext) -> Cotangents:
        seen.append(list(ctx.wanted))
        return PORTABLE.rules["Clip"](ctx)

    append_gradient(graph, loss, [x], PORTABLE.override(Clip=clip_vjp))
    assert seen == [[True, False, False]]


def branching(graph: GraphBuilder) -> dict[str, str]:
    """Build values of which one leads to the next, each with a cotangent that is an input."""
    x = graph.input("x", (3,))
    square = graph.op("Mul", x, x, name="square")
    cube = graph.op("Mul", square, x, name="cube")
    beside = graph.op("Exp", x, name="beside")
    return {value: graph.input(f"seed.{value}", (3,)) for value in (square, cube, beside, x)}


def test_several_seeds_give_the_sum_of_what_each_gives() -> None:
    rng = np.random.default_rng(8)
    feeds = {"x": rng.normal(size=3)}
    feeds |= {f"seed.{name}": rng.normal(size=3) for name in ("square", "cube", "beside", "x")}
    graph = GraphBuilder()
    gradient = append_vjp(graph, branching(graph), ["x"])["x"]
    (together,) = run(finish(graph, gradient), **feeds)
    total = np.zeros(3)
    for name in ("square", "cube", "beside", "x"):
        single = GraphBuilder()
        seeds = branching(single)
        gradient = append_vjp(single, {name: seeds[name]}, ["x"])["x"]
        single.inputs = {n: v for n, v in single.inputs.items() if n in ("x", f"seed.{name}")}
        model = finish(single, gradient)
        used = {n: v for n, v in feeds.items() if n in single.inputs}
        total += run(model, **used)[0]
    np.testing.assert_allclose(together, total, rtol=1e-5)
    x = feeds["x"]
    exact = 2 * x * feeds["seed.square"] + 3 * x**2 * feeds["seed.cube"]
    exact += np.exp(x) * feeds["seed.beside"] + feeds["seed.x"]
    np.testing.assert_allclose(together, exact, rtol=1e-5)


def test_a_seed_computed_from_the_graph_counts_as_a_constant() -> None:
    graph = GraphBuilder()
    x = graph.input("x", (3,))
    y = graph.op("Mul", x, x)
    seed = graph.op("Exp", y)
    gradient = append_vjp(graph, {y: seed}, [x])[x]
    (found,) = run(finish(graph, gradient), x=[0, 0.5, 1])
    np.testing.assert_allclose(found, 2 * np.array([0, 0.5, 1]) * np.exp([0, 0.25, 1]), rtol=1e-5)


# -- refusals ------------------------------------------------------------------------------------


def test_a_missing_rule_names_op_node_path_and_the_rules_there_are() -> None:
    graph = GraphBuilder()
    x = graph.input("x", (3,))
    inner = graph.op("Neg", x, name="inner")
    odd = graph.op("Cosh", inner, name="odd")
    loss = graph.op("ReduceSum", odd, name="total", keepdims=0)
    with pytest.raises(DifferentiationError) as caught:
        append_gradient(graph, loss, [x])
    message = str(caught.value)
    for part in ("'Cosh'", "opset 18", "'odd'", "x → inner → odd → total", "docs/how-to"):
        assert part in message
    assert ", ".join(PORTABLE.known()) in message


def test_an_op_off_the_path_needs_no_rule() -> None:
    graph = GraphBuilder()
    x, other = graph.input("x", (3,)), graph.input("other", (3,))
    loss = graph.op("ReduceSum", graph.op("Add", x, graph.op("Cosh", other)), keepdims=0)
    append_gradient(graph, loss, [x])


def test_a_value_captured_by_a_subgraph_is_not_overlooked() -> None:
    graph = GraphBuilder()
    x = graph.input("x", (3,))
    condition = graph.constant(np.bool_(True))
    out = helper.make_tensor_value_info("inner", onnx.TensorProto.FLOAT, (3,))
    branch = helper.make_graph([helper.make_node("Neg", [x], ["inner"])], "branch", [], [out])
    chosen = graph.op("If", condition, then_branch=branch, else_branch=branch)
    loss = graph.op("ReduceSum", graph.op("Add", chosen, x), keepdims=0)
    with pytest.raises(DifferentiationError, match="No VJP rule for op 'If'"):
        append_gradient(graph, loss, [x])


def test_a_loss_that_does_not_depend_on_the_image() -> None:
    graph = GraphBuilder()
    x, other = graph.input("x", (3,)), graph.input("other", (3,))
    loss = graph.op("ReduceSum", other, keepdims=0)
    with pytest.raises(DifferentiationError, match="does not depend on 'x'"):
        append_gradient(graph, loss, [x])


def test_a_rule_that_returns_too_few_cotangents() -> None:
    rules = PORTABLE.override(Add=lambda ctx: [ctx.cotangent])
    graph = GraphBuilder()
    x = graph.input("x", (3,))
    loss = graph.op("ReduceSum", graph.op("Add", x, x), keepdims=0)
    with pytest.raises(DifferentiationError, match="returned 1 cotangents for 2 inputs"):
        append_gradient(graph, loss, [x], rules)


def test_a_rule_cannot_be_registered_twice() -> None:
    rules = Rules({"Add": lambda ctx: []}, ["Floor"])
    for op in ("Add", "Floor"):
        with pytest.raises(ValueError, match="has a VJP rule already"):
            rules.vjp(op)(lambda ctx: [])
        with pytest.raises(ValueError, match="has a VJP rule already"):
            rules.stops(op)


def test_no_op_both_stops_and_has_a_rule() -> None:
    assert not [op for op in PORTABLE.known() if PORTABLE.stops_at(op)]


# -- an independent oracle -----------------------------------------------------------------------


def small_network(pooling: str, *, channels_last: bool) -> GraphBuilder:
    """Conv, Relu, pooling, Conv, Relu, Gram loss: a style transfer in small."""
    rng = np.random.default_rng(11)
    graph = GraphBuilder()

    def weights(*shape: int) -> str:
        return graph.constant(rng.normal(size=shape).astype(np.float32) / 5)

    value = graph.input("image", (1, 3, 12, 14))
    value = graph.op("Relu", graph.op("Conv", value, weights(8, 3, 3, 3), weights(8), pads=[1] * 4))
    value = graph.op(pooling, value, kernel_shape=[2, 2], strides=[2, 2])
    value = graph.op("Relu", graph.op("Conv", value, weights(6, 8, 3, 3), weights(6), pads=[1] * 4))
    gram = append_products(graph, value, 6, channels_last=channels_last)
    difference = graph.op("Sub", gram, weights(6, 6))
    graph.output(graph.op("ReduceSumSquare", difference, keepdims=0), "loss", ())
    return graph


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("pooling", ["MaxPool", "AveragePool"])
def test_onnx_ad_agrees_on_a_small_network(pooling: str, channels_last: bool) -> None:
    image = np.random.default_rng(12).normal(size=(1, 3, 12, 14)).astype(np.float32)
    graph = small_network(pooling, channels_last=channels_last)
    theirs = onnx_ad.reverse(graph.build("network"), inputs=["image"], layout="onnx")
    runner = onnxruntime.InferenceSession(theirs.SerializeToString())
    (expected,) = runner.run(["adj_image"], {"image": image, "adj_loss": np.ones(1, np.float32)})
    gradient = append_gradient(graph, "loss", ["image"])["image"]
    # A Gram matrix gives one product backwards, not two: that of the convolution's input is none.
    assert sum(node.op_type == "MatMul" for node in graph.nodes) == 2
    graph.output(gradient, "gradient", (1, 3, 12, 14))
    _, found = run(graph.build("ours"), image=image)
    np.testing.assert_allclose(
        found, expected[..., 0], rtol=1e-4, atol=1e-5 * np.abs(expected).max()
    )
