"""``impasto video``: a video in the style of paintings."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impasto import __version__
from impasto.cli.arguments import Preset, Styles, paintings
from impasto.cli.flags import default_text, options_from, with_option_flags
from impasto.cli.interruption import Interruption
from impasto.cli.messages import Debug, say
from impasto.cli.output_flags import AsJson
from impasto.cli.video_progress import video_progress
from impasto.engine.options import OUTPUT, TEXTURE_ONLY, Options
from impasto.engine.video.options import NextInit, VideoOptions

if TYPE_CHECKING:
    from impasto.engine.video.report import VideoResult

__all__ = ["video"]

MASKS = {"mask", "mask_edges", "content_mask"}
FILES = {"bit_depth", "quality", "no_metadata"}
NOT_OFFERED = {*TEXTURE_ONLY, *MASKS, *FILES, "checkpoint", "save_every"}
"""A video goes on at its next frame by itself; masks of the content do not move with it; its files
have 8 bits, and of their making they tell the program's name only."""


def _flag(name: str) -> Any:
    """Return the flag of a field of `VideoOptions`."""
    (item,) = (item for item in fields(VideoOptions) if item.name == name)
    choices = "|".join(item.metadata["choices"])
    return typer.Option(
        "--" + name.replace("_", "-"),
        help=f"{item.metadata['help']} [default: {default_text(item.default)}]",
        show_default=False,
        metavar=choices or ("X" if isinstance(item.default, float) else "N"),
        rich_help_panel=item.metadata["group"],
    )


@with_option_flags({item.name for item in fields(Options)} - NOT_OFFERED)
def video(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="VIDEO",
            show_default=False,
            help="The video to paint: a file, or a directory of frames.",
        ),
    ],
    styles: Styles,
    output: Annotated[
        Path,
        typer.Option(
            *("-o", "--output"),
            metavar="OUT",
            help="What to write: a directory of frames, or a file: .mp4, .mov, .mkv, .webm, .gif, "
            ".webp or .apng.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ],
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace existing files, and start again where a run was stopped.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    as_json: AsJson = False,
    temporal_weight: Annotated[float, _flag("temporal_weight")] = VideoOptions.temporal_weight,
    next_iterations: Annotated[int, _flag("next_iterations")] = VideoOptions.next_iterations,
    next_init: Annotated[str, _flag("next_init")] = VideoOptions.next_init,
    start: Annotated[int, _flag("start")] = VideoOptions.start,
    frames: Annotated[int, _flag("frames")] = VideoOptions.frames,
    max_frames: Annotated[int, _flag("max_frames")] = VideoOptions.max_frames,
    fps: Annotated[float, _flag("fps")] = VideoOptions.fps,
    preset: Preset = "default",
    debug: Debug = False,
    **given: Any,
) -> None:
    """Paint a video in the style of one or more paintings, without flicker.

    Each frame begins from the one before, moved as the scene moved, and is held there by a
    temporal loss where that motion can be trusted. A run that was stopped goes on when the same
    command is given again.
    """
    options = options_from(preset, given)
    chosen = VideoOptions(
        temporal_weight=temporal_weight,
        next_iterations=next_iterations,
        next_init=_next_init(next_init),
        start=start,
        frames=frames,
        max_frames=max_frames,
        fps=fps,
    )
    from impasto.engine.network import check_layers
    from impasto.engine.video.driver import state_directory, stylize_video

    check_layers(options)
    with (
        Interruption() as interruption,
        video_progress(options.print_every) as progress,
    ):
        try:
            result = stylize_video(
                source,
                list(paintings(styles)),
                output,
                options,
                chosen,
                overwrite=overwrite,
                callback=progress.step,
                on_frame=progress.frame,
                metadata={"Software": f"Impasto {__version__}"},
            )
        except KeyboardInterrupt:
            say(f"interrupted. The same command goes on with what is in {state_directory(output)}.")
            raise typer.Exit(interruption.exit_code) from None
    _tell(result)
    if not result.finished:
        say(f"stopped after {len(result.frames)} frames; the same command goes on.")
        raise typer.Exit(interruption.exit_code)
    print(json.dumps(result.summary()) if as_json else output, flush=True)


def _next_init(text: str) -> NextInit:
    return text  # type: ignore[return-value]  # VideoOptions looks whether it is one


def _tell(result: VideoResult) -> None:
    """Say what there is to know of a video."""
    if result.resumed_from:
        say(f"resumed after {result.resumed_from} frames.")
    if result.cuts:
        numbers = ", ".join(map(str, result.cuts))
        say(f"new scenes begin at frame {numbers}; each was begun anew.")
    width, height = result.size
    flicker = ""
    if result.flicker is not None and result.content_flicker is not None:
        flicker = (
            f" Flicker {result.flicker:.2f} of 255; the video's own is "
            f"{result.content_flicker:.2f}."
        )
    say(
        f"{len(result.frames)} of {result.frames_wanted} frames, {width}x{height} pixels, "
        f"{result.seconds:.1f} s with {result.backend} {result.precision}.{flicker}"
    )
