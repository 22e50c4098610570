"""How much memory a run takes, predicted: what `impasto plan` tells and `--memory` goes by.

A runtime's own memory cannot be read off its graphs: it depends on what it fuses, in which order
it runs, and how its allocator grows. So the prediction counts what can be counted
(`impasto.engine.workload`) and multiplies by what was measured once for each runtime
(`RUNTIMES`; `benchmarks/any_size.py` measures, `benchmarks/footprint.py` compares).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from impasto.engine.backends.base import Backend
from impasto.engine.network import Network
from impasto.engine.workload import StripWork, tensor_bytes, weight_bytes
from impasto.export.guides import layer_of
from impasto.export.lowerings import without_winograd

__all__ = ["RUNTIMES", "Footprint", "Runtime", "footprint"]

Size = tuple[int, int]
FLOAT = 4


@dataclass(frozen=True)
class Runtime:
    """Measured factors of a runtime.

    Parameters
    ----------
    compiling : float
        Peak while a gradient graph is verified, built and compiled, in bytes of its weights.
    weights : float
        What stays of them in a compiled gradient graph.
    tensors : float
        Activations of a whole evaluation, in bytes of all feature maps once, in float32.
    part_weights : float
        What all compiled parts take together, in bytes of the weights in them.
    part_tensors : float
        Activations, inputs and results of a part, in bytes of its feature maps once.
    """

    compiling: float
    weights: float
    tensors: float
    part_weights: float
    part_tensors: float


RUNTIMES: Mapping[tuple[str, str], Runtime] = {
    ("onnxruntime", "f32"): Runtime(6.8, 1.2, 1.65, 1.75, 3.4),
    ("openvino", "f32"): Runtime(5.6, 4.2, 1.1, 2.7, 4.5),
    ("openvino", "bf16"): Runtime(3.8, 1.8, 0.8, 2.2, 1.2),
    ("cuda", "f32"): Runtime(14.0, 5.0, 0.0, 1.75, 3.4),
}
"""Host memory by backend and precision. Of ``cuda`` those of parts are a guess; in one piece 512
pixels were seen to take 1317 MiB with the verification and 1068 without, 1024 pixels 1235."""


WINOGRAD_TENSORS = 0.5
"""What Winograd adds to the activations in ONNX Runtime, whose allocator does not use the memory of
one kind of tensor for another's: 0.3 GB of VGG-19 at 512 pixels, in a trial.
`benchmarks/footprint.py` compares what is predicted with it."""


def runtime_of(backend: Backend) -> Runtime:
    """Return the factors of a backend with its lowering."""
    found = RUNTIMES[backend.name, backend.precision]
    if backend.name == "onnxruntime" and without_winograd(backend.lowering) != backend.lowering:
        return replace(found, tensors=found.tensors + WINOGRAD_TENSORS)
    return found


VERIFYING = 80 << 20
"""What verifying the backend on its probe left behind while ONNX Runtime was loaded for it.

Now first runs take 1 to 66 MB more than second ones (`benchmarks/footprint.py`); the rest makes up
for what is predicted too low of NIN.
"""


@dataclass(frozen=True)
class Footprint:
    """Bytes of resident memory at one scale, by stage. The stages come one after the other.

    Parameters
    ----------
    base : int
        What the process has before: interpreter, runtime, weights, pictures.
    targets : int
        Computing the targets.
    gradient : int
        Compiling and evaluating the objective, targets and images included.
    optimizer : int
        The optimizer's own arrays.
    """

    base: int
    targets: int
    gradient: int
    optimizer: int

    @property
    def peak(self) -> int:
        """The most at any moment."""
        return self.base + max(self.targets, self.gradient + self.optimizer)


def footprint(
    network: Network,
    backend: Backend,
    size: Size,
    style_sizes: Sequence[Size],
    works: Sequence[StripWork],
    optimizer_bytes: int,
    base: int,
    parts_at_a_time: int = 1,
) -> Footprint:
    """Predict the memory of one scale.

    Parameters
    ----------
    network : Network
    backend : Backend
    size : (height, width)
        Of the image.
    style_sizes : sequence of (height, width)
    works : sequence of StripWork
        Of the image and of the largest style, in strips; empty where both are in one piece.
    optimizer_bytes : int
        The optimizer's own.
    base : int
        Bytes the process has before.
    parts_at_a_time : int
        Parts in work at the same time, each with graphs of its own.
    """
    runtime = runtime_of(backend)
    weights = weight_bytes(network)
    pixels = size[0] * size[1]
    contents = _target_bytes(network, size)
    # What the scale begins from, the image, the best one so far, and the gradient.
    images = 4 * 3 * FLOAT * pixels
    if not works:
        compiling = runtime.compiling * weights
        running = runtime.weights * weights + runtime.tensors * tensor_bytes(network, size)
        gradient = max(compiling, running)
        # Forward only: about half the weights and the largest feature maps.
        forward = [_forward_bytes(network, side) for side in (size, *style_sizes)]
        targets = max(compiling / 2, runtime.weights * weights / 2 + max(forward))
    else:
        work, of_style = works
        compiled = max(work.compiled_bytes, of_style.compiled_bytes)
        part = max(work.largest_part_bytes, of_style.largest_part_bytes)
        gradient = work.stored_bytes + parts_at_a_time * (
            runtime.part_weights * work.compiled_bytes
            + runtime.part_tensors * work.largest_part_bytes
        )
        # Forward only: a third of the weights, and about half of what a part works in.
        targets = max(work.stored_bytes, of_style.stored_bytes) + parts_at_a_time * (
            runtime.part_weights * compiled / 3 + runtime.part_tensors * part / 2
        )
    return Footprint(
        base=base + VERIFYING,
        targets=round(targets + contents + images / 4),
        gradient=round(gradient + contents + images),
        optimizer=optimizer_bytes,
    )


def _target_bytes(network: Network, size: Size) -> int:
    """Return the bytes of content targets and guides."""
    sizes = network.feature_sizes(size)
    maps = Counter({name: network.encoder.channels(name) for name in network.content_layers})
    maps.update(layer_of(term) for term in network.guided_terms)
    if network.guides.content:
        maps.update(network.content_layers)
    return sum(FLOAT * count * sizes[name][0] * sizes[name][1] for name, count in maps.items())


def _forward_bytes(network: Network, size: Size) -> int:
    """Return the bytes of the largest feature maps alive at once: what enters and what leaves."""
    sizes = network.feature_sizes(size)
    layers = [layer for layer in network.encoder.layers if layer.kind != "relu"]
    each = [
        FLOAT * layer.out_channels * sizes[layer.name][0] * sizes[layer.name][1] for layer in layers
    ]
    return 2 * max(each)
