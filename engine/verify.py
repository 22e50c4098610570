"""Trust no runtime unseen: check a gradient graph on a small probe before the first real use.

OpenVINO 2026.4 was seen to compute a wrong gradient, without an error, for a graph of standard
ops; which graphs, versions and processors do so cannot be known in advance. So on the first use of
a graph on a backend, in a precision, on a processor, its loss terms and gradient, and the feature
maps and Gram matrices that make the targets, are compared on a small picture with what NumPy makes
of the portable lowering, in float32. The verdict is remembered in the cache directory.
"""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

import impasto.export
from impasto import __version__
from impasto.engine.backends.base import Backend, CompiledGraph, FloatArray, Precision
from impasto.engine.machine import processor_name
from impasto.engine.network import Network
from impasto.engine.remembered import key_of, recall, remember
from impasto.engine.scatter import Scatter
from impasto.engine.streamed_objective import StreamedObjective
from impasto.engine.streaming import Keeping, StreamedNetwork, Streaming
from impasto.engine.strip_runs import StripRuns
from impasto.engine.style_losses import style_term
from impasto.engine.style_targets import mean_layers, style_targets
from impasto.export.encoder import feature_size
from impasto.export.gradient import light_feature_graph, light_gradient_graph
from impasto.export.guides import layer_of
from impasto.export.lowerings import for_probes
from impasto.export.strips import segments_of

__all__ = ["LIMITS", "Limits", "Verdict", "graph_sources", "probe_image", "probe_size", "verify"]

logger = logging.getLogger(__name__)


PROBE_ROWS = 32
"""Rows of the probe's strips: several at the first segments, one at the last."""


@dataclass(frozen=True)
class Limits:
    """What a backend must reach on the probe.

    Parameters
    ----------
    cosine : float
        Least cosine between its gradient and the reference's.
    term : float
        Largest relative error of a loss term.
    """

    cosine: float
    term: float


LIMITS: Mapping[Precision, Limits] = {"f32": Limits(0.999, 0.01), "bf16": Limits(0.97, 0.05)}


@dataclass(frozen=True)
class Verdict:
    """Result of a comparison.

    Parameters
    ----------
    cosine : float
        Between the two gradients.
    norm_ratio : float
        Norm of the tested gradient over that of the reference.
    worst_term : str
        Name of the loss term, feature map or Gram matrix with the largest relative error.
    term_error : float
        That error.
    passed : bool
    """

    cosine: float
    norm_ratio: float
    worst_term: str
    term_error: float
    passed: bool

    def __str__(self) -> str:
        return (
            f"gradient cosine {self.cosine:.6f}, norm ratio {self.norm_ratio:.4f}, largest "
            f"relative error {self.term_error:.2%} ({self.worst_term})"
        )


def verify(
    backend: Backend,
    reference: Callable[[], Backend],
    network: Network,
    lowering: str,
    size: tuple[int, int],
    cache: Path | None,
    keeping: Keeping | None = None,
) -> Verdict:
    """Return whether `backend` computes `network`'s gradient graph in `lowering` correctly.

    Parameters
    ----------
    backend : Backend
        The one to judge.
    reference : callable
        Returns what runs the portable lowering rightly; called only where no verdict is remembered.
    network : Network
    lowering : str
        Lowering that `backend` will run. The probe runs its form for probes.
    size : (height, width)
        Size of the real run; the probe has the same remainders, so that it takes the same paths
        through incomplete pooling windows.
    cache : Path, optional
        Directory to remember verdicts in; None neither reads nor writes.
    keeping : Keeping, optional
        Check the gradient in strips that keep this between their passes, instead of in one piece.
    """
    probe = probe_size(network, size)
    key = _key(backend, network, lowering, probe, keeping)
    remembered = _recalled(cache, key)
    if remembered is not None:
        return remembered
    verdict = _compare(backend, reference(), network, lowering, probe, keeping)
    form = "whole" if keeping is None else "in strips"
    logger.info("%s, %s lowering, %s: %s", backend.fingerprint, lowering, form, verdict)
    remember(cache, key, asdict(verdict))
    return verdict


def probe_size(network: Network, size: tuple[int, int]) -> tuple[int, int]:
    """Return a small (height, width) with the remainders of `size` modulo 32.

    32 is the total stride of VGG and NIN, so every pooling meets an odd side where the real
    picture's does. No feature map is empty: NIN's of 66 pixels would be, with ``floor``.
    """
    height, width = (64 + side % 32 for side in size)
    layers = network.encoder.layers
    while min(feature_size(layers, height, width)) < 1:
        height, width = height + 32, width + 32
    return height, width


def probe_image(size: tuple[int, int]) -> FloatArray:
    """Return a fixed picture: a smooth left half with noise, and a flat right half.

    The flat half makes pooling ties, on which a wrong mask shows most.
    """
    height, width = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    waves = np.stack([np.sin(x / 5), np.cos(y / 7), np.sin((x + y) / 9)]) * 80 + 128
    noise = np.random.default_rng(20151).normal(0, 12, waves.shape)
    picture = np.where(x < width // 2, waves + noise, np.float32(90))
    return np.ascontiguousarray(picture[None], np.float32)


def _compare(
    backend: Backend,
    reference: Backend,
    network: Network,
    lowering: str,
    size: tuple[int, int],
    keeping: Keeping | None,
) -> Verdict:
    image = probe_image(size)
    outputs = _probe_features(reference, network, image)
    features = _probe_features(backend, network, image)
    inputs = _probe_inputs(network, outputs, size)
    judge = _compiled(reference, network, "portable", size)
    expected = _run(judge, inputs, image)
    # Weigh each term by its inverse, so that none drowns the others; normalised ones do not.
    balanced = {
        _weight_name(term): np.array(1 / max(float(value), 1e-20), np.float32)
        for term, value in expected.items()
        if term not in ("loss", "gradient") and (term == "tv_loss" or not network.form.normalized)
    }
    inputs = {**inputs, **balanced}
    expected = _run(judge, inputs, image)
    del judge  # before there is another
    found = _evaluate(backend, network, for_probes(lowering), inputs, image, keeping)
    return _judge(found, expected, LIMITS[backend.precision], _relative_errors(features, outputs))


def _judge(
    found: Mapping[str, FloatArray],
    expected: Mapping[str, FloatArray],
    limits: Limits,
    feature_errors: Mapping[str, float],
) -> Verdict:
    errors = dict(feature_errors) | {
        name: abs(float(found[name]) - float(value)) / max(abs(float(value)), 1e-20)
        for name, value in expected.items()
        if name != "gradient"
    }
    worst = max(errors, key=lambda name: np.nan_to_num(errors[name], nan=np.inf))
    a = found["gradient"].astype(np.float64).ravel()
    b = expected["gradient"].astype(np.float64).ravel()
    norms = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    cosine = float(a @ b) / max(norms[0] * norms[1], 1e-300)
    ratio = norms[0] / max(norms[1], 1e-300)
    passed = (
        cosine >= limits.cosine
        and abs(ratio - 1) <= 2 * limits.term
        and errors[worst] <= limits.term
    )
    return Verdict(cosine, ratio, worst, errors[worst], bool(passed))


def _probe_features(backend: Backend, network: Network, image: FloatArray) -> dict[str, FloatArray]:
    """Return what the feature graphs give for the mirrored probe: targets that are not met.

    As in a run, feature maps and Gram matrices have a graph each.
    """
    mirrored = np.ascontiguousarray(image[:, ::-1, :, ::-1])
    found: dict[str, FloatArray] = {}
    layers = ((network.content_layers, (), ()), ((), network.style_layers, mean_layers(network)))
    for features, grams, means in layers:
        if features or grams:
            guided = bool(grams) and network.guides.styles
            graph = backend.compile(
                light_feature_graph(network.encoder, features, grams, means, guided=guided)
            )
            guides = _waves(network, grams, image.shape[2:]) if guided else {}
            outputs = graph.run({"image": mirrored, **guides})
            found |= {name: value.copy() for name, value in outputs.items()}
    return found


def _relative_errors(
    found: Mapping[str, FloatArray], expected: Mapping[str, FloatArray]
) -> dict[str, float]:
    """Return the error of each output, as a share of its norm."""
    return {
        name: float(np.linalg.norm(found[name] - value)) / max(float(np.linalg.norm(value)), 1e-20)
        for name, value in expected.items()
    }


def _probe_inputs(
    network: Network, outputs: Mapping[str, FloatArray], size: tuple[int, int]
) -> dict[str, FloatArray]:
    content = {f"content.{n}": outputs[f"features.{n}"] for n in network.content_layers}
    raw = {}
    for term in network.style_terms:
        layer = layer_of(term)
        raw[term] = outputs[f"gram.{layer}"]
        if layer in mean_layers(network):
            raw[f"mean.{term}"] = outputs[f"mean.{layer}"]
    style = style_targets(network.form.statistic, network.style_terms, [raw], [1.0])
    one = np.array(1, np.float32)
    weights = {f"content_weight.{n}": one for n in network.content_layers}
    weights |= {f"style_weight.{term}": one for term in network.style_terms}
    return {**content, **style, **weights, **_probe_guides(network, size), "tv_weight": one}


def _probe_guides(network: Network, size: Sequence[int]) -> dict[str, FloatArray]:
    """Return a guide for each guided loss."""
    guides: dict[str, FloatArray] = {}
    for layer in network.style_layers:
        terms = [term for term in network.guides.terms(layer) if term in network.guided_terms]
        guides |= _waves(network, terms, size)
    if network.guides.content:
        waves = _waves(network, network.content_layers, size)
        guides |= {f"content_{name}": wave for name, wave in waves.items()}
    return guides


def _waves(network: Network, terms: Sequence[str], size: Sequence[int]) -> dict[str, FloatArray]:
    """Return fixed ``guide.<term>``, no two of a layer alike: waves, cut off below 0.

    As those of masks, they have a mean square of 1. With a larger one, moments would not be those
    of any features: a variance could be less than 0, and its root no number.
    """
    height, width = size
    sizes = network.feature_sizes((height, width))
    guides = {}
    for number, term in enumerate(terms):
        rows, columns = sizes[layer_of(term)]
        y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
        wave = np.maximum(0, np.sin((number + 2) * x / columns + (number + 3) * y / rows))
        wave /= max(float(np.sqrt(np.mean(wave**2))), 1e-6)  # of one cell it is 0
        guides[f"guide.{term}"] = wave[None, None].astype(np.float32)
    return guides


def _evaluate(
    backend: Backend,
    network: Network,
    lowering: str,
    inputs: Mapping[str, FloatArray],
    image: FloatArray,
    keeping: Keeping | None = None,
) -> dict[str, FloatArray]:
    """Return the gradient graph's outputs, computed in one piece or, with `keeping`, in strips."""
    height, width = image.shape[2:]
    if keeping is None:
        return _run(_compiled(backend, network, lowering, (height, width)), inputs, image)
    rows = (PROBE_ROWS,) * len(segments_of(network.encoder.layers))
    streaming = Streaming(rows, keeping)
    streamed = StreamedNetwork(network, backend, lowering, (height, width), streaming)
    weights = {n: v for n, v in inputs.items() if n.partition(".")[0].endswith("_weight")}
    targets = {n: v for n, v in inputs.items() if n not in weights}
    objective = StreamedObjective(streamed, targets, weights)
    loss, gradient = objective(image)
    terms = {name: np.array(value, np.float32) for name, value in objective.losses.items()}
    return {**terms, "loss": np.array(loss, np.float32), "gradient": gradient}


def _compiled(
    backend: Backend, network: Network, lowering: str, size: tuple[int, int]
) -> CompiledGraph:
    """Return the gradient graph of an image of `size`, in one piece."""
    # The model is not kept under a name: the weights are in it.
    return backend.compile(
        light_gradient_graph(
            network.encoder,
            network.content_layers,
            network.style_layers,
            guides=network.guides,
            size=size,
            lowered_for=lowering,
            form=network.form,
            wraps=network.wraps,
        )
    )


def _run(
    graph: CompiledGraph, inputs: Mapping[str, FloatArray], image: FloatArray
) -> dict[str, FloatArray]:
    """Return all outputs, to keep."""
    graph.bind(inputs)
    return {name: value.copy() for name, value in graph.run({"image": image}).items()}


def _weight_name(term: str) -> str:
    return term.replace("_loss", "_weight", 1)


def _key(
    backend: Backend,
    network: Network,
    lowering: str,
    size: tuple[int, int],
    keeping: Keeping | None,
) -> str:
    encoder = network.encoder
    # The first and the last array tell weight sets apart without reading all of them.
    names = [f"{layer.name}.weight" for layer in encoder.layers if layer.kind == "convolution"]
    return key_of(
        graph_sources(),
        backend.fingerprint,
        processor_name(),
        lowering,
        repr(size),
        encoder.name,
        repr(encoder.layers),
        repr((network.content_layers, network.style_layers, network.form)),
        repr((network.style_terms, network.guides.content, network.guides.styles)),
        repr(network.wraps),
        repr(keeping and (sorted(keeping.features), sorted(keeping.signs))),
        *(np.ascontiguousarray(encoder.arrays[name]).data for name in (names[0], names[-1])),
    )


@cache
def graph_sources() -> str:
    """Return a digest of the code that makes graphs, probes and what they are to give.

    Other code, other verdicts.
    """
    digest = hashlib.sha256(__version__.encode())
    makers = (StreamedNetwork, StripRuns, Scatter, StreamedObjective, style_term, style_targets)
    strips = (sys.modules[maker.__module__] for maker in makers)
    sources = [*(Path(module.__file__ or "") for module in strips), Path(__file__)]
    sources += sorted((Path(__file__).parent / "backends").glob("numpy_*.py"))
    for source in (*sorted(Path(impasto.export.__file__).parent.rglob("*.py")), *sources):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _recalled(cache: Path | None, key: str) -> Verdict | None:
    try:
        return Verdict(**(recall(cache, key) or {}))
    except TypeError:
        return None  # absent, or of another version: compare again
