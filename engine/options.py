"""Every option of a run: the one place for names, defaults, units, choices and help texts.

The command line, the documentation, ``--json`` and the metadata all read :class:`Options`; none
repeats a default. A preset is a set of changed defaults (`impasto.engine.presets`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from impasto.engine.layer_lists import layer_weights, layers_by_style
from impasto.engine.option_checks import MAX_SIZE, check_options
from impasto.engine.scales import Scale, scales_for
from impasto.errors import OptionError
from impasto.export.losses.form import STATISTICS, TV_NORMS, Statistic, TvNorm

__all__ = [
    "CONTENT_FREE",
    "CONTENT_INITS",
    "INITS",
    "MAX_SIZE",
    "TEXTURE_ONLY",
    "BackendChoice",
    "ColorChoice",
    "OptimizerName",
    "Options",
    "PrecisionChoice",
    "current_names",
    "flags",
    "is_repeated",
]

OptimizerName = Literal["lbfgs", "lbfgs-numpy", "adam"]
BackendChoice = Literal["auto", "onnxruntime", "cuda", "openvino"]
PrecisionChoice = Literal["auto", "f32", "bf16"]
ColorChoice = Literal["style", "content-luma", "content-luma-lab", "content-match", "style-match"]
CONTENT_INITS = ("recolored", "content")
INITS = (*CONTENT_INITS, "noise")
"""Values of `init` that are no file; the first are made of the content."""

TEXTURE_ONLY = ("tileable",)
"""Options of `impasto texture` that `impasto paint` does not have."""

CONTENT_FREE: Mapping[str, Any] = MappingProxyType(
    {"content_weight": 0.0, "content_layers": (), "content_mask": "", "color": "style"}
)
"""Options of `impasto paint` that `impasto texture` does not have, and what they are there."""

MAX_PIXELS = 89_478_485
"""Most pixels of a picture file, by default: Pillow's own number, a quarter of a GiB at 3 bytes."""


def option(
    default: Any,
    help: str,
    *aliases: str,
    choices: tuple[str, ...] = (),
    repeated: bool = False,
    group: str,
    metavar: str = "",
    short_for: Mapping[str, str] = MappingProxyType({}),
) -> Any:
    """Declare a field of :class:`Options` together with what the command line needs to know.

    Of a list, `repeated` says whether a flag gives one entry of it, instead of all with commas.
    `metavar` stands for the value on help pages, where its type says too little.
    `short_for` has further flags, which take no value: each stands for a value of the option.
    """
    meta = {
        "help": help,
        "aliases": aliases,
        "choices": choices,
        "repeated": repeated,
        "group": group,
        "metavar": metavar,
        "short_for": short_for,
    }
    return field(default=default, metadata=MappingProxyType(meta))


LOOK, NETWORK, SEARCH = "Look", "Network", "Optimisation"
MACHINE, OUTPUT = "Machine", "Output"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of one picture. Values are checked when the object is made.

    Each field's help text, flag aliases and choices are in its `metadata`
    (``dataclasses.fields(Options)``); :func:`flags` gives its command-line flags.

    Raises
    ------
    OptionError
        If a value is out of range.
    UnknownNameError
        If a choice is not one of its list.
    """

    size: int = option(
        512, "Longest side of the output in pixels, up or down.", "image-size", group=LOOK
    )
    content_weight: float = option(5.0, "Weight of the content losses.", group=LOOK)
    style_weight: float = option(1000.0, "Weight of the style losses.", group=LOOK)
    tv_weight: float = option(1e-3, "Weight of the total variation loss.", group=LOOK)
    tv_norm: TvNorm = option(
        "squared",
        "What the total variation adds up: squared differences of neighbouring pixels, which "
        "soften all, or absolute ones (l1), which flatten areas and keep edges.",
        choices=TV_NORMS,
        group=LOOK,
    )
    normalize_weights: bool = option(
        False,
        "Divide each layer's weight by its channels (for the content, by the longest side of its "
        "feature map if that is more), as neural-style-pt.",
        group=LOOK,
    )
    content_layers: tuple[str, ...] = option(
        ("relu4_2",),
        "Layers of the content loss, in any order; relu4_2=0.5 halves its weight there.",
        group=LOOK,
    )
    style_layers: tuple[str, ...] = option(
        ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
        "Layers of the style loss, in any order; relu4_1=0.5 halves its weight there.",
        group=LOOK,
    )
    layers_of: tuple[str, ...] = option(
        (),
        "Layers that a style picture counts at, where not at all: 2=relu1_1,relu2_1 for the "
        "second. Once for each such picture.",
        repeated=True,
        metavar="N=NAME,...",
        group=LOOK,
    )
    style_statistic: Statistic = option(
        "gram",
        "What the style losses compare: Gram matrices; means and variances; or means and "
        "covariances, by their Wasserstein distance.",
        choices=STATISTICS,
        group=LOOK,
    )
    style_blend_weights: tuple[float, ...] = option(
        (),
        "One weight per style picture; they are divided by their sum. Default: equal.",
        group=LOOK,
    )
    style_scale: float | tuple[float, ...] = option(
        1.0,
        "Longest side of the style pictures, as a multiple of --size: one for all, or one each.",
        group=LOOK,
    )
    mask: tuple[str, ...] = option(
        (),
        "Grey picture, laid over the content, of where a style is painted: white there, black not. "
        "Once for each style, in their order; all is everywhere.",
        repeated=True,
        metavar="FILE",
        group=LOOK,
    )
    mask_edges: Literal["soft", "inside"] = option(
        "soft",
        "What counts at a mask's edge: every cell by the part of it that is inside, or only those "
        "that see nothing of the outside.",
        choices=("soft", "inside"),
        group=LOOK,
    )
    style_mask: tuple[str, ...] = option(
        (),
        "Grey picture, laid over a style picture, of the part that gives the style. Once for each "
        "style, in their order; all is the whole picture.",
        repeated=True,
        metavar="FILE",
        group=LOOK,
    )
    content_mask: str = option(
        "",
        "Grey picture, laid over the content, of where it is kept: white there, black is free.",
        metavar="FILE",
        group=LOOK,
    )
    tileable: bool = option(
        False, "Make the texture seamless: copies of it fit side by side.", group=LOOK
    )
    color: ColorChoice = option(
        "style",
        "Colours of the result. style: the style's. content-luma: the content's, only the light "
        "(YUV) is painted; content-luma-lab: the same in CIELAB. content-match: moved to the "
        "content's mean and covariance; style-match: the style's are, before painting.",
        choices=get_args(ColorChoice),
        group=LOOK,
        short_for={"original-colors": "content-luma"},
    )
    init: str = option(
        "recolored",
        "First image: recolored, which is the content in the style's colours; content; noise; or a "
        "picture file.",
        "init-image",
        metavar="NAME|FILE",
        group=SEARCH,
    )
    seed: int = option(-1, "Seed of the noise; -1 draws one and reports it.", group=SEARCH)
    iterations: int = option(
        200,
        "Optimizer steps; with several --scales those of the first, and half as many at each next.",
        "num-iterations",
        group=SEARCH,
    )
    scales: str = option(
        "auto",
        "Sizes to paint at, coarse to fine: how many, each twice the one before, or a list such as "
        "256,512,1024. auto begins at 512 or less.",
        metavar="N|LIST",
        group=SEARCH,
    )
    optimizer: OptimizerName = option(
        "lbfgs-numpy",
        "lbfgs is scipy's L-BFGS-B; lbfgs-numpy has no line search, as neural-style's.",
        choices=get_args(OptimizerName),
        group=SEARCH,
    )
    learning_rate: float = option(
        0.0, "Step length; 0 is the optimizer's own: 10 for adam, 1 for lbfgs-numpy.", group=SEARCH
    )
    first_step: Literal["safe", "reference"] = option(
        "safe",
        "First step of lbfgs-numpy: scaled to the loss, or neural-style's tiny one.",
        choices=("safe", "reference"),
        group=SEARCH,
    )
    preconditioner: Literal["spectral", "none"] = option(
        "spectral",
        "Variables of lbfgs-numpy: frequencies scaled to be alike, or pixels as in neural-style.",
        choices=("spectral", "none"),
        group=SEARCH,
    )
    normalize_gradients: bool = option(
        False,
        "Divide the gradient of each loss, at its layer, by its L1 norm, as neural-style. Not "
        "with --optimizer lbfgs.",
        group=SEARCH,
    )
    average: float = option(
        0.0,
        "Save a moving average of the images instead of the best one: the share, such as 0.99, "
        "that an iteration leaves of the earlier ones. 0 is off.",
        group=SEARCH,
    )
    history: int = option(
        0,
        "Pairs L-BFGS remembers at most; 0 is the optimizer's own: 30 for lbfgs-numpy (20 with "
        "--preconditioner none), 10 for lbfgs.",
        "lbfgs-num-correction",
        group=SEARCH,
    )
    model: str = option("vgg19", "Network and weights; see `impasto models`.", group=NETWORK)
    weights: Path | None = option(
        None, "Weights file to use instead of the model's own.", "model-file", group=NETWORK
    )
    pooling: Literal["max", "avg"] = option(
        "max", "Pooling of the network.", choices=("max", "avg"), group=NETWORK
    )
    pool_rounding: Literal["model", "floor", "ceil", "reference"] = option(
        "model",
        "Whether a last incomplete pooling window counts (ceil) or not (floor); "
        "reference is ceil for max and floor for avg.",
        choices=("model", "floor", "ceil", "reference"),
        group=NETWORK,
    )
    backend: BackendChoice = option(
        "auto", "Runtime; see `impasto doctor`.", choices=get_args(BackendChoice), group=MACHINE
    )
    device: int = option(0, "GPU number, with --backend cuda.", "gpu", group=MACHINE)
    cudnn_autotune: bool = option(
        False, "Let cuDNN time its convolutions first, with --backend cuda.", group=MACHINE
    )
    precision: PrecisionChoice = option(
        "auto",
        "Arithmetic of the network; auto takes bf16 only where the processor has it.",
        choices=get_args(PrecisionChoice),
        group=MACHINE,
    )
    threads: int = option(0, "Threads; 0 is one per available core.", group=MACHINE)
    max_pixels: int = option(
        MAX_PIXELS, "Largest picture file accepted, in pixels (width times height).", group=MACHINE
    )
    memory: str = option(
        "",
        "Most memory the run may take, such as 8G (of 2^30 bytes) or 900M. Default: what is free.",
        metavar="AMOUNT",
        group=MACHINE,
    )
    tile: str = option(
        "auto",
        "Compute the gradient in parts of so many rows of the picture; whole is in one, auto as "
        "the memory allows. The numbers are the same.",
        metavar="ROWS",
        group=MACHINE,
    )
    bit_depth: int = option(
        8, "Bits of each colour in the picture's file: 8, or 16 in .png and .tif.", group=OUTPUT
    )
    quality: int = option(
        0,
        "Quality of a .jpg, .webp or .avif file, 1 to 100; 0 is 95, lossless and 90.",
        group=OUTPUT,
    )
    no_metadata: bool = option(
        False,
        "Write neither settings nor versions into the picture's file; see `impasto show`.",
        group=OUTPUT,
    )
    checkpoint: str = option(
        "auto",
        "Directory to save the run's state in, for `impasto resume`; off for none. auto is "
        "OUTPUT.checkpoint above 1024 pixels or 10 minutes.",
        metavar="DIR",
        group=OUTPUT,
    )
    save_every: int = option(
        0, "Also save the picture every so many iterations; 0 is never.", "save-iter", group=OUTPUT
    )
    print_every: int = option(
        50, "Report progress every so many iterations; 0 is never.", "print-iter", group=OUTPUT
    )

    def __post_init__(self) -> None:
        check_options(self)
        if not self.init:
            raise OptionError(f"--init is empty; give {', '.join(INITS)} or a picture file.")

    @property
    def schedule(self) -> tuple[Scale, ...]:
        """The sizes the picture is painted at, coarse to fine."""
        return scales_for(self.scales, self.size, self.iterations)

    @property
    def content_layer_weights(self) -> dict[str, float]:
        """What multiplies `content_weight` at each content layer, by its name."""
        return layer_weights(self.content_layers, "--content-layers")

    @property
    def style_layer_weights(self) -> dict[str, float]:
        """What multiplies `style_weight` at each style layer, by its name."""
        return layer_weights(self.style_layers, "--style-layers")

    @property
    def layers_by_style(self) -> Mapping[int, tuple[str, ...]]:
        """Layers of the style pictures that do not count at all, by number, from 1."""
        return layers_by_style(self.layers_of)

    @property
    def largest_style_scale(self) -> float:
        """The largest `style_scale` of any style picture."""
        scale = self.style_scale
        return max(scale, default=1.0) if isinstance(scale, tuple) else scale

    def to_dict(self) -> dict[str, Any]:
        """Return the options as plain JSON values."""
        plain = {item.name: getattr(self, item.name) for item in fields(self)}
        return {
            name: str(value)
            if isinstance(value, Path)
            else list(value)
            if isinstance(value, tuple)
            else value
            for name, value in plain.items()
        }


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def flags(name: str) -> tuple[str, ...]:
    """Return the command-line flags of option `name`, the usual one first."""
    (item,) = (item for item in fields(Options) if item.name == name)
    return (_flag(name), *("--" + alias for alias in item.metadata["aliases"]))


def current_names(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as they were written by an earlier version under the names of this one.

    `original_colors` was an option of its own, and is a value of `color` now.
    """
    values = dict(told)
    if isinstance(values.get("original_colors"), bool) and "color" not in values:
        values["color"] = "content-luma" if values.pop("original_colors") else "style"
    return values


def is_repeated(name: str) -> bool:
    """Return whether a flag of option `name` gives one entry of its list, and is repeated."""
    (item,) = (item for item in fields(Options) if item.name == name)
    return bool(item.metadata["repeated"])
