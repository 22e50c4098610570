"""A run: scale after scale, each with its targets, its objective and its optimisation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from impasto.engine.autosave import Autosave
from impasto.engine.canvas import Canvas
from impasto.engine.checkpoint import Snapshot
from impasto.engine.color import with_colors
from impasto.engine.compilation import Candidate
from impasto.engine.cutouts import blended_into
from impasto.engine.depth import DeepArray, Depth
from impasto.engine.execution import Execution, OpenObjective, open_objective, targets_for
from impasto.engine.first_image import first_image
from impasto.engine.guidance import guidance_of
from impasto.engine.images import (
    Cutout,
    from_network,
    resize_cutout,
    resize_image,
    to_network,
)
from impasto.engine.inputs import Image, Picture, Subject
from impasto.engine.machine import return_freed_memory
from impasto.engine.objective import weights_for
from impasto.engine.optimizers import Optimizer, OptimizerState, make_optimizer
from impasto.engine.options import Options
from impasto.engine.parts import Workers
from impasto.engine.plan import ScalePlan
from impasto.engine.preparation import Prepared
from impasto.engine.progress import Progress, snapshot_of
from impasto.engine.result import Callback, FloatArray, Iterate, Status, StylizeResult
from impasto.engine.scale_search import ScaleSearch
from impasto.engine.target_cache import TargetCache
from impasto.models.weights.cache import cache_directory

__all__ = ["Painting", "Stopwatch"]


class Stopwatch:
    """Wall time by phase."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.seconds = dict.fromkeys(("load", "compile", "targets", "optimize"), 0.0)

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Add the time the block takes to `phase`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[phase] += time.perf_counter() - began

    def report(self) -> dict[str, float]:
        """Return the seconds by phase, and in total."""
        return {**self.seconds, "total": time.perf_counter() - self.start}


class Painting:
    """One run.

    Parameters
    ----------
    prepared : Prepared
    chosen : Candidate
        What computes the gradient.
    header : mapping
        Of every checkpoint.
    callback : callable, optional
    autosave : Autosave
    clock : Stopwatch
    workers : Workers, optional
        Compute the parts of tiled scales.
    opening : OpenObjective, optional
        Opens the objective of each scale: to share what is compiled, or to add a term.

    Attributes
    ----------
    painted : ndarray of shape (1, 3, H, W), optional
        The image of the last scale, the best or the average, before it is rendered; there is one
        once `run` is done.
    """

    def __init__(
        self,
        prepared: Prepared,
        chosen: Candidate,
        header: Mapping[str, object],
        callback: Callback | None,
        autosave: Autosave,
        clock: Stopwatch,
        workers: Workers | None,
        opening: OpenObjective | None = None,
    ) -> None:
        self.painted: FloatArray | None = None
        self._prepared = prepared
        self._options = prepared.options
        self._chosen = chosen
        self._header = header
        self._callback = callback
        self._autosave = autosave
        self._clock = clock
        self._workers = workers
        self._opening = opening
        self._began = time.perf_counter()

    def run(self, progress: Progress, *, resumed: bool = False) -> StylizeResult:
        """Paint from where `progress` stands to the end, or until cancelled.

        Parameters
        ----------
        progress : Progress
        resumed : bool
            Whether it is from a checkpoint, be it that of iteration 0.
        """
        resumed_from = progress.iteration if resumed else None
        self._began -= progress.seconds
        scales = self._prepared.plan.scales
        while True:
            plan = scales[progress.scale]
            search, status = self._paint(plan, progress)
            last = progress.scale == len(scales) - 1
            if last or status is Status.CANCELLED:
                break
            progress = self._carried(search, progress, scales[progress.scale + 1])
            search.forget()
        result, inputs = search.best, self._prepared.inputs
        self.painted = search.picture
        image, deep = self._pictures(search.picture)
        return StylizeResult(
            image=image,
            status=status,
            loss=result.loss,
            losses=search.best_losses,
            iterations=search.iterations,
            evaluations=progress.evaluations_before + result.evaluations,
            model=self._options.model,
            backend=self._chosen.backend.name,
            precision=self._chosen.backend.precision,
            seconds=self._clock.report(),
            options=self._options,
            execution=plan.execution.report(),
            sizes=tuple((item.size[1], item.size[0]) for item in scales[: progress.scale + 1]),
            resumed_from=resumed_from,
            warnings=self._prepared.warnings,
            alpha=None if inputs.cutout is None else inputs.cutout.alpha,
            deep=deep,
            content=_source(self._prepared.content),
            styles=tuple(map(_path, self._prepared.styles)),
        )

    def _paint(self, plan: ScalePlan, progress: Progress) -> tuple[ScaleSearch, Status]:
        """Optimise at one scale."""
        prepared, options = self._prepared, self._options
        inputs = prepared.inputs
        content = None if inputs.photo is None else inputs.content_at(plan.size)
        if progress.best is None:
            first = first_image(inputs, plan.size, options, prepared.preprocessing)
        else:
            first = progress.best
        with self._clock("targets"):
            guidance = guidance_of(inputs, prepared.network, options, plan)
            targets = targets_for(
                plan.execution,
                self._chosen,
                prepared.network,
                None if content is None else to_network(content),
                [to_network(style) for style in inputs.styles_at(plan.style_sizes)],
                guidance.mixture.shares,
                self._workers,
                TargetCache(cache_directory().parent / "targets"),
                guidance.of_styles,
            )
            targets |= guidance.guides
        return_freed_memory()  # what verifying, the scale before and the targets have left
        with self._clock("compile"):
            weights = weights_for(prepared.network, options, plan.size, guidance.mixture.weights)
            objective = (self._opening or open_objective)(
                plan.execution,
                self._chosen,
                prepared.network,
                plan.size,
                targets,
                weights,
                self._workers,
            )
        search = ScaleSearch(self, plan, progress, first, content, objective, options.average)
        del first, targets
        with self._clock("optimize"):
            status = search.run(_optimizer(plan.execution, self._options))
        return search, status

    def _carried(self, search: ScaleSearch, progress: Progress, plan: ScalePlan) -> Progress:
        """Return where the next scale begins: with the enlarged result of this one."""
        options, (height, width) = self._options, plan.size

        def enlarged(flat: FloatArray) -> FloatArray:
            small = flat.reshape(search.best.x.shape)
            return self._resized(small, height, width).reshape(-1)

        state: OptimizerState | None = None
        if search.last is not None:
            optimizer = _optimizer(plan.execution, options)
            # With an average, the next scale begins from it and not from the last image.
            arrays = dict(search.last.arrays)
            if options.average:
                arrays["x"] = search.picture.reshape(-1)
            state = optimizer.carried(replace(search.last, arrays=arrays), enlarged)
        carried = Progress(
            scale=progress.scale + 1,
            iteration=plan.scale.before,
            evaluations_before=progress.evaluations_before + search.best.evaluations,
            seconds=self.seconds,
            best=self._resized(search.picture, height, width),
            state=state,
        )
        self._autosave(lambda: self.snapshot(carried), now=True)
        return carried

    @property
    def seconds(self) -> float:
        """Wall time since the optimisation began, that before a resumption included."""
        return time.perf_counter() - self._began

    def snapshot(self, progress: Progress) -> Snapshot:
        """Return what to store of the run."""
        return snapshot_of(self._header, progress)

    def save(self, progress: Callable[[], Progress], *, now: bool) -> None:
        """Save the run's state, which `progress` tells, if it is time."""
        self._autosave(lambda: self.snapshot(progress()), now=now)

    def report(self, iterate: Iterate) -> bool:
        """Tell the callback of a step; return whether to go on."""
        return self._callback is None or self._callback(iterate) is not False

    def render(self, image: FloatArray, content: Image | None) -> Image:
        """Turn an image of shape (1, 3, H, W) into the picture to save."""
        return self._shown(from_network(image), content)

    def _shown(self, painted: npt.NDArray[Depth], content: Image | None) -> npt.NDArray[Depth]:
        if content is not None:
            painted = with_colors(painted, content, self._options.color)
        cutout = self.cutout_at(painted.shape[:2])
        return painted if cutout is None else blended_into(painted, cutout)

    def cutout_at(self, size: tuple[int, ...]) -> Cutout | None:
        """Return the content with its alpha at (height, width), if any of it is transparent."""
        cutout, (height, width) = self._prepared.inputs.cutout, size
        return None if cutout is None else resize_cutout(cutout, width, height)

    def _pictures(self, image: FloatArray) -> tuple[Image, DeepArray | None]:
        """Return the picture at its full size, and with 16 bits where the options say so."""
        try:
            return self._rendered(image)
        except KeyboardInterrupt:  # does not lose it
            return self._rendered(image)

    def _rendered(self, image: FloatArray) -> tuple[Image, DeepArray | None]:
        height, width = self._prepared.plan.scales[-1].size
        content = self._prepared.inputs.photo
        image = self._resized(image, height, width)
        deep = None
        if self._options.bit_depth == 16:
            deep = self._shown(from_network(image, 16), content)
        return self.render(image, content), deep

    def _resized(self, image: FloatArray, height: int, width: int) -> FloatArray:
        return resize_image(image, height, width, wraps=self._options.tileable)

    @property
    def iterations(self) -> int:
        """Steps over all scales."""
        return self._prepared.plan.iterations

    @property
    def scale_count(self) -> int:
        """How many scales there are."""
        return len(self._prepared.plan.scales)


def _source(content: Subject) -> Path | Canvas | None:
    return content if isinstance(content, Canvas) else _path(content)


def _path(picture: Picture) -> Path | None:
    return None if isinstance(picture, np.ndarray) else Path(picture)


def _optimizer(execution: Execution, options: Options) -> Optimizer:
    directory = None
    if execution.on_disk:
        # Not the system's temporary directory, which is often memory.
        directory = cache_directory().parent
        directory.mkdir(parents=True, exist_ok=True)
    return make_optimizer(replace(options, history=execution.history), directory)
