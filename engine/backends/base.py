"""What a backend is: something that compiles an ONNX graph and runs it on float32 arrays.

A backend is one file with one class that implements :class:`Backend`, and one row of the table in
`impasto.engine.backends`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import onnx

from impasto.export.light import LightModel

__all__ = ["Backend", "BackendInfo", "CompiledGraph", "FloatArray", "Precision"]

FloatArray = npt.NDArray[np.float32]
Precision = Literal["f32", "bf16"]


class CompiledGraph(Protocol):
    """One graph, ready to run."""

    def bind(self, values: Mapping[str, FloatArray]) -> None:
        """Set inputs that stay the same over many runs (targets, weights); they are not copied.

        The arrays must be C-contiguous float32 and must not be changed while they are bound.

        Raises
        ------
        BackendError
            If a name is not an input of the graph.
        """

    def run(self, values: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Run the graph on the bound inputs and `values`; return every output by name.

        Inputs and outputs are shared with the runtime where it allows. The returned arrays belong
        to the compiled graph: the next run overwrites them.

        Raises
        ------
        BackendError
            If an input is missing or has another shape, or the runtime fails.
        """

    def release(self) -> None:
        """Give working memory back that the next run can take again; results of runs included."""


class Backend(Protocol):
    """A runtime on a device in a precision."""

    @property
    def name(self) -> str:
        """``onnxruntime``, ``cuda`` or ``openvino``; ``numpy`` of what they are compared with."""

    @property
    def precision(self) -> Precision:
        """Arithmetic of convolutions and products; inputs and outputs are float32 always."""

    @property
    def lowering(self) -> str:
        """Name of the lowering in `impasto.export` whose graphs this backend runs fastest."""

    @property
    def fingerprint(self) -> str:
        """Runtime, version, device and precision in one line: the key of a remembered verdict."""

    def compile(
        self,
        model: onnx.ModelProto | LightModel,
        outputs: Sequence[str] | None = None,
        *,
        one_of_many: bool = False,
    ) -> CompiledGraph:
        """Compile `model`.

        Parameters
        ----------
        model : ModelProto or LightModel
            Apart from the model, large constants are copied less often.
        outputs : sequence of str, optional
            The outputs to compute, all of them by default.
        one_of_many : bool
            Whether it is one of many graphs that run in turns, and should therefore have little
            memory of its own.

        Raises
        ------
        BackendError
            If the runtime refuses the graph, or would run it elsewhere than asked.
        """


@dataclass(frozen=True)
class BackendInfo:
    """What `impasto doctor` says of a backend.

    Parameters
    ----------
    name : str
        ``onnxruntime``, ``cuda`` or ``openvino``.
    available : bool
        Whether it can run here.
    version : str
        Version of the runtime, or an empty string.
    precisions : tuple of {"f32", "bf16"}
        What it computes in natively on this machine, the fastest first.
    detail : str
        Device name, or why it is not available and what to install.
    """

    name: str
    available: bool
    version: str
    precisions: tuple[Precision, ...]
    detail: str
