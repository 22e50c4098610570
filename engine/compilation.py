"""Get a verified gradient graph: choose the backend, check it, fall back if it is wrong."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from impasto.engine.backends import open_backend, open_reference
from impasto.engine.backends.base import Backend, CompiledGraph
from impasto.engine.network import Network
from impasto.engine.options import Options, PrecisionChoice
from impasto.engine.streaming import Keeping
from impasto.engine.verify import verify
from impasto.errors import BackendError
from impasto.export.gradient import light_gradient_graph
from impasto.export.lowerings import without_winograd

__all__ = ["Candidate", "candidates", "compile_gradient", "verified"]

logger = logging.getLogger(__name__)

REFERENCE_LOWERING = "portable"


@dataclass(frozen=True)
class Candidate:
    """A backend together with the lowering it is to run.

    Parameters
    ----------
    backend : Backend
    lowering : str
    """

    backend: Backend
    lowering: str

    def __str__(self) -> str:
        return f"{self.backend.name} {self.backend.precision} with the {self.lowering} lowering"


def candidates(options: Options) -> Iterator[Candidate]:
    """Yield what may run the options' gradient graph, in order of preference.

    First what was asked for or chosen by ``auto``; then, for when that computes wrong numbers, the
    same runtime in float32, ONNX Runtime, and last ONNX Runtime with the portable lowering, whose
    graph the reference computes too. Each that convolves by Winograd is followed by itself without.
    """
    first = _open(options)
    yield from _forms(first)
    if first.precision != "f32":
        yield from _forms(open_backend(first.name, "f32", options.threads, options.device))
    cpu = open_backend("onnxruntime", "f32", options.threads)
    if first.name != cpu.name:
        yield from _forms(cpu)
    yield Candidate(cpu, REFERENCE_LOWERING)


def _forms(backend: Backend) -> Iterator[Candidate]:
    yield Candidate(backend, backend.lowering)
    plain = without_winograd(backend.lowering)
    if plain != backend.lowering:
        yield Candidate(backend, plain)


def verified(
    options: Options,
    network: Network,
    size: tuple[int, int],
    cache: Path | None,
    keepings: Sequence[Keeping | None] = (None,),
) -> Candidate:
    """Return the first candidate whose numbers agree with the reference.

    Of normalised gradients both are compared: those of the losses, before they are normalised, and
    what is made of them.

    Parameters
    ----------
    options : Options
    network : Network
    size : (height, width)
        Of the real run.
    cache : Path, optional
        Directory to remember verdicts in.
    keepings : sequence of Keeping or None
        The forms the gradient will be computed in: None for one piece, a `Keeping` for strips.

    Notes
    -----
    Falling back is logged as a warning: it is slower, and somebody should know.

    Raises
    ------
    BackendUnavailableError
        If the backend asked for is not there.
    BackendError
        If every candidate fails to run, or computes something else.
    """
    networks = [network.with_true_gradient, network] if network.form.normalized else [network]
    for candidate in candidates(options):
        try:
            verdicts = [
                verify(
                    candidate.backend,
                    open_reference,
                    asked,
                    candidate.lowering,
                    size,
                    cache,
                    keeping,
                )
                for asked in networks
                for keeping in keepings
            ]
        except BackendError as error:
            logger.warning("%s does not run here (%s); falling back.", candidate, error)
            continue
        wrong = [verdict for verdict in verdicts if not verdict.passed]
        if not wrong:
            return candidate
        logger.warning("%s computes a wrong gradient here (%s); falling back.", candidate, wrong[0])
    raise BackendError(
        "No backend computes the gradient rightly here; the warnings before this say what each "
        "did instead. `impasto doctor` tells which others there could be."
    )


def compile_gradient(
    candidate: Candidate, network: Network, size: tuple[int, int]
) -> CompiledGraph:
    """Compile the gradient graph of `network` for an image of `size` (height, width)."""
    # Not kept under a name: the weights are in it.
    return candidate.backend.compile(
        light_gradient_graph(
            network.encoder,
            network.content_layers,
            network.style_layers,
            guides=network.guides,
            size=size,
            lowered_for=candidate.lowering,
            form=network.form,
            wraps=network.wraps,
        )
    )


def _open(options: Options) -> Backend:
    return open_backend(
        options.backend,
        _precision(options),
        options.threads,
        options.device,
        options.cudnn_autotune,
    )


def _precision(options: Options) -> PrecisionChoice:
    """Return the precision to try first.

    In bfloat16 a covariance has eigenvalues below 0, of which the distance takes roots.
    """
    needs_digits = options.style_statistic == "covariance" and options.precision == "auto"
    return "f32" if needs_digits else options.precision
