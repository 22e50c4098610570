"""A torus in strips: the first and the last read across the border, and the sums are exact."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from pictures import photo
from streamed_networks import Task, network_of, streamed_in_double, streamed_on, task_for

from impasto.engine.backends import open_backend
from impasto.engine.parts import Workers
from impasto.engine.stored import Features, Signs, rows_of
from impasto.engine.streaming import Keeping
from impasto.engine.verify import verify
from impasto.engine.workload import strip_work
from impasto.export.strips import Rows, segments_of, strip_kinds, strips_of
from impasto.models.layer import Pooling


@cache
def task(size: tuple[int, int], pooling: Pooling = "max") -> Task:
    return task_for(replace(network_of("vgg19", pooling), wraps=True), photo(*size))


def relus_without_loss(job: Task) -> frozenset[str]:
    return job.relus() - job.relus_of_losses()


@pytest.mark.parametrize(
    ("size", "rows"),
    [((48, 16), 1), ((48, 16), 16), ((48, 16), 33), ((48, 16), 1000), ((16, 32), 4)],
)
def test_every_height_of_strips_gives_the_oracle_s_numbers(
    size: tuple[int, int], rows: int
) -> None:
    """From strips smaller than their halo to one that reads more rows than there are."""
    job = task(size)
    for keeping in (
        Keeping(),
        Keeping(features=job.relus()),
        Keeping(signs=relus_without_loss(job)),
    ):
        objective = streamed_in_double(job, rows, keeping)
        for _ in range(2):  # what is kept from one evaluation to the next must do no harm
            loss, gradient = objective(job.image)
            assert loss == pytest.approx(sum(job.losses.values()), rel=1e-10)
            error = np.abs(gradient[0] - job.gradient).max()
            assert error <= 1e-10 * np.abs(job.gradient).max()
        for term, value in job.losses.items():
            assert objective.losses[term] == pytest.approx(value, rel=1e-10), term


def test_average_pooling_and_workers() -> None:
    job = task((48, 16), "avg")
    alone = streamed_in_double(job, 16)(job.image)
    assert np.abs(alone[1][0] - job.gradient).max() <= 1e-10 * np.abs(job.gradient).max()
    with ThreadPoolExecutor(3) as executor:
        found = streamed_in_double(job, 16, workers=Workers(executor, 3))(job.image)
    assert found[0] == alone[0]
    np.testing.assert_array_equal(found[1], alone[1])


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_runtime_s_strips_agree_with_the_oracle(backend: str) -> None:
    job = task((48, 32))
    loss, gradient = streamed_on(open_backend(backend, "f32"), job, 16)(job.image)
    assert loss == pytest.approx(sum(job.losses.values()), rel=1e-4)
    error = np.abs(gradient[0] - job.gradient)
    assert np.mean(error < 1e-3 * np.abs(job.gradient).max()) > 0.999


@pytest.mark.parametrize("keeping", [None, Keeping()])
def test_verification_tells_a_torus_from_a_flat_picture(keeping: Keeping | None) -> None:
    """It passes a torus; and what computes a flat picture in its place would not pass."""
    job = task((48, 16))
    backend = open_backend("onnxruntime", "f32")
    verdict = verify(
        backend, lambda: backend, job.network, backend.lowering, job.size, None, keeping
    )
    assert verdict.passed, str(verdict)
    assert verdict.cosine > 0.9999
    flat = task_for(job.network.flat, job.image)
    cosine = np.sum(flat.gradient * job.gradient) / np.sqrt(
        np.sum(flat.gradient**2) * np.sum(job.gradient**2)
    )
    assert cosine < 0.999


@pytest.mark.parametrize("rows", [1, 7, 16, 40, 500])
def test_strips_own_every_row_once_and_have_no_padding(rows: int) -> None:
    height = 96
    for segment in segments_of(network_of("vgg19").encoder.layers):
        strips = strips_of(segment, height, rows, wraps=True)
        for index in range(len(segment.layers)):
            owned = [row for s in strips for row in range(*_bounds(s.layers[index].owned))]
            assert owned == list(range(owned[-1] + 1))
        assert not any(any(item.padded) for strip in strips for item in strip.layers)
        kinds = strip_kinds(segment, height, rows, wraps=True)
        assert sum(count for _, count in kinds) == len(strips)
        assert {strip.shape for strip, _ in kinds} == {strip.shape for strip in strips}
        height //= segment.stride


def _bounds(rows: Rows) -> tuple[int, int]:
    return rows.start, rows.stop


def test_the_work_of_a_torus_is_that_of_its_strips() -> None:
    network = task((48, 16)).network
    streaming = streamed_in_double(task((48, 16)), 16)._streamed.streaming
    assert strip_work(network, (48, 16), streaming).parts == sum(
        len(strips_of(segment, 48 // 2**number, 16, wraps=True))
        for number, segment in enumerate(segments_of(network.encoder.layers))
    )


def test_rows_beyond_the_borders() -> None:
    value = np.arange(5.0)[None, :, None] * np.ones((2, 1, 3))
    assert rows_of(value, Rows(1, 3)).base is value
    for rows in (Rows(-2, 3), Rows(3, 8), Rows(-6, 12)):
        expected = [row % 5 for row in range(rows.start, rows.stop)]
        assert rows_of(value, rows)[0, :, 0].tolist() == expected
    behind = np.full((2, 4, 3), 9.0)
    assert rows_of(value, Rows(3, 7), behind)[0, :, 0].tolist() == [3, 4, 9, 9]
    assert rows_of(value, Rows(-1, 6), behind)[0, :, 0].tolist() == [4, 0, 1, 2, 3, 4, 9]


@pytest.mark.parametrize("kind", [Features, Signs])
def test_what_is_kept_is_read_around_the_border(kind: type[Features | Signs]) -> None:
    stored = kind(2, 4, 5)
    values = (np.arange(40).reshape(1, 2, 4, 5) % 3 == 0).astype(np.float32)
    stored.write(Rows(0, 4), values)
    into = np.empty((1, 2, 6, 5), np.float32)
    stored.read(Rows(-1, 5), into)
    np.testing.assert_array_equal(into, values[:, :, [3, 0, 1, 2, 3, 0]])
