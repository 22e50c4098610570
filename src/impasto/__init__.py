"""Neural style transfer on CPUs, through ONNX gradient graphs, without PyTorch.

::

    import impasto

    result = impasto.stylize("photo.jpg", ["painting.jpg"], impasto.Options(size=512))
    impasto.save_result(result, "painted.png")

Everything is imported on first use, so that ``import impasto`` stays fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from impasto.engine.batch import Done, Outcome, paint_batch
    from impasto.engine.images import load_image, save_image
    from impasto.engine.options import Options
    from impasto.engine.parts import Workers
    from impasto.engine.presets import PRESETS, preset_options
    from impasto.engine.result import Iterate, Status, StylizeResult
    from impasto.engine.saving import save_result
    from impasto.engine.stylize import resume, stylize
    from impasto.engine.texture import texture
    from impasto.engine.video.driver import FrameStep, stylize_video
    from impasto.engine.video.options import VideoOptions
    from impasto.engine.video.report import FrameReport, VideoResult
    from impasto.errors import ImpastoError

__all__ = [
    "PRESETS",
    "Done",
    "FrameReport",
    "FrameStep",
    "ImpastoError",
    "Iterate",
    "Options",
    "Outcome",
    "Status",
    "StylizeResult",
    "VideoOptions",
    "VideoResult",
    "Workers",
    "__version__",
    "load_image",
    "paint_batch",
    "preset_options",
    "resume",
    "save_image",
    "save_result",
    "stylize",
    "stylize_video",
    "texture",
]

__version__ = "0.1.0"

_HOMES = {
    "PRESETS": "impasto.engine.presets",
    "FrameReport": "impasto.engine.video.report",
    "FrameStep": "impasto.engine.video.driver",
    "Done": "impasto.engine.batch",
    "ImpastoError": "impasto.errors",
    "Iterate": "impasto.engine.result",
    "Options": "impasto.engine.options",
    "Outcome": "impasto.engine.batch",
    "Status": "impasto.engine.result",
    "StylizeResult": "impasto.engine.result",
    "VideoOptions": "impasto.engine.video.options",
    "VideoResult": "impasto.engine.video.report",
    "Workers": "impasto.engine.parts",
    "load_image": "impasto.engine.images",
    "paint_batch": "impasto.engine.batch",
    "preset_options": "impasto.engine.presets",
    "resume": "impasto.engine.stylize",
    "save_image": "impasto.engine.images",
    "save_result": "impasto.engine.saving",
    "stylize": "impasto.engine.stylize",
    "texture": "impasto.engine.texture",
    "stylize_video": "impasto.engine.video.driver",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'impasto' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
