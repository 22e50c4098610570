"""The guides and the mixture of styles at one scale of a run."""

from __future__ import annotations

from dataclasses import dataclass

from impasto.engine.guides import content_guides, region_guides, style_guides
from impasto.engine.inputs import Inputs
from impasto.engine.mixture import Mixture, mixture_of
from impasto.engine.network import Network
from impasto.engine.objective import Targets
from impasto.engine.options import Options
from impasto.engine.plan import ScalePlan

__all__ = ["Guidance", "guidance_of"]


@dataclass(frozen=True)
class Guidance:
    """What says where and how much styles and content count.

    Parameters
    ----------
    guides : mapping of str to ndarray
        ``guide.<term>`` and ``content_guide.<layer>``, inputs of the gradient graph.
    of_styles : tuple of mapping of str to ndarray
        ``guide.<layer>`` for each style picture; empty if all of all counts.
    mixture : Mixture
    """

    guides: Targets
    of_styles: tuple[Targets, ...]
    mixture: Mixture


def guidance_of(inputs: Inputs, network: Network, options: Options, plan: ScalePlan) -> Guidance:
    """Return the guidance at a scale. Regions too small for a layer are warned of and left out."""
    masks, edges, count = inputs.masks, options.mask_edges, len(inputs.styles)
    regions = region_guides(network, masks.regions, plan.size, edges)
    guides = dict(regions.guides)
    if masks.content is not None:
        guides |= content_guides(network, masks.content, plan.size)
    of_styles = []
    if network.guides.styles:
        for mask, size in zip(masks.styles or (None,) * count, plan.style_sizes, strict=True):
            of_styles.append(style_guides(network, mask, size, edges))
    missing = {
        (place, layer)
        for place, own in enumerate(of_styles)
        for layer, area in own.areas.items()
        if not area
    }
    mixture = mixture_of(options, network, count, regions.areas, missing)
    return Guidance(guides, tuple(own.guides for own in of_styles), mixture)
