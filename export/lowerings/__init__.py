"""Lowerings: the same gradient graph in the form one runtime runs fastest.

A lowering is a rule table and a last pass over the finished nodes. Names, shapes and numbers (up
to rounding) do not depend on it; `tests/export/test_gradient_graph.py` holds each to the oracle.

===========  =====================================================================================
portable     Comparison masks (``Where``) and flipped convolutions. Every runtime; OpenVINO, CUDA.
nchwc        Masks by ``HardSigmoid`` and ``Mul``, so that ONNX Runtime on a CPU keeps its blocked
             NCHWc layout from one convolution to the next.
===========  =====================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import impasto.export.vjp  # noqa: F401  (fills the portable table)
from impasto.errors import UnknownNameError
from impasto.export.graph import GraphBuilder
from impasto.export.lowerings import nchwc
from impasto.export.registry import PORTABLE, Rules

__all__ = ["LOWERINGS", "Lowering", "lowering"]


@dataclass(frozen=True)
class Lowering:
    """A rule table, and a pass over the nodes once all are there.

    Parameters
    ----------
    rules : Rules
    finish : callable
        Changes the graph in place.
    """

    rules: Rules
    finish: Callable[[GraphBuilder], None]


def _leave(graph: GraphBuilder) -> None:
    """Change nothing."""


LOWERINGS: Mapping[str, Lowering] = MappingProxyType(
    {
        "portable": Lowering(PORTABLE, _leave),
        "nchwc": Lowering(nchwc.rules(PORTABLE), nchwc.pull_into_blocked_layout),
    }
)


def lowering(name: str) -> Lowering:
    """Return the lowering called `name`.

    Raises
    ------
    UnknownNameError
        If there is none.
    """
    if name not in LOWERINGS:
        raise UnknownNameError("lowering", name, LOWERINGS)
    return LOWERINGS[name]
