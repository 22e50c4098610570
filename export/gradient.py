"""Feature graphs and gradient graphs: the two kinds of file Impasto exports.

The contract (names, shapes, units) is written into each file's metadata and in
docs/graph-contract.md; `CONTRACT_VERSION` changes when it does.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx

from impasto.export.backward import append_gradient
from impasto.export.encoder import Encoder, append_encoder
from impasto.export.graph import GraphBuilder, Shape
from impasto.export.guides import UNGUIDED, Guides, append_guided
from impasto.export.light import LightModel
from impasto.export.losses.content import append_content_loss
from impasto.export.losses.form import GRAM, LossForm, formulas
from impasto.export.losses.moments import append_sums
from impasto.export.losses.statistic import append_style_term, style_inputs
from impasto.export.losses.style import append_gram
from impasto.export.losses.total_variation import append_total_variation
from impasto.export.lowerings import lowering
from impasto.export.normalized import (
    Pull,
    append_least_content_norm,
    append_normalized_gradient,
)
from impasto.export.sizes import cell_count
from impasto.export.torus import COLUMNS, ROWS, total_stride, wrap_convolutions

__all__ = [
    "CONTRACT_VERSION",
    "build_feature_graph",
    "build_gradient_graph",
    "light_feature_graph",
    "light_gradient_graph",
]

CONTRACT_VERSION = "1"

Size = tuple[int, int]


def build_feature_graph(
    encoder: Encoder,
    features: Sequence[str] = (),
    grams: Sequence[str] = (),
    means: Sequence[str] = (),
    *,
    guided: bool = False,
    size: Size | None = None,
    dtype: npt.DTypeLike = np.float32,
    wraps: bool = False,
) -> onnx.ModelProto:
    """Return the graph that computes feature maps and Gram matrices of an image.

    Input ``image``, RGB in 0-255, of shape (1, 3, height, width). Outputs ``features.<layer>`` of
    shape (1, C, h, w), ``gram.<layer>`` of shape (C, C) and ``mean.<layer>`` of shape (C). If
    `guided`, an input ``guide.<layer>`` of shape (1, 1, h, w) for each layer of the last two.

    Parameters
    ----------
    encoder : Encoder
    features, grams, means : sequence of str
        Layers whose feature maps, Gram matrices, and means over the cells are outputs.
    guided : bool
        Whether matrices and means are of a part of the image; see `impasto.export.guides`.
    size : (height, width), optional
        Fix the image's size; by default it is symbolic.
    dtype : numpy dtype
        float32, or float64 to test against.
    wraps : bool
        Whether the image is a torus; its sides have to be multiples of the total stride then.

    Raises
    ------
    ValueError
        If no layer is asked for, or one the encoder does not have.
    """
    return light_feature_graph(
        encoder, features, grams, means, guided=guided, size=size, dtype=dtype, wraps=wraps
    ).whole()


def light_feature_graph(
    encoder: Encoder,
    features: Sequence[str] = (),
    grams: Sequence[str] = (),
    means: Sequence[str] = (),
    *,
    guided: bool = False,
    size: Size | None = None,
    dtype: npt.DTypeLike = np.float32,
    wraps: bool = False,
) -> LightModel:
    """Return the same as :func:`build_feature_graph`, its large constants apart."""
    if not features and not grams and not means:
        raise ValueError("A feature graph needs at least one layer in features, grams or means.")
    graph = GraphBuilder(dtype=dtype)
    image = graph.input("image", _image_shape(size))
    maps = append_encoder(graph, encoder, image, {*features, *grams, *means})
    for layer in features:
        spatial: Shape = (
            (None, None) if size is None else (graph.static_shape(maps[layer]) or ())[2:]
        )
        graph.output(maps[layer], f"features.{layer}", (1, encoder.channels(layer), *spatial))
    for layer in dict.fromkeys((*grams, *means)):
        channels = encoder.channels(layer)
        guide = _guide(graph, f"guide.{layer}", layer, maps[layer]) if guided else None
        seen = maps[layer]
        if guide is not None:
            with graph.scope(f"guided/{layer}"):
                seen = append_guided(graph, seen, guide)
        if layer in grams:
            with graph.scope(f"gram/{layer}"):
                gram = append_gram(graph, seen, channels)
            graph.output(gram, f"gram.{layer}", (channels, channels))
        if layer in means:
            with graph.scope(f"mean/{layer}"):
                # A cell counts T² times in what is linear as in what is quadratic.
                twice = seen if guide is None else append_guided(graph, seen, guide)
                sums = append_sums(graph, twice, channels)
                mean = graph.op("Div", sums, cell_count(graph, seen, channels), name="mean")
            graph.output(mean, f"mean.{layer}", (channels,))
    if wraps:
        wrap_convolutions(graph)
    metadata = _metadata(encoder, "features", features, grams)
    if wraps:
        metadata |= _torus_metadata(encoder) | formulas(GRAM, wraps=True)
    if means:
        metadata |= {"impasto.means": json.dumps(list(means)), "impasto.mean": "F 1 / (h w)"}
    return graph.build_light("impasto_features", metadata)


def build_gradient_graph(
    encoder: Encoder,
    content_layers: Sequence[str],
    style_layers: Sequence[str],
    *,
    guides: Guides = UNGUIDED,
    size: Size | None = None,
    lowered_for: str = "portable",
    form: LossForm = GRAM,
    dtype: npt.DTypeLike = np.float32,
    wraps: bool = False,
) -> onnx.ModelProto:
    """Return the graph that computes the objective and its gradient with respect to the image.

    Inputs ``image`` (RGB in 0-255, shape (1, 3, height, width)), targets ``content.<layer>`` of
    shape (1, C, h, w) and ``style.<layer>`` of shape (C, C), and the scalars
    ``content_weight.<layer>``, ``style_weight.<layer>`` and ``tv_weight``. Outputs ``loss``,
    ``gradient`` of the image's shape, and the weighted terms ``content_loss.<layer>``,
    ``style_loss.<layer>`` and ``tv_loss``, which add up to ``loss``.

    Of a style layer with regions, the names go on with that of the region, as in
    ``style_loss.<layer>.<region>``, and there is an input ``guide.<layer>.<region>`` of shape
    (1, 1, h, w); of guided content losses, an input ``content_guide.<layer>``.

    Parameters
    ----------
    encoder : Encoder
    content_layers, style_layers : sequence of str
        Layers of the two losses; either may be empty.
    guides : Guides
        Which of them are guided.
    size : (height, width), optional
        Fix the image's size; by default it is symbolic.
    lowered_for : str
        Name of the lowering; see `impasto.export.lowerings`. Names and numbers are the same.
    form : LossForm
        What the terms are. Other statistics than Gram matrices have other inputs for their
        targets, which docs/graph-contract.md lists; and of normalised gradients, ``gradient`` is
        not the derivative of ``loss`` (`impasto.export.normalized`).
    dtype : numpy dtype
        float32, or float64 to test against.
    wraps : bool
        Whether the image is a torus; its sides have to be multiples of the total stride then.

    Raises
    ------
    ValueError
        If the encoder lacks a layer, or cannot run on a torus.
    UnknownNameError
        If there is no such lowering.
    """
    return light_gradient_graph(
        encoder,
        content_layers,
        style_layers,
        guides=guides,
        size=size,
        lowered_for=lowered_for,
        form=form,
        dtype=dtype,
        wraps=wraps,
    ).whole()


def light_gradient_graph(
    encoder: Encoder,
    content_layers: Sequence[str],
    style_layers: Sequence[str],
    *,
    guides: Guides = UNGUIDED,
    size: Size | None = None,
    lowered_for: str = "portable",
    form: LossForm = GRAM,
    dtype: npt.DTypeLike = np.float32,
    wraps: bool = False,
) -> LightModel:
    """Return the same as :func:`build_gradient_graph`, its large constants apart."""
    chosen = lowering(lowered_for)
    graph = GraphBuilder(dtype=dtype)
    image = graph.input("image", _image_shape(size))
    maps = append_encoder(graph, encoder, image, {*content_layers, *style_layers})
    # With normalised gradients the weights come last, and the losses are appended without.
    one = graph.constant(1.0, "one") if form.normalized else None
    pulls: dict[str, Pull] = {}
    for layer in content_layers:
        shape = (1, encoder.channels(layer), *_cells(graph, layer, maps[layer]))
        target = graph.input(f"content.{layer}", shape)
        weight = graph.input(f"content_weight.{layer}", ())
        guide = (
            _guide(graph, f"content_guide.{layer}", layer, maps[layer]) if guides.content else None
        )
        with graph.scope(f"content/{layer}"):
            loss = append_content_loss(graph, maps[layer], target, one or weight, guide)
            least = append_least_content_norm(graph, target, guide) if one else None
        pulls[f"content_loss.{layer}"] = Pull(loss, maps[layer], weight, least)
    for layer in style_layers:
        channels = encoder.channels(layer)
        for term in guides.terms(layer):
            targets = style_inputs(graph, form.statistic, term, channels)
            weight = graph.input(f"style_weight.{term}", ())
            guide = None if term == layer else _guide(graph, f"guide.{term}", layer, maps[layer])
            with graph.scope(f"style/{term}"):
                loss = append_style_term(
                    graph,
                    form.statistic,
                    maps[layer],
                    guide,
                    targets,
                    one or weight,
                    channels,
                    channels_last=chosen.channels_last,
                )
            pulls[f"style_loss.{term}"] = Pull(loss, maps[layer], weight)
    with graph.scope("tv"):
        weight = graph.input("tv_weight", ())
        closed = (ROWS, COLUMNS) if wraps else ()
        variation = append_total_variation(graph, image, weight, closed, form.tv_norm)

    losses = {
        name: graph.op("Mul", pull.loss, pull.weight, name="weighted") if one else pull.loss
        for name, pull in pulls.items()
    } | {"tv_loss": variation}
    loss = graph.op("Sum", *losses.values(), name="objective")
    if form.normalized:
        gradient = append_normalized_gradient(graph, pulls.values(), variation, image, chosen.rules)
    else:
        gradient = append_gradient(graph, loss, [image], chosen.rules)[image]
    if wraps:
        wrap_convolutions(graph)
    chosen.finish(graph)
    graph.output(loss, "loss", ())
    graph.output(gradient, "gradient", _image_shape(size))
    for name, value in losses.items():
        graph.output(value, name, ())
    metadata = _metadata(encoder, "gradient", content_layers, style_layers)
    metadata |= formulas(form, wraps=wraps) | _guides_metadata(guides)
    metadata |= {"impasto.lowering": lowered_for}
    if wraps:
        metadata |= _torus_metadata(encoder)
    return graph.build_light("impasto_gradient", metadata)


def _cells(graph: GraphBuilder, layer: str, features: str) -> Shape:
    """Return the height and width of a layer's feature map, symbols where they are not known."""
    shape = graph.static_shape(features)
    return (f"height.{layer}", f"width.{layer}") if shape is None else shape[2:]


def _guide(graph: GraphBuilder, name: str, layer: str, features: str) -> str:
    return graph.input(name, (1, 1, *_cells(graph, layer, features)))


def _image_shape(size: Size | None) -> Shape:
    return (1, 3, *(size or ("height", "width")))


def _metadata(
    encoder: Encoder, kind: str, content: Sequence[str], style: Sequence[str]
) -> dict[str, str]:
    names = ("features", "grams") if kind == "features" else ("content_layers", "style_layers")
    return {
        "impasto.contract": CONTRACT_VERSION,
        "impasto.kind": kind,
        "impasto.encoder": encoder.name,
        f"impasto.{names[0]}": json.dumps(list(content)),
        f"impasto.{names[1]}": json.dumps(list(style)),
        "impasto.image": "RGB, 0-255, float32, shape (1, 3, height, width); preprocessing inside",
        "impasto.gram": "F F^T / (C h w)",
        "impasto.content_loss": "w mean((F - P)^2)",
        **formulas(GRAM),
    }


def _torus_metadata(encoder: Encoder) -> dict[str, str]:
    return {
        "impasto.torus": f"height and width are multiples of {total_stride(encoder.layers)}",
    }


def _guides_metadata(guides: Guides) -> dict[str, str]:
    if guides == UNGUIDED:
        return {}
    return {
        "impasto.regions": json.dumps(
            {layer: list(all_) for layer, all_ in guides.regions.items()}
        ),
        "impasto.content_guided": json.dumps(guides.content),
        "impasto.guided_gram": "(T F)(T F)^T / (C h w), with T scaled so that sum T^2 = h w",
        "impasto.guided_content_loss": "w mean(T^2 (F - P)^2)",
    }
