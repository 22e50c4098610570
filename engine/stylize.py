"""The driver: from pictures and options to a painted picture.

`stylize` reads top to bottom as the method does: load, compute targets, compile the gradient
graph, optimise, render. Everything it calls has a module of its own.
"""

from __future__ import annotations

import math
import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from impasto.engine.color import original_colors
from impasto.engine.compilation import Candidate, compile_gradient, verified
from impasto.engine.images import fit, from_network, load_image, resize, to_network
from impasto.engine.network import Network, check_layers, network_for
from impasto.engine.objective import Objective, targets_of, weights_for
from impasto.engine.optimizers import BestSoFar, Optimizer, Step, make_optimizer
from impasto.engine.options import INITS, Options
from impasto.engine.result import Callback, FloatArray, Iterate, Status, StylizeResult
from impasto.errors import OptimizationError, OptionError
from impasto.export.gradient import build_feature_graph
from impasto.models import load_model
from impasto.models.layer import Preprocessing
from impasto.models.weights.cache import cache_directory

__all__ = ["Picture", "stylize"]

Image = npt.NDArray[np.uint8]
Picture = Image | str | os.PathLike[str]
"""A picture as an array of shape (H, W, 3), uint8 RGB, or the path of its file."""


class _Stopwatch:
    """Wall time by phase."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.seconds = dict.fromkeys(("load", "compile", "targets", "optimize"), 0.0)

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[phase] += time.perf_counter() - began

    def report(self) -> dict[str, float]:
        return {**self.seconds, "total": time.perf_counter() - self.start}


@dataclass(frozen=True)
class _Inputs:
    """The pictures of a run at their working sizes, uint8 RGB."""

    content: Image
    styles: tuple[Image, ...]
    initial: Image | None

    @property
    def size(self) -> tuple[int, int]:
        height, width, _ = self.content.shape
        return height, width


def stylize(
    content: Picture,
    styles: Sequence[Picture],
    options: Options | None = None,
    *,
    callback: Callback | None = None,
) -> StylizeResult:
    """Paint `content` in the style of `styles`.

    Parameters
    ----------
    content : ndarray of shape (H, W, 3), or path
        The photo, uint8 RGB if an array.
    styles : sequence of ndarray or path
        One or more paintings of any sizes. Several make one blended style.
    options : Options, optional
        Defaults to ``Options()``.
    callback : callable, optional
        Given an :class:`~impasto.engine.result.Iterate` after every optimizer step; returning
        ``False`` ends the run with the best picture so far, as does Ctrl-C.

    Returns
    -------
    StylizeResult

    Raises
    ------
    UsageError
        If an input, option, model or backend cannot be used; nothing has been computed.
    BackendError
        If a runtime fails.

    Notes
    -----
    Gatys et al. (2015): minimise over the image the weighted sum of a content loss and a style
    loss on features of a fixed network; with the normalisations of jcjohnson/neural-style, whose
    weights therefore carry over.

    Examples
    --------
    >>> import numpy as np
    >>> from impasto import Options, stylize
    >>> grey = np.full((32, 48, 3), 128, np.uint8)
    >>> stylize(grey, [grey], Options(size=48, iterations=1)).image.shape
    (32, 48, 3)
    """
    options = _with_seed(options or Options())
    if isinstance(styles, str | os.PathLike):
        raise OptionError("styles is a single path; give a sequence: stylize(content, [style]).")
    optimizer = make_optimizer(options)
    clock = _Stopwatch()
    with clock("load"):
        check_layers(options)
        inputs = _load(content, styles, options)
        model = load_model(options.model, options.weights)
        network = network_for(model, options)
        _check_sizes(network, inputs)
        initial = _initial_image(inputs, options, model.preprocessing)
    with clock("compile"):
        chosen = verified(options, network, inputs.size, cache_directory().parent / "verdicts")
    with clock("targets"):
        targets = _targets(chosen, network, inputs, options)
    with clock("compile"):
        graph = compile_gradient(chosen, network, inputs.size)
    objective = Objective(graph, targets, weights_for(network, options))
    search = _Search(objective, initial, options, inputs.content, callback)
    with clock("optimize"):
        status = search.run(optimizer)
    return StylizeResult(
        image=search.picture(),
        status=status,
        loss=search.best.loss,
        losses=search.best_losses,
        iterations=search.iterations,
        evaluations=search.best.evaluations,
        model=options.model,
        backend=chosen.backend.name,
        precision=chosen.backend.precision,
        seconds=clock.report(),
        options=options,
    )


class _Search:
    """One optimisation: the optimizer, the best image, and what callbacks are told."""

    def __init__(
        self,
        objective: Objective,
        initial: FloatArray,
        options: Options,
        content: Image,
        callback: Callback | None,
    ) -> None:
        self.best = BestSoFar(objective, initial, self._keep_losses)
        self.best_losses: Mapping[str, float] = {}
        self.iterations = 0
        self._objective = objective
        self._options = options
        self._content = content
        self._callback = callback
        self._began = time.perf_counter()

    def run(self, optimizer: Optimizer) -> Status:
        """Optimise until done, cancelled or interrupted; the best image is in `best`."""
        try:
            outcome = optimizer.minimize(
                self.best, iterations=self._options.iterations, on_step=self._on_step
            )
        except KeyboardInterrupt:
            # Not an error: whoever pressed Ctrl-C wants the picture there is.
            return Status.CANCELLED
        if not math.isfinite(outcome.loss):
            raise OptimizationError(
                "The loss is not a finite number at the first image, so there is nothing to "
                f"improve ({outcome.reason}). Check the weights file and the loss weights."
            )
        return outcome.status

    def picture(self) -> Image:
        """Return the best picture; a Ctrl-C while it is rendered does not lose it."""
        try:
            return self.render(self.best.x)
        except KeyboardInterrupt:
            return self.render(self.best.x)

    def render(self, image: FloatArray) -> Image:
        """Turn an image of shape (1, 3, H, W) into the picture to save."""
        painted = from_network(image)
        if self._options.original_colors:
            return original_colors(painted, self._content)
        return painted

    def _keep_losses(self) -> None:
        self.best_losses = self._objective.losses

    def _on_step(self, step: Step) -> bool | None:
        self.iterations = step.iteration
        if self._callback is None:
            return None
        return self._callback(
            Iterate(
                iteration=step.iteration,
                iterations=self._options.iterations,
                evaluations=step.evaluations,
                loss=step.loss,
                losses=self._objective.losses,
                seconds=time.perf_counter() - self._began,
                image=step.x[0].transpose(1, 2, 0),
                picture=lambda: self.render(step.x),
            )
        )


def _with_seed(options: Options) -> Options:
    """Draw the seed if the options leave it open, so that every run can be repeated."""
    return options if options.seed >= 0 else replace(options, seed=secrets.randbelow(2**31))


def _load(content: Picture, styles: Sequence[Picture], options: Options) -> _Inputs:
    if not styles:
        raise OptionError("No style picture is given; at least one is needed.")
    blend_weights = options.style_blend_weights
    if blend_weights and len(blend_weights) != len(styles):
        raise OptionError(
            f"--style-blend-weights has {len(blend_weights)} weights for {len(styles)} style "
            "pictures; give one each."
        )
    photo = fit(_pixels(content), options.size)
    style_size = max(1, math.ceil(options.size * options.style_scale))
    height, width, _ = photo.shape
    initial = None
    if options.init not in INITS:
        initial = resize(load_image(Path(options.init)), width, height)
    paintings = tuple(fit(_pixels(style), style_size) for style in styles)
    return _Inputs(photo, paintings, initial)


def _pixels(picture: Picture) -> Image:
    if not isinstance(picture, np.ndarray):
        return load_image(Path(picture))
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise OptionError(
            f"A picture given as an array is {picture.dtype} of shape {picture.shape}; it must be "
            "uint8 RGB of shape (height, width, 3)."
        )
    return picture


def _check_sizes(network: Network, inputs: _Inputs) -> None:
    network.check_size(*inputs.size, "The content picture")
    for number, style in enumerate(inputs.styles, 1):
        network.check_size(style.shape[0], style.shape[1], f"Style picture {number}")


def _initial_image(inputs: _Inputs, options: Options, preprocessing: Preprocessing) -> FloatArray:
    """Return the first image, of shape (1, 3, H, W).

    Noise is what neural-style starts from: normal with standard deviation 0.001 around the mean
    colour of the network's training pictures, which is 0 after preprocessing.
    """
    if inputs.initial is not None:
        return to_network(inputs.initial)
    if options.init == "content":
        return to_network(inputs.content)
    mean = preprocessing.mean[:: -1 if preprocessing.channel_order == "bgr" else 1]
    noise = np.random.default_rng(options.seed).standard_normal((1, 3, *inputs.size))
    return (np.reshape(mean, (1, 3, 1, 1)) + 0.001 * noise).astype(np.float32)


def _targets(
    chosen: Candidate, network: Network, inputs: _Inputs, options: Options
) -> dict[str, FloatArray]:
    """Compute the targets; the feature graph is dropped before the gradient graph is made."""
    model = build_feature_graph(network.encoder, network.content_layers, network.style_layers)
    return targets_of(
        chosen.backend.compile(model),
        network,
        to_network(inputs.content),
        [to_network(style) for style in inputs.styles],
        options.style_blend_weights,
    )
