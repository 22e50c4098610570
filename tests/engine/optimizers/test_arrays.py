"""Looking through large arrays block by block."""

from __future__ import annotations

import numpy as np
import pytest

from impasto.engine.optimizers.arrays import BLOCK, extremes, is_zero

PLACES = (0, 1, BLOCK - 1, BLOCK, 2 * BLOCK + 4)


@pytest.mark.parametrize("place", PLACES)
def test_one_entry_tells_of_an_array(place: int) -> None:
    array = np.zeros(2 * BLOCK + 5, np.float32)
    assert is_zero(array)
    assert extremes(array) == (0, 0)
    array[place] = -3
    assert not is_zero(array)
    assert extremes(array) == (-3, 0)
    array[place] = np.inf
    assert extremes(array.reshape(1, -1, 1)) == (0, np.inf)
    array[place] = np.nan
    assert np.isnan(extremes(array)).all()
    assert not is_zero(array)
