"""Time this machine: targets, compiling, evaluations, optimizers, whole pictures.

Every measurement is taken in a process of its own (`impasto.engine.bench_process`), so that its
peak memory is its own. The measurements take turns, round by round, so that a noisy minute hits
all of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from impasto.engine.bench_jobs import Configuration, Job, configurations
from impasto.engine.bench_report import (
    BenchReport,
    EvaluationTiming,
    OptimizerTiming,
    PictureTiming,
    Spread,
)
from impasto.engine.inputs import check_inputs, picture_sizes
from impasto.engine.machine_report import describe_machine
from impasto.engine.network import Network
from impasto.engine.options import OptimizerName
from impasto.export.encoder import Encoder
from impasto.models import load_model, model_spec

__all__ = ["Bench", "Configuration", "Job", "configurations"]

Told = dict[str, Any]


@dataclass
class Bench:
    """A set of measurements, taken in rounds.

    Parameters
    ----------
    configurations : sequence of Configuration
    rounds : int
        Processes each measurement is taken in.
    runs : int
        Evaluations to time in each of them.
    optimizers : bool
        Whether to time the optimizers, at the sizes and threads of the configurations.
    whole : bool
        Whether to paint whole pictures, each once before with a single iteration.
    iterations : int
        Of a whole picture; 0 are those of the model's preset.
    content : path, optional
        The photo of whole pictures; by default it and the style are generated.
    styles : sequence of path
    """

    configurations: Sequence[Configuration]
    rounds: int = 5
    runs: int = 1
    optimizers: bool = True
    whole: bool = False
    iterations: int = 0
    content: Path | None = None
    styles: Sequence[Path] = ()
    _told: dict[Job, list[Told]] = field(default_factory=dict, init=False)
    _failures: dict[str, str] = field(default_factory=dict, init=False)
    _rounds_done: int = field(default=0, init=False)

    def __len__(self) -> int:
        """Return how many processes there are, if none fails."""
        return len(self._warm_ups()) + self.rounds * len(self._jobs())

    def check(self) -> None:
        """Refuse what cannot be measured, before anything is.

        Raises
        ------
        UsageError
            If a size is too small for a network, or a picture or weights for one are not here.
        """
        for each in self.configurations:
            spec, options = model_spec(each.model), each.options
            chain = spec.architecture.truncated(
                (*options.content_layer_weights, *options.style_layer_weights)
            )
            encoder = Encoder(spec.name, chain.layers, {}, spec.preprocessing)
            Network(encoder, (), ()).check_size(each.size, each.size, "The picture")
        # Elsewhere random weights do.
        for model, file in {(each.model, each.weights) for each in self.configurations}:
            if self.whole or file:
                load_model(model, Path(file) if file else None)
        if self.content is not None:
            for each in self.configurations:
                check_inputs(self.styles, each.options)
                picture_sizes(self.content, self.styles, each.options)

    def run(self) -> Iterator[Job]:
        """Measure; yields each job before its process starts.

        A job that fails is told in the report, and left out of the later rounds.
        """
        self._told, self._failures, self._rounds_done = {}, {}, 0
        for job in self._warm_ups():
            yield job
            self._tell(job)
        for _ in range(self.rounds):
            for job in self._jobs():
                if str(job) not in self._failures:
                    yield job
                    told = self._tell(job)
                    if told is not None:
                        self._told.setdefault(job, []).append(told)
            self._rounds_done += 1

    def report(self) -> BenchReport:
        """Return what has been measured so far."""
        evaluations, optimizers, pictures = [], [], []
        for job, told in self._told.items():
            if job.kind == "evaluation":
                evaluations.append(_evaluation_timing(job, told))
            elif job.kind == "optimizers":
                optimizers += _optimizer_timings(job, told)
            else:
                pictures.append(_picture_timing(job, told))
        return BenchReport(
            describe_machine(),
            self.rounds,
            self._rounds_done,
            evaluations,
            optimizers,
            pictures,
            dict(self._failures),
        )

    def _jobs(self) -> list[Job]:
        jobs = [Job("evaluation", each, self.runs) for each in self.configurations]
        if self.optimizers:
            # Their own time depends on nothing else.
            unlike: dict[tuple[int, int], Configuration] = {}
            for each in self.configurations:
                unlike.setdefault((each.size, each.threads), each)
            jobs += [Job("optimizers", each, self.runs) for each in unlike.values()]
        return jobs + self._pictures(self.iterations)

    def _warm_ups(self) -> list[Job]:
        """Return what leaves verdicts, targets and whatever else is remembered."""
        return self._pictures(1)

    def _pictures(self, iterations: int) -> list[Job]:
        if not self.whole:
            return []
        content = "" if self.content is None else str(self.content)
        styles = tuple(map(str, self.styles))
        return [
            Job("picture", each, 1, iterations, content, styles) for each in self.configurations
        ]

    def _tell(self, job: Job) -> Told | None:
        """Run a job's process; return what it told, or None after a failure."""
        told = _run(job)
        if "failure" in told:
            self._failures[str(job)] = told["failure"]
            return None
        return told


def _run(job: Job) -> Told:
    """Run a process, and return what it prints: figures, or a ``failure``."""
    # -P: files of the current directory must not be imported instead of modules.
    program = "from impasto.engine.bench_process import main; main()"
    command = [sys.executable, "-P", "-c", program, job.to_json()]
    began = time.perf_counter()
    ran = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
    seconds = time.perf_counter() - began
    try:
        told = json.loads(ran.stdout.splitlines()[-1])
        if ran.returncode == 0 and isinstance(told, dict):
            return {**told, "process": seconds}
    except (IndexError, ValueError):
        pass
    said = ran.stderr.strip().splitlines() or [""]
    if ran.returncode < 0:
        killed = f"The process was ended by signal {-ran.returncode}."
        return {"failure": f"{killed} There may not be enough memory." if not said[-1] else killed}
    return {"failure": f"The process ended with status {ran.returncode}. {said[-1]}".strip()}


def _spread(told: Sequence[Told], name: str) -> Spread:
    """Return the times called `name` of all rounds: one of each, or a list."""
    values = [each[name] for each in told]
    lists = [value if isinstance(value, list) else [value] for value in values]
    return Spread(tuple(float(second) for seconds in lists for second in seconds))


def _peak(told: Sequence[Told]) -> int | None:
    known = [each["peak_rss_bytes"] for each in told if each["peak_rss_bytes"] is not None]
    return max(known, default=None)


def _evaluation_timing(job: Job, told: Sequence[Told]) -> EvaluationTiming:
    return EvaluationTiming(
        job.configuration,
        targets=_spread(told, "targets"),
        compile=_spread(told, "compile"),
        first=_spread(told, "first"),
        evaluation=_spread(told, "evaluation"),
        peak_rss_bytes=_peak(told),
        lowering=told[0]["lowering"],
        mode=told[0]["mode"],
        weights=told[0]["weights"],
    )


def _optimizer_timings(job: Job, told: Sequence[Told]) -> list[OptimizerTiming]:
    size, threads = job.configuration.size, job.configuration.threads
    names = get_args(OptimizerName)
    return [OptimizerTiming(name, size, threads, _spread(told, name)) for name in names]


def _picture_timing(job: Job, told: Sequence[Told]) -> PictureTiming:
    width, height = told[0]["size"]
    stages = [each["stages"] for each in told]
    return PictureTiming(
        job.configuration,
        size=(width, height),
        iterations=told[0]["iterations"],
        evaluations=told[0]["evaluations"],
        stages={name: _spread(stages, name) for name in stages[0]},
        process=_spread(told, "process"),
        peak_rss_bytes=_peak(told),
        ran_on=told[0]["ran_on"],
    )
