"""What a benchmark measures: configurations of this machine, and the jobs made of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from impasto.engine.backends import available_backends, choose
from impasto.engine.machine import available_cores
from impasto.engine.network import check_layers
from impasto.engine.options import Options
from impasto.engine.presets import PRESETS, preset_options
from impasto.errors import OptionError

__all__ = ["Configuration", "Job", "configurations"]


@dataclass(frozen=True)
class Configuration:
    """What is measured.

    Parameters
    ----------
    model : str
    backend : str
        Not ``auto``.
    precision : str
        Not ``auto``.
    threads : int
        At least 1.
    size : int
        Longest side in pixels.
    lowering : str
        Empty for the backend's own.
    weights : str
        A weights file; empty for the model's own.
    """

    model: str
    backend: str
    precision: str
    threads: int
    size: int
    lowering: str = ""
    weights: str = ""

    @property
    def options(self) -> Options:
        """The options of a run: the model's preset, at one scale and without a checkpoint.

        Raises
        ------
        OptionError, UnknownNameError
            If a value is out of range, or a name unknown.
        """
        changes = {
            "backend": self.backend,
            "precision": self.precision,
            "threads": self.threads,
            "size": self.size,
            "model": self.model,
            "weights": Path(self.weights) if self.weights else None,
            "scales": "1",
            "checkpoint": "off",
        }
        return preset_options(_preset(self.model), changes)

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        lowering = f", {self.lowering}" if self.lowering else ""
        model = f"{self.model} ({self.weights})" if self.weights else self.model
        return f"{model}, {self.size} px, {self.backend} {self.precision}{lowering}, {threads}"


def configurations(
    models: Sequence[str] = ("vgg19",),
    sizes: Sequence[int] = (512,),
    threads: Sequence[int] = (0,),
    backends: Sequence[str] = (),
    precisions: Sequence[str] = (),
    weights: Sequence[Path] = (),
) -> list[Configuration]:
    """Return every combination that this machine can run.

    Parameters
    ----------
    models, sizes : sequence
    threads : sequence of int
        0 is one per available core.
    backends : sequence of str
        ``auto`` is what a run would choose; by default, all that are available here.
    precisions : sequence of str
        By default, all that a backend computes in natively.
    weights : sequence of path
        Weights files, one for each of `models`, in their order; by default, the models' own.

    Raises
    ------
    UsageError
        If a value cannot be used, or one of the backends or precisions not in any combination.
    """
    for model in models:
        check_layers(preset_options(_preset(model), {"model": model}))
    if weights and len(weights) != len(models):
        raise OptionError(
            f"There are {len(weights)} --weights for {len(models)} --model; give each model its "
            "file, in the same order, or none."
        )
    files = [str(path) for path in weights] or [""] * len(models)
    pairs = _pairs(backends, precisions)
    found = [
        Configuration(model, backend, precision, count or available_cores(), size, weights=file)
        for model, file in dict.fromkeys(zip(models, files, strict=True))
        for size in dict.fromkeys(sizes)
        for count in dict.fromkeys(threads)
        for backend, precision in pairs
    ]
    for each in found:
        each.options  # noqa: B018 - made to be checked
    return list(dict.fromkeys(found))


def _preset(model: str) -> str:
    """Return the preset whose layers are the model's."""
    return next((name for name, told in PRESETS.items() if told.get("model") == model), "default")


def _pairs(backends: Sequence[str], precisions: Sequence[str]) -> list[tuple[str, str]]:
    """Return the backends with the precisions they have here, refusing what leads nowhere."""
    infos = {info.name: info.precisions for info in available_backends() if info.available}
    pairs: list[tuple[str, str]] = []
    for name in backends or tuple(infos):
        if name in infos:
            for precision in precisions or infos[name]:
                resolved = infos[name][0] if precision == "auto" else precision
                if resolved in infos[name]:
                    pairs.append((name, resolved))
        else:
            pairs += [_chosen(name, precision) for precision in precisions or ("auto",)]
    for name in backends:
        if name != "auto" and name not in dict(pairs):
            _chosen(name, precisions[0])
    for precision in precisions:
        if precision != "auto" and precision not in {found for _, found in pairs}:
            _chosen(backends[0] if backends else "auto", precision)
    return list(dict.fromkeys(pairs))


def _chosen(backend: str, precision: str) -> tuple[str, str]:
    """Return what runs, or refuse with the reason."""
    options = Options(backend=backend, precision=precision)  # type: ignore[arg-type]
    name, found, _ = choose(options.backend, options.precision)
    return name, found


@dataclass(frozen=True)
class Job:
    """One process.

    Parameters
    ----------
    kind : {"evaluation", "optimizers", "picture"}
    configuration : Configuration
    runs : int
        Evaluations, or iterations of an optimizer, to time after the warm-up.
    iterations : int
        Of a picture; 0 are the options' own.
    content : str
        Of a picture: a file, or empty for a generated one.
    styles : tuple of str
    """

    kind: Literal["evaluation", "optimizers", "picture"]
    configuration: Configuration
    runs: int
    iterations: int = 0
    content: str = ""
    styles: tuple[str, ...] = ()

    def __str__(self) -> str:
        each = self.configuration
        if self.kind == "optimizers":
            return f"optimizers, {each.size} px, {each.threads} threads"
        return f"{self.kind}, {each}"

    def to_json(self) -> str:
        """Return the job as text, for :meth:`from_json`."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Job:
        """Return what :meth:`to_json` wrote."""
        told = json.loads(text)
        configuration = Configuration(**told.pop("configuration"))
        return Job(**{**told, "configuration": configuration, "styles": tuple(told["styles"])})
