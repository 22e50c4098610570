"""Looking through large arrays block by block."""

from __future__ import annotations

import numpy as np
import pytest

from impasto.engine.optimizers.arrays import BLOCK, extremes, is_finite, is_zero

PLACES = (0, 1, BLOCK - 1, BLOCK, 2 * BLOCK + 4)


@pytest.mark.parametrize("place", PLACES)
def test_one_entry_tells_of_an_array(place: int) -> None:
    array = np.zeros(2 * BLOCK + 5, np.float32)
    assert is_zero(array)
    assert extremes(array) == (0, 0)
    array[place] = -3
    assert not is_zero(array)
    assert extremes(array) == (-3, 0)
    assert is_finite(array)
    array[place] = np.inf
    assert extremes(array.reshape(1, -1, 1)) == (0, np.inf)
    assert not is_finite(array)
    array[place] = np.nan
    assert not is_finite(array)
    assert np.isnan(extremes(array)).all()
    assert not is_zero(array)


def test_numbers_that_add_up_to_infinity_are_finite() -> None:
    array = np.full(BLOCK + 3, np.finfo(np.float32).max)
    assert is_finite(array)
    array[:2] = np.inf, -np.inf
    assert not is_finite(array)
