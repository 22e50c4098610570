"""The cotangents that the losses give the rows a strip owns, once the whole picture is known."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from impasto.export.encoder import Encoder
from impasto.export.graph import GraphBuilder
from impasto.export.guides import append_guided, layer_of
from impasto.export.losses.form import Moment
from impasto.export.losses.moments import append_style_cotangents
from impasto.export.strip_graphs import guide_rows, owned_rows, target_rows
from impasto.export.strips import Strip

__all__ = ["append_loss_cotangents"]


def append_loss_cotangents(
    graph: GraphBuilder,
    encoder: Encoder,
    strip: Strip,
    values: Mapping[str, str],
    *,
    styles: Collection[str],
    moments: Collection[Moment],
    contents: Collection[str],
    guided: Collection[str],
    content_guided: bool,
    channels_last: bool,
) -> Iterator[tuple[str, str]]:
    """Append each loss's cotangent on the rows of its layer that the strip owns.

    Inputs are declared as `impasto.export.strip_backward.build_strip_backward` lists them.

    Parameters
    ----------
    graph : GraphBuilder
    encoder : Encoder
    strip : Strip
    values : mapping of str to str
        The layers' outputs, the rows that are computed.
    styles, moments, contents, guided, content_guided
        As for `impasto.export.strip_backward.build_strip_backward`.
    channels_last : bool
        See `impasto.export.losses.style.append_products`.

    Yields
    ------
    name : str
        ``style.<term>`` or ``content.<layer>``.
    cotangent : str
        Of the shape of the owned rows.
    """
    for term in styles:
        name = layer_of(term)
        with graph.scope(f"style/{term}"):
            owned = owned_rows(graph, strip, name, values[name])
            guide = guide_rows(graph, f"guide.{term}", owned) if term in guided else None
            cotangent = append_style_cotangents(
                graph,
                moments,
                term,
                owned,
                guide,
                encoder.channels(name),
                channels_last=channels_last,
            )
        yield f"style.{term}", cotangent
    for name in contents:
        with graph.scope(f"content/{name}"):
            owned = owned_rows(graph, strip, name, values[name])
            difference = graph.op("Sub", owned, target_rows(graph, name, owned), name="difference")
            coefficient = graph.input(f"content_coefficient.{name}", ())
            if content_guided:
                guide = guide_rows(graph, f"content_guide.{name}", owned)
                difference = append_guided(graph, append_guided(graph, difference, guide), guide)
            cotangent = graph.op("Mul", difference, coefficient, name="seed")
        yield f"content.{name}", cotangent
