"""CIE 1976 L*a*b* (CIELAB) of sRGB colours, and back.

sRGB as IEC 61966-2-1, with its white D65 as Lab's white; CIELAB as CIE 15 and ISO/CIE 11664-4, in
exact fractions for the two constants that are often rounded.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["lab_of", "rgb_of"]

Doubles = npt.NDArray[np.float64]

RGB_TO_XYZ = np.array(
    [
        [0.4123907992659595, 0.357584339383878, 0.1804807884018343],
        [0.21263900587151036, 0.715168678767756, 0.07219231536073371],
        [0.01933081871559185, 0.11919477979462599, 0.9505321522496606],
    ]
)
"""X, Y and Z in rows, of linear light: from BT.709's primaries and D65 at (0.3127, 0.3290)."""

XYZ_TO_RGB = np.linalg.inv(RGB_TO_XYZ)
WHITE = RGB_TO_XYZ.sum(axis=1)

EPSILON = (6 / 29) ** 3
"""Ratio to white below which lightness is linear in it."""

SLOPE = (29 / 6) ** 2 / 3


def _linear_light(codes: Doubles) -> Doubles:
    return np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)


LINEAR_LIGHT = _linear_light(np.arange(256) / 255)
"""Linear light, 0-1, of each of the 256 values of sRGB."""


def lab_of(pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> Doubles:
    """Return L*, a* and b* of sRGB colours.

    Parameters
    ----------
    pixels : ndarray of shape (..., 3)
        uint8 RGB, or uint16.

    Returns
    -------
    ndarray of shape (..., 3)
        float64: L* from 0 (black) to 100 (white); a* and b* are 0 for greys, and within ±128.
    """
    light = LINEAR_LIGHT[pixels] if pixels.dtype == np.uint8 else _linear_light(pixels / 65535)
    ratios = light @ (RGB_TO_XYZ / WHITE[:, np.newaxis]).T
    responses = np.where(ratios > EPSILON, np.cbrt(ratios), SLOPE * ratios + 4 / 29)
    x, y, z = np.moveaxis(responses, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def rgb_of(lab: Doubles) -> Doubles:
    """Return sRGB values of L*, a* and b*.

    Parameters
    ----------
    lab : ndarray of shape (..., 3)
        float64.

    Returns
    -------
    ndarray of shape (..., 3)
        float64 RGB, 0-255 where sRGB has the colour, clipped to that where not; not rounded.
    """
    lightness, a, b = np.moveaxis(lab, -1, 0)
    y = (lightness + 16) / 116
    responses = np.stack([y + a / 500, y, y - b / 200], axis=-1)
    ratios = np.where(responses > 6 / 29, responses**3, (responses - 4 / 29) / SLOPE)
    light = ((ratios * WHITE) @ XYZ_TO_RGB.T).clip(0, 1)
    codes = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    rgb: Doubles = codes.clip(0, 1) * 255
    return rgb
