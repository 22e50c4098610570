"""The change of variables, and L-BFGS in it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dctn, idctn

from impasto.engine.optimizers import BestSoFar, Lbfgs, lbfgs, spectral
from impasto.engine.optimizers.room import Room
from impasto.engine.optimizers.spectral import SpectralScaling
from impasto.engine.result import FloatArray
from impasto.errors import CheckpointError

SHAPES = st.tuples(st.just(1), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))


def flat(shape: tuple[int, ...], seed: int) -> Any:
    return np.random.default_rng(seed).normal(size=int(np.prod(shape)))


def add_step(scaling: SpectralScaling, z: Any, x: Any) -> None:
    # What has no step of its own is told as a gradient and what it is multiplied by.
    scaling.add_step(z[: scaling.leading], -4 * z[scaling.leading :], -0.25, x, x)


def write_gradient(scaling: SpectralScaling, gradient: Any, z: Any) -> None:
    scaling.of_gradient(gradient, z[: scaling.leading], z[scaling.leading :])


@given(SHAPES, st.integers(0, 9), st.booleans())
@settings(deadline=None, derandomize=True)
def test_gradients_and_steps_are_adjoint(shape: tuple[int, ...], seed: int, wraps: bool) -> None:
    """⟨g, B z⟩ = ⟨Bᵀ g, z⟩ is what makes A C g the gradient for z."""
    scaling = SpectralScaling(shape, np.float64, wraps=wraps)
    gradient, z = flat(shape, seed), flat(shape, seed + 100)
    step, pulled = np.zeros_like(z), np.empty_like(z)
    add_step(scaling, z, step)
    write_gradient(scaling, gradient, pulled)
    np.testing.assert_allclose(gradient @ step, pulled @ z, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shape", [(1, 3, 12, 20), (1, 3, 20, 12), (1, 1, 7, 7)])
def test_frequencies_are_scaled_by_their_power(shape: tuple[int, ...]) -> None:
    height, width = shape[-2:]
    ky, kx = 3, 5
    y, x = np.arange(height)[:, None] + 0.5, np.arange(width) + 0.5
    wave = np.cos(np.pi * ky * y / height) * np.cos(np.pi * kx * x / width)
    gradient: Any = np.zeros(shape)
    gradient[0, 0] = wave
    scaling = SpectralScaling(shape, np.float64, exponent=0.7)
    pulled: Any = np.empty(gradient.size)
    write_gradient(scaling, gradient.reshape(-1), pulled)
    step: Any = np.zeros(gradient.size)
    add_step(scaling, pulled, step)
    frequency = np.hypot(ky / height, kx / width)
    np.testing.assert_allclose(
        step.reshape(shape)[0, 0], wave * frequency**-1.4, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("shape", [(1, 3, 12, 20), (1, 1, 7, 9)])
def test_on_a_torus_no_place_is_a_border(shape: tuple[int, ...]) -> None:
    """The map commutes with every shift; the one that mirrors pictures does not."""

    def preconditioned(gradient: Any, wraps: bool) -> Any:
        scaling = SpectralScaling(shape, np.float64, wraps=wraps)
        pulled, step = np.empty(gradient.size), np.zeros(gradient.size)
        write_gradient(scaling, gradient.reshape(-1), pulled)
        add_step(scaling, pulled, step)
        return step.reshape(shape)

    gradient = flat(shape, 3).reshape(shape)
    for wraps in (True, False):
        rolled = np.roll(preconditioned(gradient, wraps), (5, -3), (2, 3))
        found = preconditioned(np.roll(gradient, (5, -3), (2, 3)), wraps)
        assert bool(np.abs(found - rolled).max() <= 1e-10 * np.abs(rolled).max()) is wraps


def test_frequencies_of_a_torus_are_scaled_by_their_power() -> None:
    y, x = np.arange(12)[:, None], np.arange(20)
    wave: Any = np.cos(2 * np.pi * (2 * y / 12 - 3 * x / 20) + 0.4)[None, None]
    scaling = SpectralScaling((1, 1, 12, 20), np.float64, exponent=0.7, wraps=True)
    pulled: Any = np.empty(240)
    step: Any = np.zeros(240)
    write_gradient(scaling, wave.reshape(-1), pulled)
    add_step(scaling, pulled, step)
    frequency = np.hypot(4 / 12, 6 / 20)  # of the Nyquist frequency, half a cycle a pixel
    np.testing.assert_allclose(step, wave.reshape(-1) * frequency**-1.4, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("wraps", [False, True])
def test_a_flat_colour_can_be_moved(wraps: bool) -> None:
    scaling = SpectralScaling((1, 3, 8, 8), np.float32, wraps=wraps)
    step = np.zeros(192, np.float32)
    pulled = np.empty_like(step)
    write_gradient(scaling, np.ones(192, np.float32), pulled)
    add_step(scaling, pulled, step)
    assert np.ptp(step) < 1e-4 < step[0]


@pytest.mark.parametrize("wraps", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_types_stay(dtype: type[np.floating], wraps: bool) -> None:
    scaling = SpectralScaling((1, 3, 6, 5), dtype, wraps=wraps)
    step: Any = np.zeros(90, dtype)
    pulled: Any = np.empty(90, dtype)
    gradient: Any = np.ones(90, dtype)
    write_gradient(scaling, gradient, pulled)
    add_step(scaling, pulled, step)
    assert step.dtype == dtype
    assert (gradient == 1).all()


COLOURS = {"brightness": (1, 1, 1), "red - blue": (1, 0, -1), "green": (1, -2, 1)}


@pytest.mark.parametrize("name", COLOURS)
@pytest.mark.parametrize(("ky", "kx"), [(0, 0), (5, 7), (6, 2), (2, 8), (14, 17), (15, 1), (1, 18)])
def test_low_frequencies_of_opponent_colours_lead(name: str, ky: int, kx: int) -> None:
    """All of brightness, and the others up to half the Nyquist frequency along each side."""
    height, width = 16, 20
    y, x = np.arange(height)[:, None] + 0.5, np.arange(width) + 0.5
    wave = np.cos(np.pi * ky * y / height) * np.cos(np.pi * kx * x / width)
    gradient: Any = np.multiply.outer(COLOURS[name], wave).reshape(-1)
    scaling = SpectralScaling((1, 3, height, width), np.float64)
    z: Any = np.empty(gradient.size)
    write_gradient(scaling, gradient, z)
    most = 1 if name == "brightness" else 0.5
    place = np.flatnonzero(np.abs(z) > 1e-9 * np.abs(z).max())
    assert len(place) == 1
    assert bool(place[0] < scaling.leading) is (max(ky / height, kx / width) < most)


def test_about_half_of_a_picture_leads() -> None:
    for height, width in [(512, 512), (683, 1024), (333, 500)]:
        leading = SpectralScaling((1, 3, height, width), np.float32).leading
        told = SpectralScaling.leading_of(3 * height * width)
        assert told / (3 * height * width) == pytest.approx(0.5, abs=1e-3)
        assert leading == pytest.approx(told, rel=0.01)
    assert SpectralScaling((1, 3, 8, 8), np.float32, wraps=True).leading == 192
    assert SpectralScaling((1, 1, 8, 8), np.float32).leading == 64


@pytest.mark.parametrize("wraps", [False, True])
def test_a_large_picture_is_transformed_by_channel(
    wraps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = (1, 3, 70, 130)
    scaling = SpectralScaling(shape, np.float64, wraps=wraps)
    gradient, at_once, by_channel = (flat(shape, 3) for _ in range(3))
    x, y = flat(shape, 4), flat(shape, 4)
    write_gradient(scaling, gradient, at_once)
    add_step(scaling, at_once, x)
    monkeypatch.setattr(spectral, "AT_ONCE", 100)
    scaling = SpectralScaling(shape, np.float64, wraps=wraps)
    write_gradient(scaling, gradient, by_channel)
    add_step(scaling, at_once, y)
    np.testing.assert_allclose(by_channel, at_once, rtol=0, atol=1e-12)
    np.testing.assert_allclose(y, x, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("piece", "at_a_time"), [(7, 2**17), (3000, 50), (16, 3 * 64 * 5)])
def test_colours_are_mixed_piece_by_piece(
    piece: int, at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spectral, "PIECE", piece)
    monkeypatch.setattr(spectral, "MIXED_AT_A_TIME", at_a_time)
    shape = (1, 3, 12, 64)
    scaling = SpectralScaling(shape, np.float64, exponent=0.0)
    picture, z, back = flat(shape, 3), flat(shape, 4), np.zeros(3 * 12 * 64)
    write_gradient(scaling, picture, z)
    add_step(scaling, z, back)
    np.testing.assert_allclose(back, picture, rtol=0, atol=1e-12)
    brightness = dctn(picture.reshape(3, 12, 64).sum(0) / np.sqrt(3), norm="ortho")
    np.testing.assert_allclose(z[: 12 * 64], brightness.reshape(-1), rtol=0, atol=1e-12)


@given(st.integers(1, 5000), st.sampled_from([4, 8]))
@settings(derandomize=True)
def test_rows_are_an_odd_number_of_cache_lines_apart(width: int, itemsize: int) -> None:
    apart = spectral._row_length(width, itemsize) * itemsize
    assert 0 <= apart - width * itemsize < 2 * spectral.LINE
    assert apart % spectral.LINE == 0
    assert apart // spectral.LINE % 2 == 1


@pytest.mark.parametrize("history", [3, 8])
def test_steps_are_two_loops_for_what_leads_and_steepest_descent_for_the_rest(history: int) -> None:
    """Nocedal and Wright 2006, algorithm 7.4, on the leading variables, from H₀ = scale · I.

    The rest's step is halved where its gradient turns round.
    """
    shape = (1, 3, 10, 12)
    scaling = SpectralScaling(shape, np.float64)
    steepness = np.square(np.add.outer(np.arange(10.0), np.arange(12.0)) + 1)
    images: list[Any] = []

    def slope_at(x: Any) -> Any:
        return idctn(steepness * dctn(x, axes=(2, 3), norm="ortho"), axes=(2, 3), norm="ortho")

    def steep_in_detail(x: Any) -> tuple[float, Any]:
        images.append(x.copy())
        return float(np.sum(x * slope_at(x))) / 2, slope_at(x)

    optimizer = Lbfgs(history, first_step="safe", preconditioner="spectral")
    search = BestSoFar(steep_in_detail, flat(shape, 5).reshape(shape))
    optimizer.minimize(search, iterations=30, on_step=lambda _: None)
    assert len(images) == 30
    assert search.loss < 1e-3 * float(np.sum(images[0] * slope_at(images[0]))) / 2
    cut = scaling.leading
    assert 0 < cut < images[0].size * 2 / 3

    def in_z(gradient: Any) -> Any:
        pulled = np.empty(gradient.size)
        write_gradient(scaling, gradient.reshape(-1), pulled)
        return pulled

    pairs: list[tuple[Any, Any]] = []
    room = Room(history, 30)
    rows, share, shares = 1, 1.0, set()
    old = in_z(slope_at(images[0]))
    first_loss = float(np.sum(images[0] * slope_at(images[0]))) / 2
    step = -first_loss / (4 * (old @ old)) * old
    for before, after in pairwise(images):
        moved = before.reshape(-1).copy()
        add_step(scaling, step, moved)
        np.testing.assert_allclose(after.reshape(-1), moved, rtol=0, atol=1e-9)
        new = in_z(slope_at(after))
        pairs = [*pairs, (step[:cut], (new - old)[:cut])][-history:]
        rows += 1
        if rows == room.rows:
            pairs, rows = pairs[-room.kept :], 2 * room.kept + 1
        has_turned = (new[cut:] @ old[cut:]) < -0.5 * (old[cut:] @ old[cut:])
        share = min(4, share * (0.5 if has_turned else 1.2))
        shares.add(share)
        old, direction, alphas = new, new.copy(), []
        for s, y in reversed(pairs):
            alphas.append((s @ direction[:cut]) / (s @ y))
            direction[:cut] -= alphas[-1] * y
        s, y = pairs[-1]
        scale = lbfgs.SPECTRAL_SCALE * (s @ y) / (y @ y)
        direction[:cut] *= scale
        direction[cut:] *= share * scale
        for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
            direction[:cut] += s * (alpha - (y @ direction[:cut]) / (s @ y))
        step = -direction
    assert min(shares) < 0.5 < 1 < max(shares)


def steep_in_fine_detail(x: FloatArray) -> tuple[float, FloatArray]:
    """Half the energy of x - 100, with frequencies weighted by their sum of cycles."""
    k = np.add.outer(np.arange(24.0), np.arange(24.0)) + 1
    z = dctn(x - 100, axes=(2, 3), norm="ortho")
    gradient = idctn(k * z, axes=(2, 3), norm="ortho").astype(np.float32)
    return float(np.sum(k * z * z)) / 2, gradient


def test_it_goes_down_faster_where_fine_detail_is_steep() -> None:
    start = np.random.default_rng(1).uniform(0, 255, (1, 3, 24, 24)).astype(np.float32)

    def lowest(optimizer: Lbfgs) -> float:
        search = BestSoFar(steep_in_fine_detail, start)
        optimizer.minimize(search, iterations=12, on_step=lambda _: None)
        return search.loss

    in_pixels = lowest(Lbfgs(5, first_step="safe"))
    assert lowest(Lbfgs(5, first_step="safe", preconditioner="spectral")) < in_pixels / 10


def test_the_safe_first_step_stays_within_the_range_of_colours() -> None:
    def slope(x: FloatArray) -> tuple[float, FloatArray]:
        return 1e9, np.broadcast_to(np.linspace(0.5, 1, 10, dtype="f4"), x.shape).copy()

    images = []
    start = np.zeros((1, 3, 10, 10), np.float32)
    Lbfgs(first_step="safe", preconditioner="spectral").minimize(
        BestSoFar(slope, start), iterations=2, on_step=lambda step: images.append(step.x.copy())
    )
    assert np.abs(images[1]).max() == pytest.approx(255, rel=1e-4)


def test_a_state_in_other_variables_is_refused() -> None:
    states = []
    search = BestSoFar(steep_in_fine_detail, np.zeros((1, 3, 24, 24), np.float32))
    Lbfgs(preconditioner="spectral").minimize(
        search, iterations=1, on_step=lambda step: states.append(step.state())
    )
    with pytest.raises(CheckpointError, match=r"spectral.*none"):
        Lbfgs().minimize(search, iterations=3, on_step=lambda _: None, resume=states[0])
