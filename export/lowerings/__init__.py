"""Lowerings: the same gradient graph in the form one runtime runs fastest.

A lowering is a rule table and a last pass over the finished nodes. Names, shapes and numbers (up
to rounding) do not depend on it; `tests/export/test_gradient_graph.py` holds each to the oracle.

===========  =====================================================================================
portable     Comparison masks (``Equal``, ``Greater``), flipped convolutions. Every runtime; CUDA.
nchwc        Masks by ``HardSigmoid`` and ``Mul``, so that ONNX Runtime on a CPU keeps its blocked
             NCHWc layout from one convolution to the next.
nhwc         Gram matrices and their cotangents from features with the channels last, as OpenVINO
             keeps them; the rest is portable. At 512x512 pixels an evaluation of VGG-19 was 1.13
             times as fast in bfloat16 and 1.06 times in float32 (`benchmarks/evaluation.py`).
===========  =====================================================================================

Each of them followed by ``-winograd`` is the same with the wide 3×3 and 5×5 convolutions, forward
and backward, computed by Winograd's minimal filtering, and what lies between them channels-last
(`winograd`, `channels_last`). `WINOGRAD` is the table that says which. For float32:
in bfloat16 it gains little (docs/performance.md).
Followed by ``-winograd-anywhere`` it is so at any size of the picture: for small probes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import impasto.export.vjp  # noqa: F401  (fills the portable table)
from impasto.errors import UnknownNameError
from impasto.export.graph import GraphBuilder
from impasto.export.lowerings import nchwc
from impasto.export.lowerings.channels_last import convolve_by_winograd
from impasto.export.lowerings.winograd import Worthwhile
from impasto.export.registry import PORTABLE, Rules

__all__ = [
    "LOWERINGS",
    "WINOGRAD",
    "Lowering",
    "for_probes",
    "lowering",
    "without_winograd",
]

_SUFFIX = "-winograd"
_ANYWHERE = "-anywhere"

WINOGRAD: Mapping[str, tuple[Worthwhile, ...]] = MappingProxyType(
    {
        "portable": (Worthwhile(channels=160, tiles=32),),
        "nchwc": (Worthwhile(channels=256, tiles=32),),
        "nhwc": (Worthwhile(channels=160, tiles=32), Worthwhile(100, tiles=32, taps=5)),
    }
)
"""Where Winograd pays, by the lowering it is put on; ``benchmarks/winograd.py`` measures it."""


@dataclass(frozen=True)
class Lowering:
    """A rule table, and a pass over the nodes once all are there.

    Parameters
    ----------
    rules : Rules
    finish : callable
        Changes the graph in place.
    channels_last : bool
        Whether products of a feature map's channels are computed from its transpose.
    """

    rules: Rules
    finish: Callable[[GraphBuilder], None]
    channels_last: bool = False


def _leave(graph: GraphBuilder) -> None:
    """Change nothing."""


_PLAIN = {
    "portable": Lowering(PORTABLE, _leave),
    "nchwc": Lowering(nchwc.rules(PORTABLE), nchwc.pull_into_blocked_layout),
    "nhwc": Lowering(PORTABLE, _leave, channels_last=True),
}


def _with_winograd(name: str, *, anywhere: bool = False) -> Lowering:
    """Return the lowering `name` with Winograd before its own last pass."""
    plain = _PLAIN[name]

    def finish(graph: GraphBuilder) -> None:
        rows = WINOGRAD[name]
        convolve_by_winograd(graph, [replace(row, tiles=1) for row in rows] if anywhere else rows)
        plain.finish(graph)

    return replace(plain, finish=finish)


LOWERINGS: Mapping[str, Lowering] = MappingProxyType(
    _PLAIN
    | {f"{name}{_SUFFIX}": _with_winograd(name) for name in WINOGRAD}
    | {f"{name}{_SUFFIX}{_ANYWHERE}": _with_winograd(name, anywhere=True) for name in WINOGRAD}
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


def without_winograd(name: str) -> str:
    """Return the name of the lowering that `name` is without Winograd; itself if it has none."""
    return name.removesuffix(_SUFFIX)


def for_probes(name: str) -> str:
    """Return the lowering that does on a small picture what `name` does on a large one.

    It is the same but for the size at which Winograd begins: it computes every layer by Winograd
    that `name` does at some size.
    """
    return f"{name}{_ANYWHERE}" if name.endswith(_SUFFIX) else name
