"""Which styles make the target of each style loss, and how much the loss counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from impasto.engine.network import Network
from impasto.engine.objective import blend
from impasto.engine.option_files import EVERYWHERE
from impasto.engine.options import Options
from impasto.errors import OptionError
from impasto.export.guides import Guides

__all__ = [
    "ONE_EACH",
    "Mixture",
    "Region",
    "check_style_layers",
    "guided",
    "mixture_of",
    "regions_of",
    "spread",
    "weights_at",
]

ONE_EACH = ("style_blend_weights", "style_scale", "mask", "style_mask")
"""Options that may be given once for each style picture."""


@dataclass(frozen=True)
class Mixture:
    """How styles are mixed.

    Parameters
    ----------
    shares : mapping of str to tuple of float
        For each style term, how much of its target is of each style; they sum to 1, or all are 0
        where no style counts.
    weights : mapping of str to float
        What multiplies `Options.style_weight` in each style term.
    """

    shares: Mapping[str, tuple[float, ...]]
    weights: Mapping[str, float]


@dataclass(frozen=True)
class Region:
    """A part of the picture with styles of its own.

    Parameters
    ----------
    name : str
        The number of the first of its styles, from 1.
    mask : str
        File of the mask; `EVERYWHERE` is the whole picture.
    styles : frozenset of int
        Places of its styles among all, from 0.
    """

    name: str
    mask: str
    styles: frozenset[int]


def regions_of(options: Options, count: int, *, transparent: bool = False) -> tuple[Region, ...]:
    """Return the regions of a run with `count` styles; none if all styles are painted everywhere.

    Styles with the same mask are blended in one region. A content picture that is `transparent` in
    parts is a region, too: what cannot be seen must not count.
    """
    masks = options.mask or (EVERYWHERE,) * (count * transparent)
    members: dict[str, list[int]] = {}
    for place, mask in enumerate(masks):
        members.setdefault(mask, []).append(place)
    return tuple(
        Region(str(places[0] + 1), mask, frozenset(places)) for mask, places in members.items()
    )


def guided(network: Network, options: Options, count: int, *, transparent: bool) -> Network:
    """Return the network with its losses guided as the options ask for."""
    regions = regions_of(options, count, transparent=transparent)
    by_layer = {
        layer: tuple(region.name for region in regions if _counts(options, region, layer))
        for layer in network.style_layers
    }
    guides = Guides(
        regions=by_layer if regions else {},
        content=bool(options.content_mask) or transparent,
        # Of a style for a torus the cells that have seen its border do not count.
        styles=bool(set(options.style_mask) - {EVERYWHERE}) or network.wraps,
    )
    return replace(network, guides=guides)


def mixture_of(
    options: Options,
    network: Network,
    count: int,
    areas: Mapping[str, float] | None = None,
    missing: Collection[tuple[int, str]] = (),
) -> Mixture:
    """Return how `count` styles are mixed.

    Parameters
    ----------
    options : Options
    network : Network
    count : int
    areas : mapping of str to float, optional
        For each term of a region, its share of the layer's cells.
    missing : collection of (int, str)
        Places of styles, from 0, and layers at which they have nothing to give.

    Notes
    -----
    As in jcjohnson/neural-style, several styles make one target a layer: the weighted mean of their
    Gram matrices, each normalised by its own picture's size. Here it is that of the styles that
    count at the layer (`Options.layers_of`) and are painted in the region.

    A region's loss counts by its share of the picture, so that a pixel is pulled as strongly
    towards a style as it is where that style is painted everywhere. (Gatys et al. 2017 give every
    region a weight of its own: with equal ones a pixel in a region of a tenth of the picture is
    pulled ten times as strongly.) Where there are blend weights it counts, on top, by the mean of
    its styles' over the mean of all.
    """
    given = options.style_blend_weights or (1.0,) * count
    regions = {
        region.name: region for region in regions_of(options, count, transparent=bool(areas))
    }
    shares, weights = {}, {}
    for term in network.style_terms:
        layer, _, name = term.partition(".")
        at_layer = weights_at(options, layer, count)
        members = regions[name].styles if name else range(count)
        own = [
            weight * (place in members and (place, layer) not in missing)
            for place, weight in enumerate(at_layer)
        ]
        shares[term] = blend(own, count)
        weights[term] = options.style_layer_weights[layer] * any(own)
        if name:
            strength = sum(given[place] for place in members) / len(members) * count / sum(given)
            weights[term] *= strength * (areas or {})[term]
    return Mixture(shares, weights)


def _counts(options: Options, region: Region, layer: str) -> bool:
    """Return whether any of a region's styles counts at a layer."""
    own = options.layers_by_style
    return any(layer in own.get(place + 1, (layer,)) for place in region.styles)


def check_style_layers(options: Options, count: int) -> None:
    """Refuse style layers at which no style counts.

    Raises
    ------
    OptionError
        Naming the first.
    """
    for layer in options.style_layer_weights:
        if not any(weights_at(options, layer, count)):
            raise OptionError(
                f"No style picture counts at {layer}, one of --style-layers. Leave it out there, "
                "or give it to one that has a weight, with --layers-of."
            )


def weights_at(options: Options, layer: str, count: int) -> tuple[float, ...]:
    """Return the blend weight of each style at a layer: 0 where it does not count."""
    given = options.style_blend_weights or (1.0,) * count
    own = options.layers_by_style
    return tuple(
        weight * (layer in own.get(number, (layer,))) for number, weight in enumerate(given, 1)
    )


def spread(options: Options, counts: Sequence[int]) -> Options:
    """Return options for single style pictures, from those for groups of them.

    Parameters
    ----------
    options : Options
        What is given once for each style is taken to be of groups if there are as many.
    counts : sequence of int
        Pictures of each group: of a directory, usually.

    Notes
    -----
    A group shares its blend weight equally. All else holds for each of its pictures.
    """
    if set(counts) <= {1}:
        return options
    groups = [group for group, count in enumerate(counts) for _ in range(count)]
    changed: dict[str, Any] = {}
    for name in ONE_EACH:
        values = getattr(options, name)
        if isinstance(values, tuple) and len(values) == len(counts):
            changed[name] = tuple(values[group] for group in groups)
    if "style_blend_weights" in changed:
        changed["style_blend_weights"] = tuple(
            options.style_blend_weights[group] / counts[group] for group in groups
        )
    by_group = options.layers_by_style
    changed["layers_of"] = tuple(
        f"{number}={','.join(by_group[group + 1])}"
        for number, group in enumerate(groups, 1)
        if group + 1 in by_group
    )
    unknown = [number for number in by_group if number > len(counts)]
    if unknown:
        raise OptionError(
            f"--layers-of is given for style {unknown[0]}; there are {len(counts)}, a directory "
            "counting as one."
        )
    return replace(options, **changed)
