"""Steps along the gradient that are shortened where it turns round."""

from __future__ import annotations

import numpy as np
import pytest

from impasto.engine.optimizers.steepest import LONGER, MOST, SHORTER, TURNED, Steepest
from impasto.engine.result import FloatArray


def shares(gradients: list[FloatArray]) -> list[float]:
    """Return the rate after each gradient, with a scale of 1."""
    rest = Steepest(gradients[0].size, np.float32)
    found = []
    for gradient in gradients:
        rest.place[...] = gradient
        rest.update(1.0)
        np.testing.assert_array_equal(rest.gradient, gradient)
        found.append(rest.rate)
    return found


@pytest.mark.parametrize("size", [1, 64, 4096, 4097, 20_000, 400_001])
def test_a_gradient_that_turns_round_shortens_steps(size: int) -> None:
    gradient = np.random.default_rng(size).standard_normal(size).astype(np.float32)
    little, far = -(TURNED - 0.05), -(TURNED + 0.05)
    found = shares([gradient, gradient, np.float32(little) * gradient])
    assert found == pytest.approx([1, LONGER, LONGER**2])
    found = shares([gradient, gradient, np.float32(far) * gradient])
    assert found == pytest.approx([1, LONGER, LONGER * SHORTER])
    assert max(shares([gradient] * 20)) == MOST


@pytest.mark.parametrize("size", [20_000, 400_001])
def test_most_of_the_variables_decide(size: int) -> None:
    """A third of them that turns round, wherever it is, makes no difference; three quarters do."""
    gradient = np.random.default_rng(size).standard_normal(size).astype(np.float32)
    for start in range(0, size - size // 3, size // 10):
        turned = gradient.copy()
        turned[start : start + size // 3] *= -1
        assert shares([gradient, turned]) == pytest.approx([1, LONGER])
    turned = -gradient
    turned[: size // 8] *= -1
    assert shares([gradient, turned]) == pytest.approx([1, SHORTER])


def test_a_step_of_another_length_is_what_the_next_gradient_is_judged_by() -> None:
    rest = Steepest(3, np.float32)
    rest.place[...] = 1
    rest.update(2.0)
    rest.move(0.25)
    assert rest.rate == 0.5
    rest.forget()
    assert rest.rate == 0
    rest.place[...] = -1
    rest.update(2.0)
    assert rest.rate == 2
