"""``impasto export``: a model as an ONNX file that runs without Impasto."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from impasto.cli.completion import complete_model
from impasto.cli.flags import options_from, with_option_flags
from impasto.cli.messages import Debug
from impasto.cli.output_flags import Overwrite
from impasto.engine.options import OUTPUT
from impasto.engine.presets import PRESETS
from impasto.errors import UnknownNameError

if TYPE_CHECKING:
    from impasto.engine.exporting import GraphKind

__all__ = ["export"]

_OPTIONS = (
    "weights",
    "pooling",
    "pool_rounding",
    "content_layers",
    "style_layers",
    "style_statistic",
    "tv_norm",
    "normalize_gradients",
    "tileable",
)
KINDS = ("features", "gradient")


@with_option_flags(_OPTIONS)
def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            show_default=False,
            help="See `impasto models`.",
            autocompletion=complete_model,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            *("-o", "--output"),
            metavar="FILE",
            help="ONNX file to write.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ],
    kind: Annotated[
        str,
        typer.Option(
            metavar="|".join(KINDS),
            help="Feature maps and Gram matrices; or losses and their gradient with respect to "
            "the image. [default: gradient]",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = "gradient",
    overwrite: Overwrite = False,
    debug: Debug = False,
    **given: Any,
) -> None:
    """Write a model's feature graph or gradient graph as a portable ONNX file.

    Height and width of the image stay open. Layers of nin default to those of --preset nin. The
    last line on standard output is the file's path.
    """
    if kind not in KINDS:
        raise UnknownNameError("--kind", kind, KINDS)
    options = options_from(_preset_of(model), {**given, "model": model})
    from impasto.engine.outputs import check_output_file

    check_output_file(output, overwrite, [options.weights] if options.weights else [])
    from impasto.engine.exporting import export_graph, save_graph

    save_graph(export_graph(options, cast("GraphKind", kind)), output)
    print(output)


def _preset_of(model: str) -> str:
    """Return the preset made for `model`, whose layers it knows."""
    made_for = (name for name, changes in PRESETS.items() if changes.get("model") == model)
    return next(made_for, "default")
