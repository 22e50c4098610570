"""Every case of every rule: dot-product test, known against symbolic sizes, ONNX Runtime.

The dot-product test is in float64 on NumPy; poolings, ConvTranspose and LRN are Impasto's own there
(see `impasto.export.reference`), because those of `onnx.reference` are wrong in some modes. ONNX
Runtime's agreement shows that Impasto's are not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import openvino
import pytest
from vjp_cases import CASES, Case

from impasto.export.checks import check_vjp, gradient_model, separated_values
from impasto.export.graph import GraphBuilder, Shape
from impasto.export.reference import evaluate
from impasto.export.registry import PORTABLE

Arrays = dict[str, npt.NDArray[Any]]

SEED = 20150826

every_case = pytest.mark.parametrize("case", CASES, ids=str)


def forward_model(
    case: Case, dtype: npt.DTypeLike = np.float64, *, symbolic: bool = False
) -> onnx.ModelProto:
    graph = GraphBuilder(case.opset, dtype)
    names = []
    for index, shape in enumerate(case.shapes):
        dims: Shape = shape
        if symbolic and len(shape) == 4:
            dims = (*shape[:2], f"height_{index}", f"width_{index}")
        names.append(graph.input(f"x{index}", dims))
    result = case.build(graph, *names)
    graph.output(result, "y", graph.shapes()[result])
    return graph.build("case")


def feeds_of(case: Case) -> Arrays:
    rng = np.random.default_rng(SEED)
    drawn: Arrays = {}
    for index, shape in enumerate(case.shapes):
        values = separated_values(shape, rng) + 0.01 * (index % 2)  # no ties between two inputs
        drawn[f"x{index}"] = np.abs(values) + 0.5 if case.positive else values
    return drawn


def with_cotangent(case: Case, feeds: Arrays) -> Arrays:
    (result,) = evaluate(forward_model(case), feeds).values()
    return {**feeds, "cotangent": np.random.default_rng(SEED).normal(size=result.shape)}


def gradients(case: Case, dtype: npt.DTypeLike = np.float64, *, symbolic: bool) -> onnx.ModelProto:
    names = [f"x{index}" for index in range(len(case.shapes))]
    return gradient_model(forward_model(case, dtype, symbolic=symbolic), names)


def run_float32(model: onnx.ModelProto, feeds: Arrays) -> Arrays:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    real = {name: np.asarray(value, np.float32) for name, value in feeds.items()}
    names = [output.name for output in session.get_outputs()]
    wanted = {value.name for value in session.get_inputs()}
    found = session.run(None, {name: real[name] for name in wanted})
    return dict(zip(names, found, strict=True))


def run_openvino(model: onnx.ModelProto, feeds: Arrays) -> Arrays:
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model.SerializeToString(), b""), "CPU", settings)
    real = {
        name: np.asarray(feeds[name], np.float32)
        for port in compiled.inputs
        for name in port.names & feeds.keys()
    }
    found = compiled(real)
    # Copies: a result may be a view of an input or of the request's memory.
    return {name: np.array(value) for port, value in found.items() for name in port.names}


def test_every_rule_has_a_case() -> None:
    assert {case.op for case in CASES} == set(PORTABLE.known())


def test_no_two_cases_have_the_same_name() -> None:
    assert len({str(case) for case in CASES}) == len(CASES)


@every_case
def test_transpose_of_the_jacobian(case: Case) -> None:
    feeds = feeds_of(case)
    for seed in (SEED, SEED + 1):
        check_vjp(forward_model(case), list(feeds), feeds, seed=seed)


@every_case
def test_symbolic_sizes_give_the_same(case: Case) -> None:
    feeds = with_cotangent(case, feeds_of(case))
    known = evaluate(gradients(case, symbolic=False), feeds)
    symbolic = evaluate(gradients(case, symbolic=True), feeds)
    for name, value in known.items():
        np.testing.assert_allclose(symbolic[name], value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", [case for case in CASES if case.in_runtime], ids=str)
@pytest.mark.parametrize("symbolic", [False, True], ids=["known", "symbolic"])
def test_onnx_runtime_agrees_in_float32(case: Case, symbolic: bool) -> None:
    feeds = with_cotangent(case, feeds_of(case))
    expected = evaluate(gradients(case, symbolic=False), feeds)
    found = run_float32(gradients(case, np.float32, symbolic=symbolic), feeds)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-4 * np.abs(value).max())


@pytest.mark.parametrize("case", [case for case in CASES if case.op != "LRN"], ids=str)
@pytest.mark.parametrize("symbolic", [False, True], ids=["known", "symbolic"])
def test_openvino_agrees_in_float32(case: Case, symbolic: bool) -> None:
    """All but LRN: the forward LRN of OpenVINO 2026.4 is 14 % off for a beta other than 0.75."""
    feeds = with_cotangent(case, feeds_of(case))
    expected = evaluate(gradients(case, symbolic=False), feeds)
    found = run_openvino(gradients(case, np.float32, symbolic=symbolic), feeds)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-4 * np.abs(value).max())


@every_case
@pytest.mark.parametrize("opset", [17, 18, 21])
@pytest.mark.parametrize("symbolic", [False, True], ids=["known", "symbolic"])
def test_the_gradient_graph_is_standard_onnx(case: Case, symbolic: bool, opset: int) -> None:
    if not case.first_opset <= opset <= case.last_opset:
        return
    model = gradients(case.at(opset), np.float32, symbolic=symbolic)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    assert {node.domain for node in model.graph.node} == {""}
