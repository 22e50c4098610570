"""Where in the picture losses count: the regions of style losses, and the cells of content losses.

After Gatys et al. (2017, "Controlling Perceptual Factors in Neural Style Transfer",
arXiv:1611.07865, section 4): a guide T of one number a cell multiplies every channel of a feature
map, and the Gram matrix of the product is that of the region. `impasto.engine.guides` makes guides
of masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from impasto.export.graph import GraphBuilder

__all__ = ["UNGUIDED", "Guides", "append_guided", "layer_of"]


@dataclass(frozen=True)
class Guides:
    """Which losses are guided.

    A style loss without regions is one *term*, named like its layer; with regions there is a term
    for each, named ``<layer>.<region>``.

    Parameters
    ----------
    regions : mapping of str to tuple of str
        Names of the regions of each style layer that has some.
    content : bool
        Whether the content losses are guided.
    styles : bool
        Whether the Gram matrices of the style pictures, the targets, are.
    """

    regions: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    content: bool = False
    styles: bool = False

    def terms(self, layer: str) -> tuple[str, ...]:
        """Return the names of a layer's style terms."""
        if layer not in self.regions:
            return (layer,)
        return tuple(f"{layer}.{region}" for region in self.regions[layer])


UNGUIDED = Guides()


def layer_of(term: str) -> str:
    """Return the layer of a style term."""
    return term.partition(".")[0]


def append_guided(graph: GraphBuilder, value: str, guide: str) -> str:
    r"""Append :math:`T \circ F`, every channel of F times the guide.

    Parameters
    ----------
    graph : GraphBuilder
    value : str
        F, of shape (1, C, h, w): a feature map, a difference of two, or a cotangent.
    guide : str
        T, of shape (1, 1, h, w). A cell counts :math:`T^2` times in what is quadratic in F.

    Notes
    -----
    Gatys et al. (2017, equation 5) normalise a style guide so that :math:`\sum T^2 = 1` and do not
    divide the Gram matrix. Here :math:`\sum T^2 = h w`, and the matrix is divided by C h w as
    everywhere: the same numbers, and a guide of ones is no guide.
    """
    return graph.op("Mul", value, guide, name="guided")
