"""What the terms of an objective are, besides their layers: one value that names the graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

__all__ = [
    "GRAM",
    "MOMENTS",
    "STATISTICS",
    "TV_NORMS",
    "LossForm",
    "Moment",
    "Statistic",
    "TvNorm",
    "formulas",
]

Statistic = Literal["gram", "mean-variance", "covariance"]
STATISTICS: tuple[Statistic, ...] = get_args(Statistic)

TvNorm = Literal["squared", "l1"]
TV_NORMS: tuple[TvNorm, ...] = get_args(TvNorm)

Moment = Literal["products", "sums", "squares"]
"""Of a feature map F of shape (C, n): F Fᵀ, its rows' sums, and the sums of their squares."""

MOMENTS: Mapping[Statistic, tuple[Moment, ...]] = MappingProxyType(
    {
        "gram": ("products",),
        "mean-variance": ("sums", "squares"),
        "covariance": ("sums", "products"),
    }
)
"""What each style loss reads of a feature map. Added up over the strips of a picture, or over
feature maps weighted by a guide, they are the whole's: a loss need not know how they were made."""


@dataclass(frozen=True)
class LossForm:
    """The form of an objective.

    Parameters
    ----------
    statistic : {"gram", "mean-variance", "covariance"}
        What the style losses compare; see `impasto.export.losses.style`, `mean_variance` and
        `covariance`.
    tv_norm : {"squared", "l1"}
        What the total variation adds up; see `impasto.export.losses.total_variation`.
    normalized : bool
        Whether ``gradient`` is made of normalised gradients; see `impasto.export.normalized`.
    """

    statistic: Statistic = "gram"
    tv_norm: TvNorm = "squared"
    normalized: bool = False

    @property
    def moments(self) -> tuple[Moment, ...]:
        """What the style losses read of a feature map."""
        return MOMENTS[self.statistic]


GRAM = LossForm()
"""The form of Gatys et al. (2015), and of every run that does not ask for another."""


def formulas(form: LossForm, *, wraps: bool = False) -> dict[str, str]:
    """Return the formulas of the terms, for a graph's metadata; on a torus if it `wraps`."""
    style = {
        "gram": "w mean((G - A)^2)",
        "mean-variance": "w mean((m - M)^2 + (sqrt(v + e) - D)^2)",
        "covariance": "w/C (|m - M|^2 + tr(S + R^2 - 2 (R S R)^1/2)), S = covariance + e I",
    }
    factor, summand = {"squared": ("w/2", "(dx^2 + dy^2)"), "l1": ("w", "(|dx| + |dy|)")}[
        form.tv_norm
    ]
    variation = f"{factor} sum over the (H-1)(W-1) interior of {summand}"
    if wraps:
        variation = f"{factor} sum over all pixels of {summand}, wrapping around"
    found = {
        "impasto.statistic": form.statistic,
        "impasto.style_loss": style[form.statistic],
        "impasto.tv_loss": variation,
    }
    if form.normalized:
        found["impasto.gradient"] = (
            "of each content and style loss w L: w g/(|g|_1 + 1e-8), g = dL/dF, carried back to "
            "the image; for content |g|_1 is 0.02 mean|P| or more; and d tv_loss/d image. Not the "
            "derivative of loss"
        )
    return found
