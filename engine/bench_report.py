"""What a benchmark found: times with their spread, and the peak memory they took."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from impasto.engine.bench_jobs import Configuration

__all__ = ["BenchReport", "EvaluationTiming", "OptimizerTiming", "PictureTiming", "Spread"]

Told = dict[str, Any]


@dataclass(frozen=True)
class Spread:
    """Times of the same thing.

    Parameters
    ----------
    seconds : tuple of float
        In the order they were taken; at least one.
    """

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.seconds)

    def to_dict(self) -> Told:
        """Return JSON values, rounded to microseconds."""
        return {
            "median": round(self.median, 6),
            "min": round(min(self.seconds), 6),
            "max": round(max(self.seconds), 6),
            "seconds": [round(each, 6) for each in self.seconds],
        }


@dataclass(frozen=True)
class EvaluationTiming:
    """What a configuration costs up to, and in, one evaluation (loss and gradient).

    Parameters
    ----------
    configuration : Configuration
    targets : Spread
        Content features and Gram matrices, their graphs' compilation included, without a cache.
    compile : Spread
        Of the gradient graph.
    first : Spread
        The first evaluation, which allocates; with ``mode`` tiled it also compiles.
    evaluation : Spread
        Those after it.
    peak_rss_bytes : int or None
        Of the whole process; None where the system does not tell.
    lowering, mode : str
        What was run: the lowering, and ``whole`` or ``tiled``.
    weights : str
        ``model``, a file's path, or ``random`` where the model's are not here: they cost the same.
    """

    configuration: Configuration
    targets: Spread
    compile: Spread
    first: Spread
    evaluation: Spread
    peak_rss_bytes: int | None
    lowering: str
    mode: str
    weights: str


@dataclass(frozen=True)
class OptimizerTiming:
    """What an optimizer takes for itself, by iteration, with its history full.

    Parameters
    ----------
    optimizer : str
    size, threads : int
        Of a square image, and of its own transforms.
    own : Spread
        Time of the loop less that of the evaluations.
    """

    optimizer: str
    size: int
    threads: int
    own: Spread


@dataclass(frozen=True)
class PictureTiming:
    """A whole picture, from files or arrays to the finished picture.

    Parameters
    ----------
    configuration : Configuration
    size : (width, height)
    iterations, evaluations : int
    stages : mapping of str to Spread
        ``load``, ``compile``, ``targets``, ``optimize`` and ``total``. What is remembered from run
        to run was there before.
    process : Spread
        From the start of the process to its end.
    peak_rss_bytes : int or None
    ran_on : str
        Backend and precision: others than asked for if first-use verification replaced those.
    """

    configuration: Configuration
    size: tuple[int, int]
    iterations: int
    evaluations: int
    stages: Mapping[str, Spread]
    process: Spread
    peak_rss_bytes: int | None
    ran_on: str


@dataclass(frozen=True)
class BenchReport:
    """Everything measured so far.

    Parameters
    ----------
    machine : mapping
        See `impasto.engine.machine_report`.
    rounds, rounds_done : int
        Asked for, and complete.
    evaluations, optimizers, pictures : sequence
    failures : mapping of str to str
        What went wrong, by job.
    """

    machine: Mapping[str, Any]
    rounds: int
    rounds_done: int
    evaluations: Sequence[EvaluationTiming]
    optimizers: Sequence[OptimizerTiming]
    pictures: Sequence[PictureTiming]
    failures: Mapping[str, str]

    def to_dict(self) -> Told:
        """Return JSON values; times are in seconds."""
        return {
            "machine": dict(self.machine),
            "rounds": self.rounds,
            "rounds_done": self.rounds_done,
            "evaluations": [_row(each) for each in self.evaluations],
            "optimizers": [_row(each) for each in self.optimizers],
            "pictures": [_row(each) for each in self.pictures],
            "failures": dict(self.failures),
        }


def _row(timing: EvaluationTiming | OptimizerTiming | PictureTiming) -> Told:
    row: Told = {}
    for name in timing.__dataclass_fields__:
        value = getattr(timing, name)
        if isinstance(value, Configuration):
            row |= {**asdict(value), "weights": value.weights or "model"}
            del row["lowering"]
        elif isinstance(value, Spread):
            row[name] = value.to_dict()
        elif isinstance(value, Mapping):
            row[name] = {key: each.to_dict() for key, each in value.items()}
        else:
            row[name] = list(value) if isinstance(value, tuple) else value
    return row
