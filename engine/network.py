"""The network of a run: a model with the options' pooling and layers, as `export` reads it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from impasto.engine.backends.constants import PagedArrays, PagedConstants
from impasto.engine.options import Options
from impasto.engine.presets import PRESETS
from impasto.errors import OptionError, UnknownNameError
from impasto.export.encoder import Arrays, Encoder, feature_size
from impasto.export.guides import UNGUIDED, Guides
from impasto.export.losses.form import GRAM, LossForm
from impasto.export.torus import first_unwrappable, total_stride
from impasto.models import Model, model_spec
from impasto.models.layer import Architecture, PoolRounding

__all__ = ["Network", "check_layers", "network_for"]


@dataclass(frozen=True)
class Network:
    """An encoder and the layers the losses use, in network order.

    Parameters
    ----------
    encoder : Encoder
        Cut after the last layer used.
    content_layers, style_layers : tuple of str
    guides : Guides
        Which of the losses are guided.
    form : LossForm
        What the losses are.
    wraps : bool
        Whether the image is a torus. Style pictures are none: see :attr:`flat`.
    """

    encoder: Encoder
    content_layers: tuple[str, ...]
    style_layers: tuple[str, ...]
    guides: Guides = UNGUIDED
    form: LossForm = GRAM
    wraps: bool = False

    def computes_as(self, other: Network) -> bool:
        """Return whether both have the same graphs. Equality would compare the encoder's arrays."""
        if self.encoder is not other.encoder:
            return False
        return all(
            getattr(self, item.name) == getattr(other, item.name)
            for item in fields(self)
            if item.name != "encoder"
        )

    @property
    def with_true_gradient(self) -> Network:
        """The same network with the derivative of its losses, not normalised."""
        return replace(self, form=replace(self.form, normalized=False))

    @property
    def flat(self) -> Network:
        """The same network as it reads a picture that ends at its borders."""
        return replace(self, wraps=False)

    @property
    def grid(self) -> int:
        """The number of which the sides of the image have to be multiples."""
        return total_stride(self.encoder.layers) if self.wraps else 1

    @property
    def style_terms(self) -> tuple[str, ...]:
        """Style losses by name: of a layer, or of a layer and a region; in network order."""
        return tuple(term for name in self.style_layers for term in self.guides.terms(name))

    @property
    def guided_terms(self) -> frozenset[str]:
        """Those of the style terms that have a guide."""
        return frozenset(self.style_terms) - set(self.style_layers)

    def feature_sizes(self, size: tuple[int, int]) -> dict[str, tuple[int, int]]:
        """Return (h, w) of every layer's feature map for an image of `size` (height, width)."""
        sizes = {}
        for layer in self.encoder.layers:
            size = feature_size([layer], *size)
            sizes[layer.name] = size
        return sizes

    def check_size(self, height: int, width: int, what: str) -> None:
        """Refuse a picture too small for the deepest layer.

        Raises
        ------
        OptionError
            If a feature map would be empty.
        """
        if min(feature_size(self.encoder.layers, height, width)) < 1:
            raise OptionError(
                f"{what} is {width}x{height} pixels at this size, too small for "
                f"{self.encoder.layers[-1].name}: its feature map would be empty. "
                "Ask for a larger --size (or --style-scale), or for shallower layers."
            )


def check_layers(options: Options) -> None:
    """Refuse layers that the options' model does not have, without loading its weights.

    Raises
    ------
    UnknownNameError
        If there is no such model.
    OptionError
        If it has no such layer, or they are to be on a torus and cannot.
    """
    architecture = model_spec(options.model).architecture
    try:
        names = architecture.in_order(
            (*options.content_layer_weights, *options.style_layer_weights)
        )
    except UnknownNameError as error:
        presets = [name for name, values in PRESETS.items() if values.get("model") == options.model]
        hint = f" `--preset {presets[0]}` names layers for it." if presets else ""
        raise OptionError(f"{error}{hint}") from error
    if options.tileable:
        _check_torus(_with_pooling(architecture.truncated(names), options))


def network_for(model: Model, options: Options) -> Network:
    """Return the network that `options` ask of `model`.

    Raises
    ------
    UnknownNameError
        If a layer is not one of the architecture.
    """
    architecture = model.architecture
    content = architecture.in_order(tuple(options.content_layer_weights))
    style = architecture.in_order(tuple(options.style_layer_weights))
    used = _with_pooling(architecture.truncated(content + style), options)
    if options.tileable:
        _check_torus(used)
    arrays = _seldom_in_memory(model.arrays_of([layer.name for layer in used.layers]))
    encoder = Encoder(model.spec.name, used.layers, arrays, model.preprocessing)
    form = LossForm(options.style_statistic, options.tv_norm, options.normalize_gradients)
    return Network(encoder, content, style, form=form, wraps=options.tileable)


def _check_torus(architecture: Architecture) -> None:
    odd = first_unwrappable(architecture.layers)
    if odd is not None:
        raise OptionError(
            f"--tileable needs convolutions that keep the size and poolings side by side; "
            f"{odd.name} of {architecture.name} is {odd.kernel}x{odd.kernel} with a stride of "
            f"{odd.stride} and a padding of {odd.padding}. Take --model vgg19, or layers before it."
        )


def _seldom_in_memory(arrays: Arrays) -> Arrays:
    """Return the same arrays in a file, if they take memory; a run reads them a few times."""
    if not isinstance(arrays, dict):
        return arrays
    paged = PagedConstants.of(arrays)
    return arrays if paged is None else PagedArrays(paged)


def _with_pooling(architecture: Architecture, options: Options) -> Architecture:
    # The reference reads Caffe's ceil-mode max pooling, and builds its average pooling with floor.
    reference: dict[str, PoolRounding] = {"max": "ceil", "avg": "floor"}
    rounding: dict[str, PoolRounding | None] = {
        "model": None,
        "floor": "floor",
        "ceil": "ceil",
        "reference": reference[options.pooling],
    }
    return architecture.with_pooling(options.pooling, rounding[options.pool_rounding])
