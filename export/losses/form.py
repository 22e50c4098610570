"""What the terms of an objective are, besides their layers: one value that names the graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

__all__ = ["GRAM", "MOMENTS", "STATISTICS", "LossForm", "Moment", "Statistic", "formulas"]

Statistic = Literal["gram", "mean-variance", "covariance"]
STATISTICS: tuple[Statistic, ...] = get_args(Statistic)

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
    """

    statistic: Statistic = "gram"

    @property
    def moments(self) -> tuple[Moment, ...]:
        """What the style losses read of a feature map."""
        return MOMENTS[self.statistic]


GRAM = LossForm()
"""The form of Gatys et al. (2015), and of every run that does not ask for another."""


def formulas(form: LossForm) -> dict[str, str]:
    """Return the formulas of the terms, for a graph's metadata."""
    style = {
        "gram": "w mean((G - A)^2)",
        "mean-variance": "w mean((m - M)^2 + (sqrt(v + e) - D)^2)",
        "covariance": "w/C (|m - M|^2 + tr(S + R^2 - 2 (R S R)^1/2)), S = covariance + e I",
    }
    return {
        "impasto.statistic": form.statistic,
        "impasto.style_loss": style[form.statistic],
        "impasto.tv_loss": "w/2 sum over the (H-1)(W-1) interior of (dx^2 + dy^2)",
    }
