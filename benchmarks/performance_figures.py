"""Write the tables of some pages in docs and draw their charts, from the committed results.

    python benchmarks/performance_figures.py

Rewrites what stands between ``<!-- begin: NAME -->`` and ``<!-- end: NAME -->``, and
docs/pictures/performance-NAME.svg. With ``--check`` nothing is written, and the status is 1 if
something would change.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from performance_charts import evaluation_chart, loss_chart, roofline_chart
from performance_tables import (
    agreement_line,
    bench_tables,
    coarse_to_fine_table,
    history_table,
    initial_scale_table,
    memory_table,
    own_time_table,
    peers_table,
    remembered_table,
    roofline_table,
    spinning_table,
    starts_table,
    startup_table,
    time_to_loss_table,
)

__all__ = ["FIGURES", "Figure", "generated", "outdated", "with_blocks"]

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
DOCS = ROOT / "docs"

Result = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """What is shown of one result.

    Parameters
    ----------
    name : str
        Of the block in the page and of the picture.
    result : str
        File in benchmarks/results, without its suffix.
    command : str
        What makes it.
    table : callable
        Returns Markdown.
    chart : callable, optional
        Returns SVG.
    caption : str
        Alternative text of the chart.
    page : str
        File in docs.
    """

    name: str
    result: str
    command: str
    table: Callable[[Result], str]
    chart: Callable[[Result], str] | None = None
    caption: str = ""
    page: str = "performance.md"

    def block(self, result: Result | None) -> str:
        """Return what stands in the page between the markers."""
        if result is None:
            return f"Not measured yet: `{self.command}`."
        picture = f"![{self.caption}](pictures/performance-{self.name}.svg)\n\n"
        command = result.get("command", self.command)
        source = f"`benchmarks/results/{self.result}.json`, made by `{command}` on {where(result)}."
        return (picture if self.chart else "") + f"{self.table(result)}\n\n{source}"


MACHINES = ("", "avx512-bf16", "avx512")
"""Kinds of machine: the folders of results, the first being results itself."""

_FIGURES = (
    Figure(
        "peers",
        "peers",
        "python benchmarks/peers.py --torch-python PATH --save",
        lambda result: f"{peers_table(result)}\n\n{agreement_line(result)}",
        evaluation_chart,
        "Seconds of one evaluation by network, size and configuration",
    ),
    Figure(
        "roofline",
        "roofline",
        "python benchmarks/roofline.py --torch-python PATH --save",
        roofline_table,
        roofline_chart,
        "Achieved GFLOP/s of an evaluation within the machine's convolution peak",
    ),
    Figure(
        "time-to-loss",
        "time_to_loss",
        "python benchmarks/time_to_loss.py --torch-python PATH --save",
        time_to_loss_table,
        loss_chart,
        "Loss over seconds: PyTorch from noise and the default preset",
    ),
    Figure(
        "bench",
        "bench",
        "impasto bench --size 512 --runs 5 --json > benchmarks/results/bench.json",
        bench_tables,
    ),
    Figure("startup", "startup", "python benchmarks/startup.py --save", startup_table),
    Figure(
        "spinning-threads",
        "spinning_threads",
        "python benchmarks/spinning_threads.py --save",
        spinning_table,
    ),
)


def _on(machine: str, figure: Figure) -> Figure:
    """Return a figure of the results of another kind of machine."""
    if not machine:
        return figure
    if figure.result == "bench":
        return replace(
            figure,
            name=f"bench-{machine}",
            result=f"{machine}/bench",
            command=figure.command.replace("/bench.json", f"/{machine}/bench.json"),
        )
    return replace(
        figure,
        name=f"{figure.name}-{machine}",
        result=f"{machine}/{figure.result}",
        command=f"{figure.command} {machine}",
    )


_ON_GPU = (
    Figure(
        "peers-gpu",
        "gpu/peers",
        "python benchmarks/peers.py --torch-python PATH --gpu --save gpu",
        lambda result: f"{peers_table(result)}\n\n{agreement_line(result)}",
        page="gpu.md",
    ),
    Figure(
        "bench-gpu",
        "gpu/bench",
        "impasto bench --backend cuda --size 512 --runs 3 --json "
        "> benchmarks/results/gpu/bench.json",
        bench_tables,
        page="gpu.md",
    ),
)

_OF_ONE_MACHINE = (
    Figure("own-time", "own_time", "python benchmarks/own_time.py --save", own_time_table),
    Figure("memory", "footprint", "python benchmarks/footprint.py --save", memory_table),
    Figure(
        "memory-avx512-bf16",
        "avx512-bf16/footprint",
        "python benchmarks/footprint.py --save avx512-bf16",
        memory_table,
    ),
    Figure(
        "history",
        "history",
        "python benchmarks/history.py --save",
        history_table,
        page="default-preset.md",
    ),
    Figure(
        "starts",
        "starts",
        "python benchmarks/starts.py --sizes 256 512 --save",
        starts_table,
        page="default-preset.md",
    ),
    Figure(
        "coarse-to-fine",
        "coarse_to_fine",
        "python benchmarks/coarse_to_fine.py --pairs 6 3 --save",
        coarse_to_fine_table,
        page="any-size.md",
    ),
    Figure(
        "remembered",
        "remembered",
        "python benchmarks/remembered.py --save",
        remembered_table,
        page="default-preset.md",
    ),
    Figure(
        "initial-scale",
        "avx512/initial_scale",
        "python benchmarks/initial_scale.py --save avx512",
        initial_scale_table,
        page="default-preset.md",
    ),
)

FIGURES = (
    *(_on(machine, figure) for machine in MACHINES for figure in _FIGURES),
    *_ON_GPU,
    *_OF_ONE_MACHINE,
)


def where(result: Result) -> str:
    """Return in words where a result was measured."""
    machine = result["machine"]
    versions = ", ".join(
        f"{name} {machine[name]}"
        for name in ("onnxruntime", "onnxruntime-gpu", "openvino", "numpy")
        if name in machine
    )
    sets = ", ".join(machine["instruction_sets"])
    rows = [*result.get("rows", ()), *(pair["torch"] for pair in result.get("pairs", ()))]
    torch = sorted({r["version"] for r in rows if r.get("version", "").startswith("torch")})
    # `impasto bench` runs where there is no repository.
    at = f"commit {machine['commit']}" if "commit" in machine else f"Impasto {machine['impasto']}"
    cores = f"{machine['cores']} cores of an {machine['processor']} ({sets})"
    gpu = f"an {machine['gpu']}, beside " if "gpu" in machine else ""
    return f"{gpu}{cores}; {', '.join([versions, *torch])}; {at}"


def read(name: str) -> Result | None:
    """Return a committed result, or None if there is none yet."""
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        return None
    found: Result = json.loads(path.read_text("utf-8"))
    return found


def with_blocks(page: str, blocks: dict[str, str]) -> str:
    """Return the page with the text between the markers of every block replaced.

    Raises
    ------
    ValueError
        If the page has not exactly one pair of markers for each block.
    """
    for name, text in blocks.items():
        begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
        parts = re.split(f"{re.escape(begin)}.*?{re.escape(end)}", page, flags=re.DOTALL)
        if len(parts) != 2:
            raise ValueError(f"The page needs one {begin} and one {end}.")
        page = f"{parts[0]}{begin}\n{text}\n{end}{parts[1]}"
    return page


def generated() -> Iterator[tuple[Path, str]]:
    """Yield every file that is made from the results, with its text."""
    results = {figure.name: read(figure.result) for figure in FIGURES}
    for page in dict.fromkeys(figure.page for figure in FIGURES):
        shown = (figure for figure in FIGURES if figure.page == page)
        blocks = {figure.name: figure.block(results[figure.name]) for figure in shown}
        yield DOCS / page, with_blocks((DOCS / page).read_text("utf-8"), blocks)
    for figure in FIGURES:
        result = results[figure.name]
        if figure.chart and result is not None:
            path = DOCS / "pictures" / f"performance-{figure.name}.svg"
            yield path, figure.chart(result)


def outdated() -> dict[Path, str]:
    """Return the files that are not as the results have them, with the text they should have."""
    return {
        path: text
        for path, text in generated()
        if not path.is_file() or path.read_text("utf-8") != text
    }


def main() -> None:
    """Write or check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if outdated")
    asked = parser.parse_args()
    changed = outdated()
    for path, text in changed.items():
        print(path.relative_to(ROOT))
        if not asked.check:
            path.write_text(text, "utf-8")
    if asked.check and changed:
        sys.exit(1)


if __name__ == "__main__":
    main()
