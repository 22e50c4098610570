"""Flicker of painted videos, over motion that is known.

    python benchmarks/flicker.py --save

It takes long; `--scenes camera --save` adds one sequence to the results there are.

Two made-up sequences (`moving_scenes.py`) are painted by `impasto.stylize_video` in several ways:
every frame alone, begun from the content or from noise, and each frame from the one before, with
temporal losses of several weights. Flicker is the mean of |x_t − warp(x_{t−1})| in levels of
0-255 where the scene stayed the same, by the *known* flow: the painting itself has no use of it.
Beside it, what the temporal loss costs: the mean of the frames' other losses, divided by that of
frames that are painted alone from the content.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from machine_description import describe
from moving_scenes import SCENES, Scene
from PIL import Image

import impasto
from impasto.engine.video.flicker import flicker_between

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "flicker.json"
SAID_APART = ("save", "scenes")
STYLE = ROOT / "examples" / "composition_viii.jpg"


def ways(iterations: int, following: int, weights: Sequence[float]) -> dict[str, dict[str, Any]]:
    """Return changes of the options by the name of a way to paint."""
    alone = {"temporal_weight": 0.0, "next_init": "content", "next_iterations": iterations}
    return {
        "each alone, from the content": {"video": alone},
        "each alone, from noise": {"video": alone, "init": "noise", "next_init_noise": True},
        **{
            f"together, temporal weight {weight:g}": {
                "video": {"temporal_weight": weight, "next_iterations": following}
            }
            for weight in weights
        },
    }


def painted(scene: Scene, folder: Path, options: impasto.Options, video: Any) -> dict[str, float]:
    """Paint a scene one way; return its flicker and its other losses."""
    frames = folder / "frames"
    frames.mkdir()
    for number, frame in enumerate(scene.frames, 1):
        Image.fromarray(frame).save(frames / f"{number:03}.png")
    losses: dict[int, float] = {}

    def note(step: impasto.FrameStep) -> None:
        terms = step.iterate.losses
        own = sum(value for name, value in terms.items() if name != "temporal_loss")
        losses[step.frame] = own  # of the frame's last step

    if video is None:  # from noise there is no video to speak of
        out = folder / "out"
        out.mkdir()
        for number, frame in enumerate(scene.frames, 1):
            result = impasto.stylize(frame, [STYLE], replace(options, seed=number))
            losses[number] = result.loss
            impasto.save_image(result.image, out / f"{number:03}.png")
    else:
        impasto.stylize_video(frames, [STYLE], folder / "out", options, video, callback=note)
    pictures = [impasto.load_image(path) for path in sorted((folder / "out").iterdir())]
    steps = zip(pictures, pictures[1:], scene.motions, strict=False)
    return {
        "flicker": fmean(flicker_between(*step) for step in steps),
        "loss": fmean(losses[number] for number in list(losses)[1:]),
    }


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Paint every scene in every way."""
    results: dict[str, Any] = {}
    for name in arguments.scenes:
        height = 2 * arguments.size // 3
        scene = SCENES[name](arguments.frames, height, arguments.size)
        found: dict[str, Any] = {}
        own = zip(scene.frames, scene.frames[1:], scene.motions, strict=False)
        results[name] = {"content": fmean(flicker_between(*step) for step in own), "ways": found}
        print(f"{name}: the content's own flicker is {results[name]['content']:.2f}", flush=True)
        for way, changes in ways(
            arguments.iterations, arguments.next_iterations, arguments.weights
        ).items():
            noise = "next_init_noise" in changes
            options = impasto.Options(
                size=arguments.size,
                iterations=arguments.iterations,
                init="noise" if noise else "content",
                backend=arguments.backend,
                precision=arguments.precision,
                print_every=0,
            )
            video = None if noise else impasto.VideoOptions(**changes["video"])
            with tempfile.TemporaryDirectory() as folder:
                found[way] = painted(scene, Path(folder), options, video)
            alone = found["each alone, from the content"]["loss"]
            print(
                f"  {way}: flicker {found[way]['flicker']:.2f}, "
                f"loss {found[way]['loss'] / alone:.2f}",
                flush=True,
            )
    return results


def main() -> None:
    """Measure, print and perhaps save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", nargs="*", default=list(SCENES), choices=list(SCENES))
    parser.add_argument("--size", type=int, default=144)
    parser.add_argument("--frames", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=30)
    parser.add_argument("--next-iterations", type=int, default=15)
    parser.add_argument("--weights", type=float, nargs="*", default=[0.0, 1e3, 1e4, 1e5, 1e6])
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--save", action="store_true", help=f"write {RESULTS.name}")
    arguments = parser.parse_args()
    results = measure(arguments)
    if arguments.save:
        told = {key: value for key, value in vars(arguments).items() if key not in SAID_APART}
        kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        for name, found in results.items():
            kept[name] = {"arguments": told, "machine": describe(), **found}
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
