"""Draw docs/pictures/any-size.svg from the results of any_size.py: memory and time by size.

python benchmarks/any_size_figure.py
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FIGURE = HERE.parent / "docs" / "pictures" / "any-size.svg"
RESULTS = ("any_size_onnxruntime_f32", "any_size_openvino_bf16")

WIDTH, HEIGHT, LEFT, TOP, GAP = 400, 260, 60, 40, 80
COLOURS = {"onnxruntime": "#2a6f97", "openvino": "#c8553d"}

Point = tuple[float, float]


def series(result: dict[str, Any], mode: str, value: str) -> list[Point]:
    """Return (megapixels, value) of the cases of a mode, by size."""
    points = []
    for case in result["cases"]:
        if case["case"].split(":")[1] != mode:
            continue
        megapixels = case["pixels"] / 1e6
        if value == "memory":
            points.append((megapixels, case["peak_rss_bytes"] / 2**30))
        else:
            points.append((megapixels, case["median_s"] / megapixels))
    return sorted(points)


def panel(left: int, title: str, lines: Sequence[tuple[str, str, list[Point]]]) -> list[str]:
    """Return the SVG of one panel; both axes are logarithmic."""
    points = [point for _, _, line in lines for point in line]
    low_x, high_x = (10 ** f(math.log10(x)) for f, x in _ends([x for x, _ in points]))
    low_y, high_y = (10 ** f(math.log10(y)) for f, y in _ends([y for _, y in points]))

    def x_of(x: float) -> float:
        return left + WIDTH * math.log(x / low_x) / math.log(high_x / low_x)

    def y_of(y: float) -> float:
        return TOP + HEIGHT * (1 - math.log(y / low_y) / math.log(high_y / low_y))

    svg = [
        f'<text x="{left}" y="{TOP - 16}" font-weight="bold">{title}</text>',
        f'<rect x="{left}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#999"/>',
    ]
    svg += [
        f'<text x="{x_of(x):.1f}" y="{TOP + HEIGHT + 16}" text-anchor="middle">{x:g}</text>'
        for x in _ticks(low_x, high_x)
    ]
    for y in _ticks(low_y, high_y):
        svg.append(f'<text x="{left - 6}" y="{y_of(y) + 4:.1f}" text-anchor="end">{y:g}</text>')
        svg.append(
            f'<line x1="{left}" x2="{left + WIDTH}" y1="{y_of(y):.1f}" y2="{y_of(y):.1f}" '
            'stroke="#eee"/>'
        )
    for colour, dashes, line in lines:
        path = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in line)
        svg.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" '
            f'stroke-dasharray="{dashes}"/>'
        )
        svg += [
            f'<circle cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="3" fill="{colour}"/>'
            for x, y in line
        ]
    return svg


def _ends(values: list[float]) -> list[tuple[Any, float]]:
    return [(math.floor, min(values)), (math.ceil, max(values))]


def _ticks(low: float, high: float) -> list[float]:
    decades = range(round(math.log10(low)), round(math.log10(high)) + 1)
    return [m * 10.0**d for d in decades for m in (1, 2, 5) if low <= m * 10.0**d <= high]


def main() -> None:
    """Read the results and write the figure."""
    results = [json.loads((HERE / "results" / f"{name}.json").read_text()) for name in RESULTS]
    svg = []
    for index, (value, title) in enumerate(
        [("memory", "Peak memory of the process, GB"), ("time", "Seconds per megapixel")]
    ):
        lines = [
            (COLOURS[result["backend"]], dashes, series(result, mode, value))
            for result in results
            for mode, dashes in (("whole", "5 4"), ("strips", "none"))
        ]
        svg += panel(LEFT + index * (WIDTH + GAP), title, lines)
    legend = TOP + HEIGHT + 40
    for index, result in enumerate(results):
        name = f"{result['backend']} {result['precision']}: dashed whole, solid in strips"
        svg.append(
            f'<text x="{LEFT + index * (WIDTH + GAP)}" y="{legend}" '
            f'fill="{COLOURS[result["backend"]]}">{name}</text>'
        )
    svg.append(f'<text x="{LEFT}" y="{legend + 20}">Horizontal: megapixels of the picture.</text>')
    size = (LEFT + 2 * WIDTH + GAP + 20, legend + 36)
    FIGURE.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" '
        'font-family="sans-serif" font-size="12">\n'
        '<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(svg) + "\n</svg>\n"
    )


if __name__ == "__main__":
    main()
